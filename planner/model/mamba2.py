"""Mamba-2: a state-space layer with a state of constant size (Nemotron-H, Granite 4, Bamba)."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2(ConstantState):
    """State-space duality layer (Dao & Gu 2024, arXiv:2405.21060)."""

    n_heads: int
    head_dim: int
    state_size: int
    n_groups: int
    conv_kernel: int
    conv_bias: bool = True
    projection_bias: bool = False
    norm: bool = True

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "Mamba-2"

    @property
    def inner_size(self) -> int:
        """Width of the layer inside."""
        return self.n_heads * self.head_dim

    @property
    def _conv_channels(self) -> int:
        return self.inner_size + 2 * self.n_groups * self.state_size

    @property
    def state_elements(self) -> int:
        """d_inner × N recurrent elements and the convolution's last K − 1 inputs."""
        return self.inner_size * self.state_size + self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """The last K − 1 inputs of the convolution."""
        return self._conv_channels * (self.conv_kernel - 1)

    @property
    def state_flop_per_token(self) -> int:
        """About 6 FLOP per state element: decay, outer product, read-out."""
        return 6 * self.inner_size * self.state_size

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """In-projection for z, x, B, C and dt; convolution; A, D and dt bias; gated norm; out-projection."""
        n_in = 2 * self.inner_size + 2 * self.n_groups * self.state_size + self.n_heads
        found = [
            matrix("ssm_in", hidden_size, n_in),
            Weight(role="ssm_conv1d", shape=(self.conv_kernel, self._conv_channels)),
            vector("ssm_a", self.n_heads),
            vector("ssm_d", self.n_heads),
            vector("ssm_dt.bias", self.n_heads),
            matrix("ssm_out", self.inner_size, hidden_size),
        ]
        if self.conv_bias:
            found.append(vector("ssm_conv1d.bias", self._conv_channels))
        if self.norm:
            found.append(vector("ssm_norm", self.inner_size))
        if self.projection_bias:
            found += [vector("ssm_in.bias", n_in), vector("ssm_out.bias", hidden_size)]
        return tuple(found)

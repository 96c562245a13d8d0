"""Mamba-1: the selective state-space layer (Mamba, Falcon-Mamba, Jamba)."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba1(ConstantState):
    """Selective state space (Gu & Dao 2023, arXiv:2312.00752)."""

    inner_size: int
    state_size: int
    time_step_rank: int
    conv_kernel: int
    conv_bias: bool = True
    projection_bias: bool = False
    inner_norms: bool = False  # Jamba normalises dt, B and C

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "Mamba-1"

    @property
    def state_elements(self) -> int:
        """d_inner × N recurrent elements and the convolution's last K − 1 inputs."""
        return self.inner_size * self.state_size + self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """The last K − 1 inputs of the convolution."""
        return self.inner_size * (self.conv_kernel - 1)

    @property
    def state_flop_per_token(self) -> int:
        """About 6 FLOP per state element: decay, input, read-out."""
        return 6 * self.inner_size * self.state_size

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """In-projection, convolution, the projections of dt, B and C, A and D, out-projection."""
        inner, state, rank = self.inner_size, self.state_size, self.time_step_rank
        found = [
            matrix("ssm_in", hidden_size, 2 * inner),
            Weight(role="ssm_conv1d", shape=(self.conv_kernel, inner)),
            matrix("ssm_x", inner, rank + 2 * state),
            matrix("ssm_dt", rank, inner),
            vector("ssm_dt.bias", inner),
            Weight(role="ssm_a", shape=(state, inner)),
            vector("ssm_d", inner),
            matrix("ssm_out", inner, hidden_size),
        ]
        if self.conv_bias:
            found.append(vector("ssm_conv1d.bias", inner))
        if self.projection_bias:
            found += [vector("ssm_in.bias", 2 * inner), vector("ssm_out.bias", hidden_size)]
        if self.inner_norms:
            found += [vector("ssm_dt_norm", rank), vector("ssm_b_norm", state), vector("ssm_c_norm", state)]
        return tuple(found)

"""Gated DeltaNet: linear attention with a state of constant size (Qwen3-Next, Qwen3.5)."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet(ConstantState):
    """Linear attention with a gated delta rule (Yang et al. 2024, arXiv:2412.06464)."""

    n_key_heads: int
    n_value_heads: int
    key_head_dim: int
    value_head_dim: int
    conv_kernel: int
    split_beta_alpha: bool = False  # two matrices in Qwen3.5's files, one in Qwen3-Next's
    fused_gate: bool = False  # queries, keys, values and gate as one matrix, in early Qwen3-Next files

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "gated DeltaNet"

    @property
    def _conv_channels(self) -> int:
        return 2 * self.n_key_heads * self.key_head_dim + self.n_value_heads * self.value_head_dim

    @property
    def state_elements(self) -> int:
        """One d_k × d_v matrix per value head, and the convolution's last K − 1 inputs."""
        recurrent = self.n_value_heads * self.key_head_dim * self.value_head_dim
        return recurrent + self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """The last K − 1 inputs of the convolution."""
        return self._conv_channels * (self.conv_kernel - 1)

    @property
    def state_flop_per_token(self) -> int:
        """About 8 FLOP per state element: decay, prediction, update and read-out."""
        return 8 * self.n_value_heads * self.key_head_dim * self.value_head_dim

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """H(2k + 2v) in-projection, 2·H·n_v gates, convolution, decay, norm and out-projection."""
        value = self.n_value_heads * self.value_head_dim
        gates = [("ssm_ba", 2 * self.n_value_heads)]
        if self.split_beta_alpha:
            gates = [("ssm_beta", self.n_value_heads), ("ssm_alpha", self.n_value_heads)]
        inputs = [("attn_qkv", self._conv_channels), ("attn_gate", value)]
        if self.fused_gate:
            inputs = [("ssm_in", self._conv_channels + value)]
        return (
            *(matrix(role, hidden_size, width) for role, width in inputs),
            *(matrix(role, hidden_size, width) for role, width in gates),
            Weight(role="ssm_conv1d", shape=(self.conv_kernel, self._conv_channels)),
            vector("ssm_dt.bias", self.n_value_heads),
            vector("ssm_a", self.n_value_heads),
            vector("ssm_norm", self.value_head_dim),
            matrix("ssm_out", value, hidden_size),
        )

"""Gated DeltaNet: linear attention with a state of constant size (Qwen3-Next, Qwen3.5)."""

from dataclasses import dataclass

from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedDeltaNet:
    """Linear attention with a gated delta rule (Yang et al. 2024, arXiv:2412.06464)."""

    n_key_heads: int
    n_value_heads: int
    key_head_dim: int
    value_head_dim: int
    conv_kernel: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "gated DeltaNet"

    @property
    def window_tokens(self) -> int | None:
        """Nothing is cached per token."""
        return None

    @property
    def k_elements_per_token(self) -> int:
        """Nothing is cached per token."""
        return 0

    @property
    def v_elements_per_token(self) -> int:
        """Nothing is cached per token."""
        return 0

    @property
    def _conv_channels(self) -> int:
        return 2 * self.n_key_heads * self.key_head_dim + self.n_value_heads * self.value_head_dim

    @property
    def state_elements(self) -> int:
        """One d_k × d_v matrix per value head, and the convolution's last K − 1 inputs."""
        recurrent = self.n_value_heads * self.key_head_dim * self.value_head_dim
        return recurrent + self._conv_channels * (self.conv_kernel - 1)

    @property
    def score_flop_per_cached_token(self) -> int:
        """Cost does not depend on the context."""
        return 0

    @property
    def state_flop_per_token(self) -> int:
        """About 8 FLOP per state element: decay, prediction, update and read-out."""
        return 8 * self.n_value_heads * self.key_head_dim * self.value_head_dim

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """H(2k + 2v) in-projection, 2·H·n_v gates, convolution, decay, norm and out-projection."""
        value = self.n_value_heads * self.value_head_dim
        return (
            matrix("attn_qkv", hidden_size, self._conv_channels),
            matrix("attn_gate", hidden_size, value),
            matrix("ssm_ba", hidden_size, 2 * self.n_value_heads),
            Weight(role="ssm_conv1d", shape=(self.conv_kernel, self._conv_channels)),
            vector("ssm_dt.bias", self.n_value_heads),
            vector("ssm_a", self.n_value_heads),
            vector("ssm_norm", self.value_head_dim),
            matrix("ssm_out", value, hidden_size),
        )

"""Compressed convolutional attention (ZAYA): attention in few heads whose queries and keys pass two convolutions."""

from dataclasses import dataclass

from planner.model.around_attention import AroundAttention
from planner.model.attention import Attention
from planner.model.weight import Weight, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolvedAttention(AroundAttention):
    """Attention with a depthwise and a head-by-head convolution in front, half its values one token late."""

    attention: Attention
    depthwise_taps: int
    grouped_taps: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"convolved {self.attention.kind}"

    @property
    def _width(self) -> int:
        """Queries and keys side by side."""
        return self.attention.n_heads * self.attention.key_head_dim + self.k_elements_per_token

    @property
    def state_elements(self) -> int:
        """The convolutions' last inputs, and the half of the last token's values that comes late."""
        return self.conv_state_elements + self.v_elements_per_token // 2

    @property
    def conv_state_elements(self) -> int:
        """What both convolutions look back on together: (K₁ − 1) + (K₂ − 1) tokens."""
        return self._width * (self.depthwise_taps + self.grouped_taps - 2)

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The attention's weights, both convolutions with biases, a temperature per key-value head."""
        width, head_dim = self._width, self.attention.key_head_dim
        return (
            *self.attention.weights(hidden_size),
            Weight(role="attn_qk_conv1d", shape=(self.depthwise_taps, width)),
            vector("attn_qk_conv1d.bias", width),
            Weight(role="attn_qk_group_conv1d", shape=(self.grouped_taps, head_dim, width)),
            vector("attn_qk_group_conv1d.bias", width),
            vector("attn_temperature", self.attention.n_kv_heads),
        )

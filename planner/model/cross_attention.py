"""Attention from the text to an image: keys and values of the image's patches, kept once, whatever the text."""

from dataclasses import dataclass
from typing import Any

from planner.model.mixing import CachesTokens
from planner.model.token_cache import TokenCache
from planner.model.weight import Use, Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCache(TokenCache):
    """The keys and values of one image: `window_tokens` entries from the first token of text on."""

    def __post_init__(self) -> None:
        if not self.window_tokens:
            raise ValueError("the cache of an image without patches")

    @property
    def elements_per_token(self) -> float:
        """A token of text adds nothing."""
        return 0.0

    def entries(self, n_context_tokens: Any) -> Any:
        """One entry for each patch, at any context; broadcasts over arrays of contexts."""
        return 0 * n_context_tokens + (self.window_tokens or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossAttention(CachesTokens):
    """Each token of text attends to all patches of one image; head norms on queries and keys.

    Key and value matrices are applied to the image once and not read while decoding text.
    """

    n_heads: int
    n_kv_heads: int
    head_dim: int
    n_image_tokens: int

    def __post_init__(self) -> None:
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"{self.n_heads} query heads do not divide over {self.n_kv_heads} KV heads")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"cross-attention to an image ({self.n_image_tokens:,} patches)"

    @property
    def window_tokens(self) -> int | None:
        """Patches of an image."""
        return self.n_image_tokens

    @property
    def k_elements_per_token(self) -> int:
        """Key elements cached for a patch."""
        return self.n_kv_heads * self.head_dim

    @property
    def v_elements_per_token(self) -> int:
        """Value elements cached for a patch."""
        return self.n_kv_heads * self.head_dim

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """The image's keys and values."""
        width = self.n_kv_heads * self.head_dim
        return (
            ImageCache(
                name="image kv", k_elements=width, v_elements=width, window_tokens=self.n_image_tokens
            ),
        )

    @property
    def score_flop_per_cached_token(self) -> int:
        """FLOP of one query token against one patch: 2·h·d for the score and 2·h·d for the value."""
        return 4 * self.n_heads * self.head_dim

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """Every patch, at any context."""
        return 0 * n_context_tokens + self.score_flop_per_cached_token * self.n_image_tokens

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """Every token against every patch."""
        return self.score_flop_per_cached_token * self.n_image_tokens * n_tokens + 0 * n_past_tokens

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The layer's attention weights."""
        query, key = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        return (
            matrix("cross_attn_q_proj", hidden_size, query),
            Weight(role="cross_attn_k_proj", shape=(hidden_size, key), use=Use.UNUSED),
            Weight(role="cross_attn_v_proj", shape=(hidden_size, key), use=Use.UNUSED),
            matrix("cross_attn_o_proj", query, hidden_size),
            vector("cross_attn_q_norm", self.head_dim),
            Weight(role="cross_attn_k_norm", shape=(self.head_dim,), use=Use.UNUSED),
        )

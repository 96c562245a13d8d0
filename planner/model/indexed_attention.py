"""Grouped-query attention with a sparse index: MiniMax-M3's MSA and Qwen4's QSA pick blocks of cached tokens."""

from dataclasses import dataclass, fields
from typing import Any

from planner.model.attention import Attention
from planner.model.token_cache import TokenCache, attended_pairs, least
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedAttention(Attention):
    """Attention to the `top_k_tokens` that a small scorer picks; it keeps one key per token beside the cache.

    `index_v_elements` is what an engine stores there without need: llama.cpp's cache for MiniMax-M3's index
    has room for values (src/llama-kv-cache-msa.cpp).
    """

    n_index_heads: int
    index_head_dim: int
    top_k_tokens: int
    index_v_elements: int = 0

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        heads = "MHA" if self.n_kv_heads == self.n_heads else "MQA" if self.n_kv_heads == 1 else "GQA"
        return f"{heads} with sparse index"

    @property
    def index_flop_per_cached_token(self) -> int:
        """FLOP of scoring one cached key with every index head: 2·h·d."""
        return 2 * self.n_index_heads * self.index_head_dim

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """Keys and values of every token, and the index's key of every token."""
        return (
            TokenCache(
                name="kv",
                k_elements=self.k_elements_per_token,
                v_elements=self.v_elements_per_token,
                entries_read_at_most=self.top_k_tokens,
            ),
            TokenCache(name="index", k_elements=self.index_head_dim, v_elements=self.index_v_elements),
        )

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """Attention to the picked tokens, and the index's scores of all of them."""
        seen = least(n_context_tokens, self.top_k_tokens)
        return self.score_flop_per_cached_token * seen + self.index_flop_per_cached_token * n_context_tokens

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """A pick of k tokens is a window of k tokens as far as the count of pairs goes."""
        picked = attended_pairs(n_tokens, n_past_tokens, self.top_k_tokens)
        scored = attended_pairs(n_tokens, n_past_tokens)
        return self.score_flop_per_cached_token * picked + self.index_flop_per_cached_token * scored

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Those of the attention, and the index's projections of queries and keys with their norms."""
        return (
            *Attention.weights(self, hidden_size),
            matrix("indexer.q_proj", hidden_size, self.n_index_heads * self.index_head_dim),
            matrix("indexer.k_proj", hidden_size, self.index_head_dim),
            vector("indexer.q_norm", self.index_head_dim),
            vector("indexer.k_norm", self.index_head_dim),
        )


def with_index(
    attention: Attention,
    *,
    n_index_heads: int,
    index_head_dim: int,
    top_k_tokens: int,
    index_v_elements: int = 0,
) -> IndexedAttention:
    """The same attention with a sparse index beside it."""
    return IndexedAttention(
        **{field.name: getattr(attention, field.name) for field in fields(Attention)},
        n_index_heads=n_index_heads,
        index_head_dim=index_head_dim,
        top_k_tokens=top_k_tokens,
        index_v_elements=index_v_elements,
    )

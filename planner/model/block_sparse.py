"""Block-sparse attention: a small index scores every cached key and attends to the best blocks (MiniMax M3)."""

from dataclasses import dataclass
from typing import Any

from planner.model.attention import Attention
from planner.model.mixing import CachesTokens
from planner.model.token_cache import TokenCache, attended_pairs, least
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSparseAttention(CachesTokens):
    """Attention that reads `picked_tokens` at most: the blocks an index picked and the nearest ones."""

    attention: Attention
    index_heads: int
    index_head_dim: int
    picked_tokens: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"block-sparse {self.attention.kind.removeprefix('full ')}"

    @property
    def k_elements_per_token(self) -> int:
        """Key elements of the attention."""
        return self.attention.k_elements_per_token

    @property
    def v_elements_per_token(self) -> int:
        """Value elements of the attention."""
        return self.attention.v_elements_per_token

    @property
    def score_flop_per_cached_token(self) -> int:
        """Scores and values of one attended token."""
        return self.attention.score_flop_per_cached_token

    @property
    def _index_flop(self) -> int:
        """Scoring one cached key with every index head: 2·h·d."""
        return 2 * self.index_heads * self.index_head_dim

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """Keys and values of every token, and the index's key of every token beside them."""
        return (
            TokenCache(
                name="kv",
                k_elements=self.k_elements_per_token,
                v_elements=self.v_elements_per_token,
                entries_read_at_most=self.picked_tokens,
            ),
            TokenCache(name="index", k_elements=self.index_head_dim),
        )

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """Attention to the picked tokens, and the index's scores of all of them."""
        seen = least(n_context_tokens, self.picked_tokens)
        return self.score_flop_per_cached_token * seen + self._index_flop * n_context_tokens

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """The same sums over all tokens: a pick of k tokens is a window of k tokens as far as pairs go."""
        picked = attended_pairs(n_tokens, n_past_tokens, self.picked_tokens)
        indexed = attended_pairs(n_tokens, n_past_tokens)
        return self.score_flop_per_cached_token * picked + self._index_flop * indexed

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The attention's weights, and the index's query and key with a norm each."""
        return (
            *self.attention.weights(hidden_size),
            matrix("indexer.attn_q", hidden_size, self.index_heads * self.index_head_dim),
            matrix("indexer.attn_k", hidden_size, self.index_head_dim),
            vector("indexer.q_norm", self.index_head_dim),
            vector("indexer.k_norm", self.index_head_dim),
        )

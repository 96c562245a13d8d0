"""Multi-head latent attention (MLA): one compressed vector per token stands for every head's K and V."""

from dataclasses import dataclass
from typing import Any

from planner.model.mixing import CachesTokens
from planner.model.token_cache import TokenCache, attended_pairs, least
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """The small scorer of DeepSeek sparse attention (DSA) that picks which cached tokens to attend to."""

    n_heads: int
    head_dim: int
    pooled: bool = False  # GLM-5-Next keeps a key, a gate and a pooled value, and summarises every few tokens

    @property
    def cached_elements(self) -> int:
        """Elements kept per token."""
        return self.head_dim * (3 if self.pooled else 1)

    @property
    def score_flop_per_cached_token(self) -> int:
        """FLOP of scoring one cached key with every index head: 2·h·d."""
        return 2 * self.n_heads * self.head_dim

    def weights(self, hidden_size: int, q_lora_rank: int) -> tuple[Weight, ...]:
        """Query and key projections, the key's LayerNorm and the head weights (DeepSeek-V3.2 §2.1)."""
        return (
            matrix("indexer.attn_q_b", q_lora_rank, self.n_heads * self.head_dim),
            matrix("indexer.attn_k", hidden_size, self.head_dim),
            vector("indexer.k_norm", self.head_dim),
            vector("indexer.k_norm.bias", self.head_dim),
            matrix("indexer.proj", hidden_size, self.n_heads),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention(CachesTokens):
    """MLA as in DeepSeek V2 and V3 (DeepSeek-V2 §2.1): cache = latent + shared rotary key, per token.

    The cache is not doubled for K and V and is not divided by tensor parallelism. With a sparse index (DSA)
    a token attends to the `top_k_tokens` that an indexer picked: this layer's own, which then keeps a key per
    token, or that of an earlier layer. Prompts are read with K and V expanded for every head, as vLLM and
    SGLang do, unless `absorbed_prefill` (llama.cpp attends to the latent itself there as well).
    """

    n_heads: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    indexer: Indexer | None = None
    top_k_tokens: int | None = None  # also in layers that follow another layer's index
    output_gate: bool = False
    absorbed_prefill: bool = False

    def __post_init__(self) -> None:
        if self.indexer is not None and self.top_k_tokens is None:
            raise ValueError("a layer with a sparse index must say how many tokens it picks")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        if self.top_k_tokens is None:
            return "MLA"
        return "MLA with sparse index" if self.indexer else "MLA by an earlier layer's index"

    @property
    def k_elements_per_token(self) -> int:
        """The latent and the rotary key; values are a view of the same cache."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    @property
    def v_elements_per_token(self) -> int:
        """Nothing beside the latent."""
        return 0

    @property
    def score_flop_per_cached_token(self) -> int:
        """Absorbed form: scores over latent + rope, values over the latent: 2·h·(2·r_kv + d_rope)."""
        return 2 * self.n_heads * (2 * self.kv_lora_rank + self.qk_rope_head_dim)

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """The latent of every token, and the indexer's key of every token beside it."""
        latent = TokenCache(
            name="latent", k_elements=self.k_elements_per_token, entries_read_at_most=self.top_k_tokens
        )
        if self.indexer is None:
            return (latent,)
        return (latent, TokenCache(name="index", k_elements=self.indexer.cached_elements))

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """Absorbed attention to the picked tokens, and the indexer's scores of all of them."""
        seen = n_context_tokens if self.top_k_tokens is None else least(n_context_tokens, self.top_k_tokens)
        indexed = self.indexer.score_flop_per_cached_token if self.indexer else 0
        return self.score_flop_per_cached_token * seen + indexed * n_context_tokens

    @property
    def index_flop_per_cached_token(self) -> int:
        """FLOP of scoring one cached key with every index head; 0 without an indexer."""
        return self.indexer.score_flop_per_cached_token if self.indexer else 0

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """Expanded attention, 2·h·(d_nope + d_rope + d_v) a pair, or absorbed; the indexer sees every pair."""
        head = self.qk_nope_head_dim + self.qk_rope_head_dim + self.v_head_dim
        per_pair = self.score_flop_per_cached_token if self.absorbed_prefill else 2 * self.n_heads * head
        # A pick of k tokens is a window of k tokens as far as the count of pairs goes.
        picked = attended_pairs(n_tokens, n_past_tokens, self.top_k_tokens)
        return per_pair * picked + self.index_flop_per_cached_token * attended_pairs(n_tokens, n_past_tokens)

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The layer's attention weights, named as llama.cpp stores them (kv_b split into k_b and v_b)."""
        query = self.n_heads * (self.qk_nope_head_dim + self.qk_rope_head_dim)
        found: list[Weight] = []
        if self.q_lora_rank is None:
            found.append(matrix("attn_q", hidden_size, query))
        else:
            found += [
                matrix("attn_q_a", hidden_size, self.q_lora_rank),
                vector("attn_q_a_norm", self.q_lora_rank),
                matrix("attn_q_b", self.q_lora_rank, query),
            ]
        found += [
            matrix("attn_kv_a_mqa", hidden_size, self.kv_lora_rank + self.qk_rope_head_dim),
            vector("attn_kv_a_norm", self.kv_lora_rank),
            Weight(role="attn_k_b", shape=(self.qk_nope_head_dim, self.kv_lora_rank, self.n_heads)),
            Weight(role="attn_v_b", shape=(self.kv_lora_rank, self.v_head_dim, self.n_heads)),
            matrix("attn_output", self.n_heads * self.v_head_dim, hidden_size),
        ]
        if self.output_gate:
            found.append(matrix("attn_gate", hidden_size, self.n_heads * self.v_head_dim))
        if self.indexer is not None:
            if self.q_lora_rank is None:
                raise ValueError("a sparse index reads the query's latent, so it needs q_lora_rank")
            found += self.indexer.weights(hidden_size, self.q_lora_rank)
        return tuple(found)

"""Multi-head latent attention (MLA): one compressed vector per token stands for every head's K and V."""

from dataclasses import dataclass

from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """The small scorer of DeepSeek sparse attention (DSA) that picks which cached tokens to attend to."""

    n_heads: int
    head_dim: int
    top_k_tokens: int

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
class LatentAttention:
    """MLA as in DeepSeek V2 and V3 (DeepSeek-V2 §2.1): cache = latent + shared rotary key, per token.

    The cache is not doubled for K and V and is not divided by tensor parallelism.
    """

    n_heads: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    indexer: Indexer | None = None
    output_gate: bool = False

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "MLA with sparse index" if self.indexer else "MLA"

    @property
    def window_tokens(self) -> int | None:
        """MLA caches the whole context."""
        return None

    @property
    def k_elements_per_token(self) -> int:
        """The latent and the rotary key; values are a view of the same cache."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    @property
    def v_elements_per_token(self) -> int:
        """Nothing beside the latent."""
        return 0

    @property
    def state_elements(self) -> int:
        """MLA keeps no state of constant size."""
        return 0

    @property
    def score_flop_per_cached_token(self) -> int:
        """Absorbed form: scores over latent + rope, values over the latent: 2·h·(2·r_kv + d_rope)."""
        return 2 * self.n_heads * (2 * self.kv_lora_rank + self.qk_rope_head_dim)

    @property
    def state_flop_per_token(self) -> int:
        """No recurrent state to update."""
        return 0

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

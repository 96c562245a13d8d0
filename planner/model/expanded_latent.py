"""Latent attention whose cache holds every head's K and V: how MiniCPM3, PLM and old GGUF files are run."""

from dataclasses import dataclass

from planner.model.mixing import CachesTokens
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandedLatentAttention(CachesTokens):
    """Low-rank projections as in MLA, but K and V are expanded before they are cached.

    llama.cpp does so wherever the key-value up-projection is stored in one piece (src/models/minicpm3.cpp,
    plm.cpp, and DeepSeek V2 files from before April 2025); the cache is then as large as without MLA.
    """

    n_heads: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "MLA with an expanded cache"

    @property
    def _key_head_dim(self) -> int:
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def k_elements_per_token(self) -> int:
        """Every head's key."""
        return self.n_heads * self._key_head_dim

    @property
    def v_elements_per_token(self) -> int:
        """Every head's value."""
        return self.n_heads * self.v_head_dim

    @property
    def score_flop_per_cached_token(self) -> int:
        """2·h·d_k for scores and 2·h·d_v for values, as in plain attention."""
        return 2 * self.n_heads * (self._key_head_dim + self.v_head_dim)

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The projections, the key-value up-projection in one piece."""
        query = self.n_heads * self._key_head_dim
        found: list[Weight] = []
        if self.q_lora_rank is None:
            found.append(matrix("attn_q", hidden_size, query))
        else:
            found += [
                matrix("attn_q_a", hidden_size, self.q_lora_rank),
                vector("attn_q_a_norm", self.q_lora_rank),
                matrix("attn_q_b", self.q_lora_rank, query),
            ]
        return (
            *found,
            matrix("attn_kv_a_mqa", hidden_size, self.kv_lora_rank + self.qk_rope_head_dim),
            vector("attn_kv_a_norm", self.kv_lora_rank),
            matrix("attn_kv_b", self.kv_lora_rank, self.n_heads * (self.qk_nope_head_dim + self.v_head_dim)),
            matrix("attn_output", self.n_heads * self.v_head_dim, hidden_size),
        )

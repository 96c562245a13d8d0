"""Softmax attention over a key-value cache: MHA, GQA, MQA, full, sliding-window or chunked."""

from dataclasses import dataclass
from typing import Any, Literal

from planner.model.mixing import CachesTokens
from planner.model.token_cache import attended_pairs
from planner.model.weight import Use, Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention(CachesTokens):
    """Softmax attention in which `n_kv_heads` key-value heads serve `n_heads` query heads.

    `window_tokens` is the sliding window or chunk, None for full attention. `qk_norm` is "head" for a norm
    of one head's width shared by all heads (Qwen3, Gemma 3) and "full" for one across all heads (OLMo 2).
    A layer with `shares_kv` reads an earlier layer's cache and owns neither K nor V.
    """

    n_heads: int
    n_kv_heads: int
    key_head_dim: int
    value_head_dim: int
    window_tokens: int | None = None
    chunked: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: Literal["none", "head", "full"] = "none"
    qk_norm_bias: bool = False
    sinks: bool = False
    output_gate: Literal["none", "in_query", "matrix", "head"] = "none"
    fused_qkv: bool = False
    value_is_key: bool = False  # one matrix gives K and V (Gemma 4's full layers); both are still cached
    shares_kv: bool = False
    stores_shared_kv: bool = False  # such a layer's K and V matrices are in the files, and never used

    def __post_init__(self) -> None:
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"{self.n_heads} query heads do not divide over {self.n_kv_heads} KV heads")
        if self.window_tokens is not None and self.window_tokens <= 0:
            raise ValueError(f"a window of {self.window_tokens} tokens; use None for full attention")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        heads = "MHA" if self.n_kv_heads == self.n_heads else "MQA" if self.n_kv_heads == 1 else "GQA"
        if self.window_tokens is None:
            return f"full {heads}"
        return f"{'chunked' if self.chunked else 'sliding-window'} {heads} ({self.window_tokens:,})"

    @property
    def k_elements_per_token(self) -> int:
        """Key elements cached per token; 0 in a layer that reads another's cache."""
        return 0 if self.shares_kv else self.n_kv_heads * self.key_head_dim

    @property
    def v_elements_per_token(self) -> int:
        """Value elements cached per token; 0 in a layer that reads another's cache."""
        return 0 if self.shares_kv else self.n_kv_heads * self.value_head_dim

    @property
    def score_flop_per_cached_token(self) -> int:
        """FLOP of one query token against one cached token: 2·h·d_k for scores and 2·h·d_v for values."""
        return 2 * self.n_heads * (self.key_head_dim + self.value_head_dim)

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """Pairs under the causal mask, the window or the chunk."""
        pairs = attended_pairs(n_tokens, n_past_tokens, self.window_tokens, chunked=self.chunked)
        return self.score_flop_per_cached_token * pairs

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The layer's attention weights."""
        query = self.n_heads * self.key_head_dim
        key = self.n_kv_heads * self.key_head_dim
        value = self.n_kv_heads * self.value_head_dim
        out = self.n_heads * self.value_head_dim
        found: list[Weight] = []
        if self.fused_qkv:
            found.append(matrix("attn_qkv", hidden_size, query + key + value))
            if self.qkv_bias:
                found.append(vector("attn_qkv.bias", query + key + value))
        else:
            projections = [("attn_q", query * (2 if self.output_gate == "in_query" else 1))]
            if not self.shares_kv:
                projections.append(("attn_k", key))
                if not self.value_is_key:
                    projections.append(("attn_v", value))
            for role, width in projections:
                found.append(matrix(role, hidden_size, width))
                if self.qkv_bias:
                    found.append(vector(f"{role}.bias", width))
            if self.shares_kv and self.stores_shared_kv:
                found += [
                    Weight(role=role, shape=(hidden_size, width), use=Use.UNUSED)
                    for role, width in (("attn_k", key), ("attn_v", value))
                ]
                found.append(Weight(role="attn_k_norm", shape=(self.key_head_dim,), use=Use.UNUSED))
        if self.output_gate == "matrix":
            found.append(matrix("attn_gate", hidden_size, out))
        elif self.output_gate == "head":
            found.append(matrix("attn_gate", hidden_size, self.n_heads))
        found.append(matrix("attn_output", out, hidden_size))
        if self.output_bias:
            found.append(vector("attn_output.bias", hidden_size))
        if self.qk_norm != "none":
            full = self.qk_norm == "full"
            norms = [("attn_q_norm", query if full else self.key_head_dim)]
            if not self.shares_kv:
                norms.append(("attn_k_norm", key if full else self.key_head_dim))
            for role, width in norms:
                found.append(vector(role, width))
                if self.qk_norm_bias:
                    found.append(vector(f"{role}.bias", width))
        if self.sinks:
            found.append(vector("attn_sinks", self.n_heads))
        return tuple(found)

"""Compressed attention (DeepSeek V4): a short window beside summaries of every r-th token."""

from dataclasses import dataclass
from typing import Any

from planner.model.latent import Indexer
from planner.model.mixing import CachesTokens
from planner.model.token_cache import TokenCache, attended_pairs
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressor:
    """Sums every `ratio` tokens up in one cached vector; overlapping blocks take twice the width."""

    ratio: int
    head_dim: int
    overlapping: bool

    @property
    def state_elements(self) -> int:
        """Values and gates of the block being summed up, and of the one before where blocks overlap.

        2 · width · ratio, twice that with overlap (llama.cpp: src/llama-kv-cache-dsv4.cpp).
        """
        blocks = 2 if self.overlapping else 1
        return 2 * (self.head_dim * blocks) * (self.ratio * blocks)

    def weights(self, hidden_size: int, prefix: str) -> tuple[Weight, ...]:
        """Values and gates to sum up with, a position table within the block, and a norm."""
        width = self.head_dim * (2 if self.overlapping else 1)
        return (
            matrix(f"{prefix}_kv", hidden_size, width),
            matrix(f"{prefix}_gate", hidden_size, width),
            Weight(role=f"{prefix}_ape", shape=(width, self.ratio)),
            vector(f"{prefix}_norm", self.head_dim),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedAttention(CachesTokens):
    """DeepSeek V4's attention: one vector is key and value of every head; far tokens are kept compressed.

    A layer without a compressor attends to its window only. A layer with one also keeps an entry for every
    `ratio` tokens; with an `indexer`, which keeps compressed keys of its own, it attends to the `top_k_entries`
    best of them, without one to all.
    """

    n_heads: int
    head_dim: int
    q_lora_rank: int
    o_lora_rank: int
    o_groups: int
    window: int
    compressor: Compressor | None = None
    indexer: Indexer | None = None
    top_k_entries: int | None = None

    def __post_init__(self) -> None:
        if (self.n_heads * self.head_dim) % self.o_groups:
            raise ValueError(f"{self.n_heads} heads do not divide over {self.o_groups} output groups")
        if self.indexer is not None and self.compressor is None:
            raise ValueError("a sparse index picks compressed entries, so it needs a compressor")
        if (self.indexer is None) != (self.top_k_entries is None):
            raise ValueError("a sparse index and how many entries it picks belong together")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        if self.compressor is None:
            return f"sliding-window MQA ({self.window:,})"
        return f"{'sparse ' if self.indexer else ''}compressed attention (1/{self.compressor.ratio})"

    @property
    def window_tokens(self) -> int | None:
        """The window, which every layer has."""
        return self.window

    @property
    def k_elements_per_token(self) -> int:
        """One vector per token of the window; values are a view of the same."""
        return self.head_dim

    @property
    def v_elements_per_token(self) -> int:
        """Nothing beside the shared vector."""
        return 0

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """The window; the compressed entries; the indexer's compressed keys."""
        found = [TokenCache(name="kv", k_elements=self.head_dim, window_tokens=self.window)]
        if self.compressor is not None:
            ratio = self.compressor.ratio
            found.append(
                TokenCache(
                    name="compressed kv",
                    k_elements=self.head_dim,
                    tokens_per_entry=ratio,
                    entries_read_at_most=self.top_k_entries,
                )
            )
            if self.indexer is not None:
                found.append(
                    TokenCache(
                        name="compressed index", k_elements=self.indexer.head_dim, tokens_per_entry=ratio
                    )
                )
        return tuple(found)

    @property
    def state_elements(self) -> int:
        """What the compressors hold of the blocks they have not finished."""
        if self.compressor is None:
            return 0
        own = self._index_compressor
        return self.compressor.state_elements + (own.state_elements if own else 0)

    @property
    def _index_compressor(self) -> Compressor | None:
        if self.compressor is None or self.indexer is None:
            return None
        return Compressor(
            ratio=self.compressor.ratio,
            head_dim=self.indexer.head_dim,
            overlapping=self.compressor.overlapping,
        )

    @property
    def score_flop_per_cached_token(self) -> int:
        """Every head's score and value of one entry: 4·h·d."""
        return 4 * self.n_heads * self.head_dim

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """Attention to the window and the compressed entries read, and the indexer's scores of all entries."""
        flop = 0 * n_context_tokens
        for cache in self.token_caches:
            per_entry = self.score_flop_per_cached_token
            if self.indexer is not None and cache.name == "compressed index":
                per_entry = self.indexer.score_flop_per_cached_token
            flop = flop + per_entry * cache.entries_read(n_context_tokens)
        return flop

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """The same sums over all tokens; every r-th token adds a compressed entry."""
        flop = self.score_flop_per_cached_token * attended_pairs(n_tokens, n_past_tokens, self.window)
        if self.compressor is None:
            return flop
        ratio = self.compressor.ratio
        limit = None if self.top_k_entries is None else self.top_k_entries * ratio
        picked = attended_pairs(n_tokens, n_past_tokens, limit) // ratio
        flop = flop + self.score_flop_per_cached_token * picked
        if self.indexer is not None:
            scored = attended_pairs(n_tokens, n_past_tokens) // ratio
            flop = flop + self.indexer.score_flop_per_cached_token * scored
        return flop

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Low-rank query, one shared key-value, grouped low-rank output, sinks, compressor and indexer."""
        query = self.n_heads * self.head_dim
        found = [
            matrix("attn_q_a", hidden_size, self.q_lora_rank),
            vector("attn_q_a_norm", self.q_lora_rank),
            matrix("attn_q_b", self.q_lora_rank, query),
            matrix("attn_kv", hidden_size, self.head_dim),
            vector("attn_kv_a_norm", self.head_dim),
            Weight(role="attn_output_a", shape=(query // self.o_groups, self.o_lora_rank, self.o_groups)),
            matrix("attn_output_b", self.o_groups * self.o_lora_rank, hidden_size),
            vector("attn_sinks", self.n_heads),
        ]
        if self.compressor is not None:
            found += self.compressor.weights(hidden_size, "attn_compressor")
            own = self._index_compressor
            if self.indexer is not None and own is not None:
                found += own.weights(hidden_size, "indexer_compressor")
                found += [
                    matrix(
                        "indexer.attn_q_b", self.q_lora_rank, self.indexer.n_heads * self.indexer.head_dim
                    ),
                    matrix("indexer.proj", hidden_size, self.indexer.n_heads),
                ]
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class HyperConnections:
    """Several parallel residual streams mixed before and after each half of a layer (arXiv:2409.19606)."""

    n_streams: int

    def layer_weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Mixing matrix, base and three scales, for the attention and for the feed-forward half."""
        mixes = (2 + self.n_streams) * self.n_streams
        found: list[Weight] = []
        for half in ("attn", "ffn"):
            found += [
                matrix(f"hc_{half}_fn", self.n_streams * hidden_size, mixes),
                vector(f"hc_{half}_base", mixes),
                vector(f"hc_{half}_scale", 3),
            ]
        return tuple(found)

    def head_weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """What joins the streams in front of the output head."""
        return (
            matrix("output_hc_fn", self.n_streams * hidden_size, self.n_streams),
            vector("output_hc_base", self.n_streams),
            vector("output_hc_scale", 1),
        )

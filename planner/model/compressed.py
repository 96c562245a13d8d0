"""Compressed attention (DeepSeek V4): a short window beside summaries of every r-th token."""

from dataclasses import dataclass

from planner.model.latent import Indexer
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressor:
    """Sums every `ratio` tokens up in one cached vector; overlapping blocks take twice the width."""

    ratio: int
    head_dim: int
    overlapping: bool

    def weights(self, hidden_size: int, prefix: str) -> tuple[Weight, ...]:
        """Values and gates to sum up with, a position table within the block, and a norm."""
        width = self.head_dim * (2 if self.overlapping else 1)
        return (
            matrix(f"{prefix}.kv", hidden_size, width),
            matrix(f"{prefix}.gate", hidden_size, width),
            Weight(role=f"{prefix}.ape", shape=(width, self.ratio)),
            vector(f"{prefix}.norm", self.head_dim),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedAttention:
    """DeepSeek V4's attention: one vector is key and value of every head; far tokens are kept compressed.

    A layer without a compressor attends to its window only. A layer with one keeps that window as state of
    constant size and adds head_dim / ratio elements per token; with an `indexer` it attends to the top-k
    compressed entries, without one to all of them.
    """

    n_heads: int
    head_dim: int
    q_lora_rank: int
    o_lora_rank: int
    o_groups: int
    window: int
    compressor: Compressor | None = None
    indexer: Indexer | None = None

    def __post_init__(self) -> None:
        if (self.n_heads * self.head_dim) % self.o_groups:
            raise ValueError(f"{self.n_heads} heads do not divide over {self.o_groups} output groups")
        if self.indexer is not None and self.compressor is None:
            raise ValueError("a sparse index picks compressed entries, so it needs a compressor")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        if self.compressor is None:
            return f"sliding-window MQA ({self.window:,})"
        return f"{'sparse ' if self.indexer else ''}compressed attention (1/{self.compressor.ratio})"

    @property
    def window_tokens(self) -> int | None:
        """The window of a layer without a compressor; with one the cache grows with the context."""
        return self.window if self.compressor is None else None

    @property
    def k_elements_per_token(self) -> int:
        """One vector per `ratio` tokens, and the indexer's key beside it; values are a view of the same."""
        if self.compressor is None:
            return self.head_dim
        indexed = self.indexer.head_dim if self.indexer else 0
        return -(-(self.head_dim + indexed) // self.compressor.ratio)

    @property
    def v_elements_per_token(self) -> int:
        """Nothing beside the shared vector."""
        return 0

    @property
    def state_elements(self) -> int:
        """The window of a layer that also compresses."""
        return 0 if self.compressor is None else self.window * self.head_dim

    @property
    def _flop_per_attended(self) -> int:
        return 4 * self.n_heads * self.head_dim

    @property
    def score_flop_per_cached_token(self) -> int:
        """What grows with the context: the indexer's scores, or attention to every compressed entry."""
        if self.compressor is None:
            return self._flop_per_attended
        if self.indexer is None:
            return self._flop_per_attended // self.compressor.ratio
        return 2 * self.indexer.n_heads * self.indexer.head_dim // self.compressor.ratio

    @property
    def state_flop_per_token(self) -> int:
        """What does not grow: attention to the window, and to the indexer's top-k entries."""
        if self.compressor is None:
            return 0
        picked = self.indexer.top_k_tokens if self.indexer else 0
        return self._flop_per_attended * (self.window + picked)

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Low-rank query, one shared key-value, grouped low-rank output, sinks, compressor and indexer."""
        query = self.n_heads * self.head_dim
        found = [
            matrix("attn_q_a", hidden_size, self.q_lora_rank),
            vector("attn_q_a_norm", self.q_lora_rank),
            matrix("attn_q_b", self.q_lora_rank, query),
            matrix("attn_kv", hidden_size, self.head_dim),
            vector("attn_kv_norm", self.head_dim),
            Weight(role="attn_output_a", shape=(query // self.o_groups, self.o_lora_rank, self.o_groups)),
            matrix("attn_output_b", self.o_groups * self.o_lora_rank, hidden_size),
            vector("attn_sinks", self.n_heads),
        ]
        if self.compressor is not None:
            found += self.compressor.weights(hidden_size, "compressor")
            if self.indexer is not None:
                own = Compressor(
                    ratio=self.compressor.ratio,
                    head_dim=self.indexer.head_dim,
                    overlapping=self.compressor.overlapping,
                )
                found += own.weights(hidden_size, "indexer.compressor")
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
            matrix("hc_head_fn", self.n_streams * hidden_size, self.n_streams),
            vector("hc_head_base", self.n_streams),
            vector("hc_head_scale", 1),
        )

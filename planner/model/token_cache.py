"""What a layer keeps for the tokens it has seen: how many entries, how wide, and how many one token reads."""

from dataclasses import dataclass
from typing import Any


def least(a: Any, b: Any) -> Any:
    """The smaller of two whole numbers, or of each pair in two NumPy arrays of them."""
    return (a + b - abs(a - b)) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCache:
    """One cache of one layer: an entry per `tokens_per_entry` tokens, for the last `window_tokens` at most.

    `k_elements` and `v_elements` are those of one entry. Sparse attention reads at most
    `entries_read_at_most` of the entries for each token, after another cache told it which.
    """

    name: str  # "kv", "latent", "index", "compressed kv", "compressed index"
    k_elements: int
    v_elements: int = 0
    window_tokens: int | None = None  # None: the whole context
    tokens_per_entry: int = 1
    entries_read_at_most: int | None = None

    def __post_init__(self) -> None:
        if self.k_elements + self.v_elements <= 0 or self.tokens_per_entry <= 0:
            raise ValueError(f"a {self.name} cache without elements or tokens")

    @property
    def elements_per_entry(self) -> int:
        """Key and value elements of one entry."""
        return self.k_elements + self.v_elements

    @property
    def elements_per_token(self) -> float:
        """Elements that one more token adds while no window is full."""
        return self.elements_per_entry / self.tokens_per_entry

    def entries(self, n_context_tokens: Any) -> Any:
        """Entries kept after a context; broadcasts over arrays of contexts."""
        kept = n_context_tokens if self.window_tokens is None else least(n_context_tokens, self.window_tokens)
        return kept // self.tokens_per_entry

    def entries_read(self, n_context_tokens: Any) -> Any:
        """Entries that decoding one token at a context reads."""
        kept = self.entries(n_context_tokens)
        return kept if self.entries_read_at_most is None else least(kept, self.entries_read_at_most)


def attended_pairs(n_tokens: Any, n_past_tokens: Any = 0, window_tokens: int | None = None,
                   *, chunked: bool = False) -> Any:  # fmt: skip
    """Pairs of a query and a cached token when `n_tokens` are read after `n_past_tokens`: Σ min(t, W).

    The sum runs over t = past + 1 … past + n, because attention is causal. Chunks of W tokens start afresh:
    token t sees ((t − 1) mod W) + 1. Broadcasts over arrays.
    """
    return _pairs_up_to(n_past_tokens + n_tokens, window_tokens, chunked) - _pairs_up_to(
        n_past_tokens, window_tokens, chunked
    )


def _pairs_up_to(n: Any, window: int | None, chunked: bool) -> Any:
    if window is None:
        return n * (n + 1) // 2
    if chunked:
        rest = n % window
        return n // window * (window * (window + 1) // 2) + rest * (rest + 1) // 2
    inside = least(n, window)
    return inside * (inside + 1) // 2 + (n - inside) * window

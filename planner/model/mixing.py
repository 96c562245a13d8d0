"""What a token mixer offers beside its weights: caches, state, and the work of reading and decoding tokens.

Two bases, because there are two ways to remember: `CachesTokens` keeps something for every token,
`ConstantState` (its own file) a state that does not grow. A part that does neither alone overrides.
"""

from abc import ABC, abstractmethod
from typing import Any

from planner.model.token_cache import TokenCache, attended_pairs, least


class CachesTokens(ABC):
    """Attention over cached tokens; subclasses give the widths of K and V, the window and the FLOP of a pair."""

    __slots__ = ()

    @property
    @abstractmethod
    def k_elements_per_token(self) -> int:
        """Key elements cached per token."""

    @property
    @abstractmethod
    def v_elements_per_token(self) -> int:
        """Value elements cached per token."""

    @property
    @abstractmethod
    def score_flop_per_cached_token(self) -> int:
        """FLOP of one query token for each cached token it looks at."""

    @property
    def window_tokens(self) -> int | None:
        """Tokens the cache keeps at most; None for all of them."""
        return None

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """One cache of keys and values; none in a layer that reads another's."""
        if not self.k_elements_per_token + self.v_elements_per_token:
            return ()
        return (
            TokenCache(
                name="kv",
                k_elements=self.k_elements_per_token,
                v_elements=self.v_elements_per_token,
                window_tokens=self.window_tokens,
            ),
        )

    @property
    def state_elements(self) -> int:
        """Attention keeps no state of constant size."""
        return 0

    @property
    def conv_state_elements(self) -> int:
        """Attention keeps no state of constant size."""
        return 0

    @property
    def state_flop_per_token(self) -> int:
        """No recurrent state to update."""
        return 0

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """FLOP of mixing one token at a context, the weights apart: pair · min(t, W)."""
        window = self.window_tokens
        seen = n_context_tokens if window is None else least(n_context_tokens, window)
        return self.score_flop_per_cached_token * seen

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """FLOP of mixing `n_tokens` after `n_past_tokens`, the weights apart: pair · Σ min(t, W)."""
        return self.score_flop_per_cached_token * attended_pairs(n_tokens, n_past_tokens, self.window_tokens)

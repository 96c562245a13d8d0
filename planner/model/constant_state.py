"""What every recurrent layer has in common: nothing cached per token, a state of constant size instead."""

from abc import ABC, abstractmethod
from typing import Any

from planner.model.token_cache import TokenCache


class ConstantState(ABC):
    """A mixer whose memory does not grow with the context; subclasses give its state and its weights."""

    __slots__ = ()

    @property
    def window_tokens(self) -> int | None:
        """Nothing is cached per token."""
        return None

    @property
    def k_elements_per_token(self) -> int:
        """Nothing is cached per token."""
        return 0

    @property
    def v_elements_per_token(self) -> int:
        """Nothing is cached per token."""
        return 0

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """Nothing is cached per token."""
        return ()

    @property
    def score_flop_per_cached_token(self) -> int:
        """Cost does not depend on the context."""
        return 0

    @property
    def conv_state_elements(self) -> int:
        """The part of the state that is a short convolution's last inputs, kept in the activations' type."""
        return 0

    @property
    @abstractmethod
    def state_elements(self) -> int:
        """Elements of one sequence's state, convolution inputs included."""

    @property
    @abstractmethod
    def state_flop_per_token(self) -> int:
        """FLOP of updating and reading the state, per token."""

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """The same at every context; zero times the context keeps the shape of an array."""
        return self.state_flop_per_token + 0 * n_context_tokens

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """State updates of every token; the scan's extra work within a chunk is left to calibration."""
        return self.state_flop_per_token * n_tokens + 0 * n_past_tokens

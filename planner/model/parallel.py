"""Two token mixers side by side in one layer: attention and Mamba-2 in Falcon-H1, a convolution beside either."""

from dataclasses import dataclass
from typing import Any

from planner.model.network import Mixer
from planner.model.token_cache import TokenCache
from planner.model.weight import Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelMixers:
    """A mixer, which may cache, beside one that only keeps state; their outputs add up."""

    attention: Mixer
    recurrent: Mixer

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"{self.attention.kind} beside {self.recurrent.kind}"

    @property
    def window_tokens(self) -> int | None:
        """The attention's window."""
        return self.attention.window_tokens

    @property
    def k_elements_per_token(self) -> int:
        """Key elements of the attention."""
        return self.attention.k_elements_per_token

    @property
    def v_elements_per_token(self) -> int:
        """Value elements of the attention."""
        return self.attention.v_elements_per_token

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """Caches of the attention."""
        return self.attention.token_caches

    @property
    def state_elements(self) -> int:
        """State of both."""
        return self.attention.state_elements + self.recurrent.state_elements

    @property
    def conv_state_elements(self) -> int:
        """Convolution inputs of both."""
        return self.attention.conv_state_elements + self.recurrent.conv_state_elements

    @property
    def score_flop_per_cached_token(self) -> int:
        """Scores of the attention."""
        return self.attention.score_flop_per_cached_token

    @property
    def state_flop_per_token(self) -> int:
        """State updates of both."""
        return self.attention.state_flop_per_token + self.recurrent.state_flop_per_token

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """The work of both."""
        return self.attention.decode_flop(n_context_tokens) + self.recurrent.decode_flop(n_context_tokens)

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """The work of both."""
        attention = self.attention.prefill_flop(n_tokens, n_past_tokens)
        return attention + self.recurrent.prefill_flop(n_tokens, n_past_tokens)

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The weights of both."""
        return (*self.attention.weights(hidden_size), *self.recurrent.weights(hidden_size))

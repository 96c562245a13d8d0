"""A layer that runs again with weights it shares: looped networks keep a cache for every pass."""

from dataclasses import dataclass
from typing import Any

from planner.model.network import Mixer
from planner.model.token_cache import TokenCache
from planner.model.weight import Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedMixer:
    """The mixer of another layer once more (Nanbeige's loops, HRM's cycles): its own cache, no weights."""

    mixer: Mixer

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"{self.mixer.kind}, repeated"

    @property
    def window_tokens(self) -> int | None:
        """The window of the mixer."""
        return self.mixer.window_tokens

    @property
    def k_elements_per_token(self) -> int:
        """Key elements of the mixer."""
        return self.mixer.k_elements_per_token

    @property
    def v_elements_per_token(self) -> int:
        """Value elements of the mixer."""
        return self.mixer.v_elements_per_token

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """Caches of this pass."""
        return self.mixer.token_caches

    @property
    def state_elements(self) -> int:
        """State of this pass."""
        return self.mixer.state_elements

    @property
    def conv_state_elements(self) -> int:
        """Convolution inputs of this pass."""
        return self.mixer.conv_state_elements

    @property
    def score_flop_per_cached_token(self) -> int:
        """Scores of the mixer."""
        return self.mixer.score_flop_per_cached_token

    @property
    def state_flop_per_token(self) -> int:
        """State updates of the mixer."""
        return self.mixer.state_flop_per_token

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """The work of the mixer."""
        return self.mixer.decode_flop(n_context_tokens)

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """The work of the mixer."""
        return self.mixer.prefill_flop(n_tokens, n_past_tokens)

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:  # noqa: ARG002 — asked of every mixer
        """None: they are those of the layer that is repeated."""
        return ()

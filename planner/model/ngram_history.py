"""N-gram embeddings mixed into one layer (Qwen4's PLE): a hashed table, a gate, a convolution with a history."""

from dataclasses import dataclass
from typing import Any

from planner.model.network import Mixer
from planner.model.token_cache import TokenCache
from planner.model.weight import Use, Weight, matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramHistory:
    """A mixer with the n-gram module beside it, which keeps its convolution's last inputs as state.

    The convolution is dilated by the n-gram's length: state = (K − 1) · n · streams · H elements
    (llama_hparams::ple_conv_state).
    """

    mixer: Mixer
    hidden_size: int
    n_streams: int
    ngram_size: int
    conv_kernel: int
    embedding_width: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"{self.mixer.kind} with n-gram embeddings"

    @property
    def _history_elements(self) -> int:
        return (self.conv_kernel - 1) * self.ngram_size * self.n_streams * self.hidden_size

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
        """Caches of the mixer."""
        return self.mixer.token_caches

    @property
    def state_elements(self) -> int:
        """State of the mixer and the convolution's last inputs."""
        return self.mixer.state_elements + self._history_elements

    @property
    def conv_state_elements(self) -> int:
        """Convolution inputs of both."""
        return self.mixer.conv_state_elements + self._history_elements

    @property
    def score_flop_per_cached_token(self) -> int:
        """Scores of the mixer."""
        return self.mixer.score_flop_per_cached_token

    @property
    def state_flop_per_token(self) -> int:
        """State updates of the mixer and a multiply-add per tap of the convolution."""
        taps = 2 * self.conv_kernel * self.n_streams * self.hidden_size
        return self.mixer.state_flop_per_token + taps

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """The work of both."""
        taps = 2 * self.conv_kernel * self.n_streams * self.hidden_size
        return self.mixer.decode_flop(n_context_tokens) + taps

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """The work of both."""
        taps = 2 * self.conv_kernel * self.n_streams * self.hidden_size
        return self.mixer.prefill_flop(n_tokens, n_past_tokens) + taps * n_tokens

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Those of the mixer; keys and values of the embedding, three norms, the convolution."""
        streams = (hidden_size, self.n_streams)
        return (
            *self.mixer.weights(hidden_size),
            matrix("ple_key", self.embedding_width, self.n_streams * hidden_size),
            matrix("ple_value", self.embedding_width, hidden_size),
            *(
                Weight(role=role, shape=streams, use=Use.VECTOR)
                for role in ("ple_norm_key", "ple_norm_query", "ple_norm_conv")
            ),
            Weight(role="ple_conv1d", shape=(self.conv_kernel, self.n_streams * hidden_size), use=Use.VECTOR),
        )

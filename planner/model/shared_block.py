"""A transformer block whose weights several layers share, called between Mamba layers (Zamba, Zamba2)."""

from dataclasses import dataclass
from typing import Any

from planner.model.around_attention import AroundAttention
from planner.model.attention import Attention
from planner.model.token_cache import attended_pairs
from planner.model.weight import Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedBlockCall(AroundAttention):
    """One layer's call of a shared block: a cache of its own, weights of its own beside the shared ones.

    The shared weights are stored once and belong to the network's `outer`, where their work counts once;
    `repeated_flop` is the work of the matrices in every further call.
    """

    attention: Attention
    own: tuple[Weight, ...]
    repeated_flop: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"shared block with {self.attention.kind}"

    @property
    def state_flop_per_token(self) -> int:
        """The shared matrices, multiplied with once more."""
        return self.repeated_flop

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """Attention and the repeated matrices."""
        return self.score_flop_per_cached_token * n_context_tokens + self.repeated_flop

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """Attention and the repeated matrices."""
        pairs = attended_pairs(n_tokens, n_past_tokens)
        return self.score_flop_per_cached_token * pairs + self.repeated_flop * n_tokens

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The weights that only this call has; they already know the hidden size."""
        del hidden_size
        return self.own

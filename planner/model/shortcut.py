"""LongCat's layer: two attentions and two dense MLPs, with experts beside them, some of which compute nothing."""

from dataclasses import dataclass
from typing import Any

from planner.model.feed_forward import FeedForward
from planner.model.network import Mixer
from planner.model.token_cache import TokenCache
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinMixers:
    """Two mixers of one kind and size, one after the other in the same layer; both cache."""

    each: Mixer

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"2 × {self.each.kind}"

    @property
    def window_tokens(self) -> int | None:
        """The window of each."""
        return self.each.window_tokens

    @property
    def k_elements_per_token(self) -> int:
        """Key elements of both."""
        return 2 * self.each.k_elements_per_token

    @property
    def v_elements_per_token(self) -> int:
        """Value elements of both."""
        return 2 * self.each.v_elements_per_token

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """The caches of both."""
        return self.each.token_caches * 2

    @property
    def state_elements(self) -> int:
        """State of both."""
        return 2 * self.each.state_elements

    @property
    def conv_state_elements(self) -> int:
        """Convolution inputs of both."""
        return 2 * self.each.conv_state_elements

    @property
    def score_flop_per_cached_token(self) -> int:
        """Scores of both."""
        return 2 * self.each.score_flop_per_cached_token

    @property
    def state_flop_per_token(self) -> int:
        """Work of both."""
        return 2 * self.each.state_flop_per_token

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """The work of both."""
        return 2 * self.each.decode_flop(n_context_tokens)

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """The work of both."""
        return 2 * self.each.prefill_flop(n_tokens, n_past_tokens)

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The weights of both."""
        return self.each.weights(hidden_size) * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutExperts:
    """Two dense MLPs and experts on a shortcut around them (LongCat-Flash, arXiv:2509.01322 §2).

    The router also picks among `n_zero_experts` that return their input. With even routing a token uses
    k·E/(E + Z) real experts, which is what active parameters count.
    """

    dense: FeedForward
    n_experts: int
    n_zero_experts: int
    n_picked: int
    intermediate_size: int
    router_bias: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.n_picked <= self.n_experts + self.n_zero_experts:
            raise ValueError(
                f"{self.n_picked} of {self.n_experts} + {self.n_zero_experts} experts cannot be picked"
            )

    @property
    def n_active(self) -> float:
        """Real experts that a token uses on average: k·E/(E + Z)."""
        return self.n_picked * self.n_experts / (self.n_experts + self.n_zero_experts)

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return (
            f"2 × {self.dense.kind} + MoE {self.n_picked} of {self.n_experts} + {self.n_zero_experts} empty"
        )

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Router with its correction bias over real and empty experts, the real ones, both dense MLPs."""
        n_routed = self.n_experts + self.n_zero_experts
        size = self.intermediate_size
        found = [matrix("ffn_gate_inp", hidden_size, n_routed), vector("exp_probs_b.bias", n_routed)]
        if self.router_bias:
            found.append(vector("ffn_gate_inp.bias", n_routed))
        found += [
            Weight(role=role, shape=(n_in, n_out, self.n_experts), active_experts=self.n_active)
            for role, n_in, n_out in (
                ("ffn_gate_exps", hidden_size, size),
                ("ffn_up_exps", hidden_size, size),
                ("ffn_down_exps", size, hidden_size),
            )
        ]
        return (*found, *self.dense.weights(hidden_size) * 2)

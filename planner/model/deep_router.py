"""Experts behind a router that is a small network itself and may send a token to none of them (ZAYA)."""

from dataclasses import dataclass

from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepRouterExperts:
    """Gated experts, picked among one more choice than there are experts: leave the token as it is.

    With even routing a token uses k·E/(E + 1) experts, which is what active parameters count.
    """

    n_experts: int
    n_picked: int
    intermediate_size: int
    router_hidden_size: int
    carries_router_state: bool  # every layer but the first mixes the last router's state in

    def __post_init__(self) -> None:
        if not 0 < self.n_picked <= self.n_experts:
            raise ValueError(f"{self.n_picked} of {self.n_experts} experts cannot be picked")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"MoE {self.n_picked} of {self.n_experts} + 1 empty"

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The router's layers and balancing biases, and the experts."""
        width, size, choices = self.router_hidden_size, self.intermediate_size, self.n_experts + 1
        found = [
            matrix("ffn_gate_inp_down", hidden_size, width),
            vector("ffn_gate_inp_down.bias", width),
            vector("ffn_gate_inp_norm", width),
            matrix("ffn_gate_inp_1", width, width),
            vector("ffn_gate_inp_1.bias", width),
            matrix("ffn_gate_inp_2", width, width),
            vector("ffn_gate_inp_2.bias", width),
            matrix("ffn_gate_inp", width, choices),
            vector("exp_probs_b.bias", choices),
        ]
        if self.carries_router_state:
            found.append(vector("ffn_gate_inp_carry", width))
        active = self.n_picked * self.n_experts / choices
        found += [
            Weight(role=role, shape=(n_in, n_out, self.n_experts), active_experts=active)
            for role, n_in, n_out in (
                ("ffn_gate_exps", hidden_size, size),
                ("ffn_up_exps", hidden_size, size),
                ("ffn_down_exps", size, hidden_size),
            )
        ]
        return tuple(found)

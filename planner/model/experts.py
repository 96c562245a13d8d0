"""Mixture of experts: a router sends each token through a few of many feed-forward blocks."""

from dataclasses import dataclass
from typing import Any

from planner.model.feed_forward import FeedForward
from planner.model.weight import Use, Weight, expected_read_share, matrix, vector


def expected_distinct_experts(n_experts: float, n_active: float, n_tokens: Any) -> Any:
    """Experts that at least one of n tokens picks, routing evenly: E · (1 − (1 − k/E)^n); broadcasts."""
    return n_experts * expected_read_share(n_active / n_experts, n_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A mixture-of-experts block, with shared experts and a dense residual where the model has them.

    `expert_hidden_size` replaces the hidden size inside experts that work in a latent space.
    """

    n_experts: int
    n_active: int
    intermediate_size: int
    gated: bool = True
    fused_gate: bool = False  # gate and up stored as one tensor
    expert_bias: bool = False
    router_bias: bool = False
    correction_bias: bool = False
    shared: FeedForward | None = None
    shared_gate: bool = False
    residual: FeedForward | None = None
    expert_hidden_size: int | None = None
    latent_norm: bool = False  # a norm of that latent space, in front of the way back

    def __post_init__(self) -> None:
        if not 0 < self.n_active <= self.n_experts:
            raise ValueError(f"{self.n_active} of {self.n_experts} experts cannot be active")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        extra = " + shared" if self.shared else ""
        extra += " + dense" if self.residual else ""
        return f"MoE {self.n_active} of {self.n_experts}{extra}"

    def _expert(self, role: str, n_in: int, n_out: int) -> Weight:
        return Weight(role=role, shape=(n_in, n_out, self.n_experts), active_experts=self.n_active)

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Router, experts, shared experts and residual."""
        inner = self.expert_hidden_size or hidden_size
        size = self.intermediate_size
        found = [matrix("ffn_gate_inp", hidden_size, self.n_experts)]
        if self.router_bias:
            found.append(vector("ffn_gate_inp.bias", self.n_experts))
        if self.correction_bias:
            found.append(vector("exp_probs_b.bias", self.n_experts))
        if self.gated and self.fused_gate:
            found.append(self._expert("ffn_gate_up_exps", inner, 2 * size))
        else:
            if self.gated:
                found.append(self._expert("ffn_gate_exps", inner, size))
            found.append(self._expert("ffn_up_exps", inner, size))
        found.append(self._expert("ffn_down_exps", size, inner))
        if self.expert_bias:
            widths = [("ffn_up_exps.bias", size), ("ffn_down_exps.bias", inner)]
            if self.gated:
                widths.append(("ffn_gate_exps.bias", size))
            found += [
                Weight(role=role, shape=(n, self.n_experts), use=Use.VECTOR, active_experts=self.n_active)
                for role, n in widths
            ]
        if self.expert_hidden_size is not None:
            # llama.cpp names them otherwise in the one family that has the norm (Kimi K3).
            name = "ffn_routed" if self.latent_norm else "ffn_latent"
            found += [matrix(f"{name}_down", hidden_size, inner), matrix(f"{name}_up", inner, hidden_size)]
            if self.latent_norm:
                found.append(vector(f"{name}_norm", inner))
        if self.shared is not None:
            found += [
                Weight(role=_suffixed(w.role, "_shexp"), shape=w.shape, use=w.use)
                for w in self.shared.weights(hidden_size)
            ]
            if self.shared_gate:
                found.append(vector("ffn_gate_inp_shexp", hidden_size))
        if self.residual is not None:
            found += self.residual.weights(hidden_size)
        return tuple(found)


def _suffixed(role: str, suffix: str) -> str:
    name, dot, rest = role.partition(".")
    return f"{name}{suffix}{dot}{rest}"

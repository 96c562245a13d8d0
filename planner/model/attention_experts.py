"""Mixture of attention heads: experts give the queries and the output, one set of keys and values serves all (JetMoE)."""

from dataclasses import dataclass

from planner.model.mixing import CachesTokens
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionExperts(CachesTokens):
    """Each token picks `n_active` of `n_experts` groups of query heads (JetMoE, arXiv:2404.07413)."""

    n_experts: int
    n_active: int
    n_kv_heads: int
    head_dim: int

    def __post_init__(self) -> None:
        if not 0 < self.n_active <= self.n_experts:
            raise ValueError(f"{self.n_active} of {self.n_experts} attention experts cannot be active")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"attention experts {self.n_active} of {self.n_experts}"

    @property
    def _width(self) -> int:
        return self.n_kv_heads * self.head_dim

    @property
    def k_elements_per_token(self) -> int:
        """Key elements cached per token."""
        return self._width

    @property
    def v_elements_per_token(self) -> int:
        """Value elements cached per token."""
        return self._width

    @property
    def score_flop_per_cached_token(self) -> int:
        """Scores and values of the picked groups' heads: 4·k·h_kv·d."""
        return 4 * self.n_active * self._width

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Router, queries and outputs by expert, keys and values for all, a bias of the output."""
        n, k = self.n_experts, self.n_active
        return (
            matrix("attn_gate_inp", hidden_size, n),
            Weight(role="attn_q_exps", shape=(hidden_size, self._width, n), active_experts=k),
            Weight(role="attn_output_exps", shape=(self._width, hidden_size, n), active_experts=k),
            vector("attn_output.bias", hidden_size),
            matrix("attn_kv", hidden_size, 2 * self._width),
        )

"""Kimi delta attention with full-rank gates (Ling 2.5 and 3): one matrix each where Kimi Linear has two thin ones."""

from dataclasses import dataclass

from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.weight import Weight, matrix

_LOW_RANK = {"ssm_f_a", "ssm_f_b", "ssm_g_a", "ssm_g_b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FullRankKimiDelta(KimiDeltaAttention):
    """KDA whose decay and output gates are as wide as the heads."""

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Those of KDA, the gates apart."""
        width = self.n_heads * self.head_dim
        # dataclass(slots=True) makes the class anew, so a bare super() would look at the wrong one.
        others = KimiDeltaAttention.weights(self, hidden_size)
        return (
            *(weight for weight in others if weight.role not in _LOW_RANK),
            matrix("ssm_f", hidden_size, width),
            matrix("attn_gate", hidden_size, width),
        )

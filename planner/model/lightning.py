"""Lightning attention: linear attention with a fixed decay per head (MiniMax-Text-01, MiniMax-M1)."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class LightningAttention(ConstantState):
    """Lightning attention with an output gate (arXiv:2501.08313 §2.2)."""

    n_heads: int
    head_dim: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "lightning attention"

    @property
    def state_elements(self) -> int:
        """One d × d matrix per head."""
        return self.n_heads * self.head_dim**2

    @property
    def state_flop_per_token(self) -> int:
        """4 FLOP per state element: update and read-out."""
        return 4 * self.n_heads * self.head_dim**2

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Fused q, k, v; output gate, norm and projection."""
        width = self.n_heads * self.head_dim
        return (
            matrix("attn_qkv", hidden_size, 3 * width),
            matrix("attn_gate", hidden_size, width),
            vector("attn_norm_2", width),
            matrix("attn_output", width, hidden_size),
        )

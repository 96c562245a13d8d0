"""mLSTM: the matrix-memory layer of xLSTM."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixLstm(ConstantState):
    """Linear attention with exponential gates (xLSTM 7B, arXiv:2503.13427)."""

    n_heads: int
    key_width: int
    value_width: int

    def __post_init__(self) -> None:
        if self.key_width % self.n_heads or self.value_width % self.n_heads:
            raise ValueError(
                f"widths of {self.key_width} and {self.value_width} do not divide over {self.n_heads} heads"
            )

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "mLSTM"

    @property
    def _memory(self) -> int:
        return self.key_width * self.value_width // self.n_heads

    @property
    def state_elements(self) -> int:
        """A d_k × d_v matrix, a normaliser of d_k and a maximum per head."""
        return self._memory + self.key_width + self.n_heads

    @property
    def state_flop_per_token(self) -> int:
        """About 6 FLOP per element of the matrix: decay, outer product, read-out."""
        return 6 * self._memory

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Query, key, value and output gate; input and forget gate with biases; norm and output."""
        found = [
            matrix("attn_q", hidden_size, self.key_width),
            matrix("attn_k", hidden_size, self.key_width),
            matrix("attn_v", hidden_size, self.value_width),
            matrix("attn_gate", hidden_size, self.value_width),
            matrix("attn_output", self.value_width, hidden_size),
            vector("attn_sub_norm", self.value_width),
        ]
        for gate in ("input", "forget"):
            found += [
                matrix(f"lstm_{gate}_gate", hidden_size, self.n_heads),
                vector(f"lstm_{gate}_gate.bias", self.n_heads),
            ]
        return tuple(found)

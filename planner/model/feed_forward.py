"""The dense feed-forward block: two or three matrices that every token passes through."""

from dataclasses import dataclass

from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """A dense MLP: gated (three matrices: gate, up, down) or plain (up, down)."""

    intermediate_size: int
    gated: bool = True
    bias: bool = False
    fused_gate: bool = False  # gate and up stored as one matrix (Phi-3)

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"dense {'gated ' if self.gated else ''}MLP"

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The block's matrices and biases."""
        size = self.intermediate_size
        if self.gated and self.fused_gate:
            inner = [("ffn_up", 2 * size)]
        else:
            inner = [("ffn_gate", size), ("ffn_up", size)] if self.gated else [("ffn_up", size)]
        found = [matrix(role, hidden_size, width) for role, width in inner]
        found.append(matrix("ffn_down", size, hidden_size))
        if self.bias:
            found += [vector(f"{role}.bias", width) for role, width in inner]
            found.append(vector("ffn_down.bias", hidden_size))
        return tuple(found)

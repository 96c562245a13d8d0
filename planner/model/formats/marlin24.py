"""Marlin 2:4: half of the weights kept, in four or eight bits, with two bits that say which half.

Source: vLLM's `GPTQMarlin24LinearMethod` (layers/quantization/gptq_marlin_24.py), which loads what
compressed-tensors calls "marlin-24".
"""

from dataclasses import dataclass

from planner.errors import MalformedError
from planner.model.formats.piece import Piece, ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class Marlin24:
    """n · bits/16 bytes of weights, n/8 bytes of positions, 2 bytes per group."""

    bits: int
    group_size: int | None

    @property
    def label(self) -> str:
        """Bits and group size."""
        return f"Marlin 2:4 {self.bits}-bit " + (
            "per channel" if self.group_size is None else f"g{self.group_size}"
        )

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """weight_packed, meta and scale_packed."""
        if n_in % 32 or n_out % 8:
            raise MalformedError(
                f"{self.label} needs inputs of a multiple of 32 and outputs of a multiple of 8, found {n_in:,} by "
                f"{n_out:,}; is this layer excluded in quantization_config?"
            )
        n = n_in * n_out
        groups = 1 if self.group_size is None else ceil_div(n_in, self.group_size)
        return (
            Piece(name="weight_packed", dtype="I32", n_elements=n // 2 * self.bits // 32, n_values=n),
            Piece(name="meta", dtype="I16", n_elements=n // 16),
            Piece(name="scale_packed", dtype="F16", n_elements=groups * n_out),
        )

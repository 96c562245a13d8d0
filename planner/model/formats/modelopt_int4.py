"""ModelOpt's INT4 AWQ: pairs of 4-bit integers in a byte, a scale per group and a factor per input.

Source: modelopt 0.47 (modelopt/torch/export/quant_utils.py: W4A16_AWQ and W4A8_AWQ).
"""

from dataclasses import dataclass

from planner.errors import MalformedError
from planner.model.formats.piece import Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptInt4:
    """n/2 bytes, 2 per group and 2 per input; 8-bit activations add one or two single numbers."""

    group_size: int
    fp8_activations: bool = False

    @property
    def label(self) -> str:
        """The algorithm's name."""
        return f"{'W4A8' if self.fp8_activations else 'W4A16'} AWQ g{self.group_size}"

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """Weight, weight_scale, pre_quant_scale and single scales."""
        if n_in % self.group_size or n_out % 2:
            raise MalformedError(
                f"{self.label} needs inputs of a multiple of {self.group_size} and an even number of outputs, "
                f"found {n_in:,} by {n_out:,}"
            )
        n = n_in * n_out
        found = [
            Piece(name="weight", dtype="U8", n_elements=n // 2, n_values=n),
            Piece(name="weight_scale", dtype="BF16", n_elements=n // self.group_size),
            Piece(name="pre_quant_scale", dtype="BF16", n_elements=n_in),
        ]
        if self.fp8_activations:
            found.append(Piece(name="weight_scale_2", dtype="F32", n_elements=2))
        return tuple(found)

"""GPTQ: integers packed into I32 words along the input, a scale and a zero point per group.

Source: `QuantLinear` of AutoGPTQ (auto_gptq/nn_modules/qlinear) and `BaseQuantLinear` of GPTQModel
(gptqmodel/nn_modules/qlinear/__init__.py), which register qweight, qzeros, scales and g_idx in these shapes.
Checkpoints in "marlin" format hold the same bits in another order, without zero points and index.
"""

from dataclasses import dataclass

from planner.errors import MalformedError
from planner.model.formats.piece import Piece, ceil_div

_WORD_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Gptq:
    """n · bits/8 bytes, per group of a column a 16-bit scale and a packed zero point, and 4 bytes per input."""

    bits: int
    group_size: int | None  # None: one group for the whole input
    index: bool = True  # g_idx, which is written whether or not the columns were reordered
    zero_points: bool = True
    scale_dtype: str = "F16"

    @property
    def label(self) -> str:
        """Bits and group size."""
        group = "per channel" if self.group_size is None else f"g{self.group_size}"
        return f"GPTQ {self.bits}-bit {group}"

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """qweight, scales, qzeros and g_idx."""
        if n_in * self.bits % _WORD_BITS or n_out * self.bits % _WORD_BITS:
            raise MalformedError(
                f"{self.label} packs {_WORD_BITS}-bit words, which {n_in:,} inputs by {n_out:,} outputs do not "
                "fill; is this layer excluded in quantization_config?"
            )
        groups = 1 if self.group_size is None else ceil_div(n_in, self.group_size)
        found = [
            Piece(
                name="qweight",
                dtype="I32",
                n_elements=n_in * self.bits // _WORD_BITS * n_out,
                n_values=n_in * n_out,
            ),
            Piece(name="scales", dtype=self.scale_dtype, n_elements=groups * n_out),
        ]
        if self.zero_points:
            found.append(
                Piece(name="qzeros", dtype="I32", n_elements=groups * n_out * self.bits // _WORD_BITS)
            )
        if self.index:
            found.append(Piece(name="g_idx", dtype="I32", n_elements=n_in))
        return tuple(found)

"""HQQ: integers packed into bytes, with a scale and a zero point per group in the model's own type.

Source: hqq 0.2.8 (hqq/core/quantize.py `Quantizer.quantize` and `bit_to_packing`, hqq/core/bitpack.py).
"""

from dataclasses import dataclass

from planner.errors import MalformedError
from planner.model.formats.piece import Piece, ceil_div

_VALUES_PER_BYTE = {8: 1, 6: 1, 5: 1, 4: 2, 2: 4, 1: 8}
_THREE_BIT_VALUES = 10  # per I32, along the packed axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Hqq:
    """n/(values per byte) bytes, and two numbers of 16 bits per group; 5 and 6 bits take a byte each."""

    bits: int
    group_size: int | None
    axis: int = 1
    scale_dtype: str = "BF16"

    @property
    def label(self) -> str:
        """Bits and group size."""
        return f"HQQ {self.bits}-bit " + ("per channel" if self.group_size is None else f"g{self.group_size}")

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """W_q, scale and zero."""
        n = n_in * n_out
        group = self.group_size or (n_in if self.axis == 1 else n_out)
        if n % group:
            raise MalformedError(
                f"{self.label} needs a multiple of {group} weights, found {n_in:,} by {n_out:,}; is this layer "
                "excluded in quantization_config?"
            )
        groups = n // group
        if self.bits == 3:
            rows, columns = (groups, group) if self.axis == 1 else (group, groups)
            weights = Piece(
                name="W_q", dtype="I32", n_elements=ceil_div(rows, _THREE_BIT_VALUES) * columns, n_values=n
            )
        else:
            per_byte = _VALUES_PER_BYTE[self.bits]
            weights = Piece(name="W_q", dtype="U8", n_elements=ceil_div(n, per_byte), n_values=n)
        return (
            weights,
            Piece(name="scale", dtype=self.scale_dtype, n_elements=groups),
            Piece(name="zero", dtype=self.scale_dtype, n_elements=groups),
        )

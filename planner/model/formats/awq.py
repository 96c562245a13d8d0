"""AWQ: 4-bit integers packed into I32 words along the output, a scale and a zero point per group.

Source: `WQLinear_GEMM`, `WQLinear_GEMV` and `WQLinear_GEMVFast` of AutoAWQ 0.2.9 (awq/modules/linear).
"""

from dataclasses import dataclass
from typing import Literal

from planner.errors import MalformedError
from planner.model.formats.piece import Piece, ceil_div

_PACKED = 8  # 4-bit values in an I32


@dataclass(frozen=True, slots=True, kw_only=True)
class Awq:
    """n/2 bytes, and per group of a column a 16-bit scale and a 4-bit zero point.

    The gemv layouts pad the groups of a row to whole words; "marlin" has no zero points.
    """

    group_size: int | None
    version: Literal["gemm", "gemv", "gemv_fast", "marlin"] = "gemm"

    @property
    def label(self) -> str:
        """Group size, and the layout where it is not the usual one."""
        group = "per channel" if self.group_size is None else f"g{self.group_size}"
        return f"AWQ 4-bit {group}" + ("" if self.version == "gemm" else f" {self.version}")

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """qweight, scales and qzeros."""
        group = self.group_size or n_in
        if n_in % group or n_out % _PACKED:
            raise MalformedError(
                f"{self.label} needs inputs of whole groups and outputs of a multiple of {_PACKED}, found "
                f"{n_in:,} by {n_out:,}; is this layer excluded in quantization_config?"
            )
        values = n_in * n_out
        if self.version in ("gemm", "marlin"):
            groups = n_in // group
            weights = Piece(name="qweight", dtype="I32", n_elements=values // _PACKED, n_values=values)
            scales = Piece(name="scales", dtype="F16", n_elements=groups * n_out)
            if self.version == "marlin":
                return weights, scales
            return weights, scales, Piece(name="qzeros", dtype="I32", n_elements=groups * n_out // _PACKED)
        width = _zeros_width(n_in, group)
        scales = Piece(name="scales", dtype="F16", n_elements=n_out * width * _PACKED)
        if self.version == "gemv":
            return (
                Piece(name="qweight", dtype="I32", n_elements=values // _PACKED, n_values=values),
                scales,
                Piece(name="qzeros", dtype="I32", n_elements=n_out * width),
            )
        return (
            Piece(name="qweight", dtype="I16", n_elements=values // 4, n_values=values),
            scales,
            Piece(name="qzeros", dtype="F16", n_elements=n_out * width * _PACKED),
        )


def _zeros_width(n_in: int, group_size: int) -> int:
    """Words of zero points per output, padded as the kernel reads them (`calculate_zeros_width`)."""
    multiple = {32: 4, 64: 2}.get(group_size, 1)
    return ceil_div(ceil_div(n_in // group_size, _PACKED), multiple) * multiple

"""TorchAO: weight-only int4 with a scale and zero per group, and int8 or float8 with a scale per row.

Source: torchao's `Int4WeightOnlyConfig`, `Int8WeightOnlyConfig`, `Int8DynamicActivationInt8WeightConfig`,
`Int8DynamicActivationInt4WeightConfig`, `Float8WeightOnlyConfig` and `Float8DynamicActivationFloat8WeightConfig`
(torchao/quantization/quant_api.py), as transformers stores them.
"""

from dataclasses import dataclass
from typing import Literal

from planner.errors import MalformedError
from planner.model.formats.piece import Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchAo:
    """int4: n/2 bytes and two 16-bit numbers per group; int8 and float8: n bytes and one number per row."""

    kind: Literal["int4", "int8", "int8_int4", "float8_row", "float8_tensor"]
    group_size: int = 128
    scale_dtype: str = "BF16"

    @property
    def label(self) -> str:
        """The kind, with its group size."""
        return f"TorchAO {self.kind}" + (f" g{self.group_size}" if "int4" in self.kind else "")

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """The data, scales and zeros."""
        n = n_in * n_out
        if self.kind == "int4":
            self._check(n_in)
            return (
                Piece(name="qdata", dtype="U8", n_elements=n // 2, n_values=n),
                Piece(name="scale_and_zero", dtype=self.scale_dtype, n_elements=2 * n // self.group_size),
            )
        if self.kind == "int8_int4":  # 4-bit values kept in a byte each until an export packs them
            self._check(n_in)
            return (
                Piece(name="qdata", dtype="I8", n_elements=n, n_values=n),
                Piece(name="scale", dtype="F32", n_elements=n // self.group_size),
                Piece(name="zero_point", dtype="I8", n_elements=n // self.group_size),
            )
        dtype = "I8" if self.kind == "int8" else "F8_E4M3"
        n_scales = 1 if self.kind == "float8_tensor" else n_out
        scale_dtype = self.scale_dtype if self.kind == "int8" else "F32"
        return (
            Piece(name="qdata", dtype=dtype, n_elements=n, n_values=n),
            Piece(name="scale", dtype=scale_dtype, n_elements=n_scales),
        )

    def _check(self, n_in: int) -> None:
        if n_in % self.group_size:
            raise MalformedError(
                f"{self.label} needs inputs of a multiple of {self.group_size}, found {n_in:,}; is this layer "
                "excluded in quantization_config?"
            )

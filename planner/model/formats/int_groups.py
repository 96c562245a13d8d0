"""Integers as compressed-tensors stores them: packed densely into I32 words, or one byte each.

Source: compressed-tensors 0.20 (compressors/pack_quantized, compressors/naive_quantized,
quantization/lifecycle/initialize.py `initialize_qparams`).
"""

from dataclasses import dataclass
from typing import Literal

from planner.model.formats.piece import Piece, ceil_div

_WORD_BITS = 32
_SHAPE_ELEMENTS = 2  # "weight_shape" holds rows and columns


@dataclass(frozen=True, slots=True, kw_only=True)
class IntGroups:
    """n · bits/8 bytes packed, or n bytes; one scale per tensor, channel or group, packed zero points if any.

    A packed row is padded to whole words; group scales are of the model's own type.
    """

    bits: int
    packed: bool
    scales: Literal["tensor", "channel", "group", "block"]
    group_size: int | None = None
    block: tuple[int, int] | None = None
    symmetric: bool = True
    reordered: bool = False  # actorder "group" stores which group each input belongs to
    scale_dtype: str = "BF16"
    shape_dtype: str = "I64"  # I32 in files of before 2026

    @property
    def label(self) -> str:
        """Bits and what shares a scale."""
        shared = {"group": f"g{self.group_size}", "channel": "per channel", "tensor": "per tensor"}.get(
            self.scales
        )
        return f"INT{self.bits} {shared or f'{self.block}'}"

    def _n_scales(self, n_in: int, n_out: int) -> tuple[int, int]:
        """Scales along the outputs and along the inputs."""
        if self.scales == "group" and self.group_size:
            return n_out, ceil_div(n_in, self.group_size)
        if self.scales == "block" and self.block:
            return ceil_div(n_out, self.block[0]), ceil_div(n_in, self.block[1])
        return (n_out, 1) if self.scales == "channel" else (1, 1)

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """Weight, scales, zero points, index and shape."""
        rows, columns = self._n_scales(n_in, n_out)
        scales = Piece(name="weight_scale", dtype=self.scale_dtype, n_elements=rows * columns)
        values = n_in * n_out
        if not self.packed:
            found = [Piece(name="weight", dtype="I8", n_elements=values, n_values=values), scales]
            if not self.symmetric:
                found.append(Piece(name="weight_zero_point", dtype="I8", n_elements=rows * columns))
            return tuple(found)
        words = ceil_div(n_in * self.bits, _WORD_BITS) * n_out
        found = [
            Piece(name="weight_packed", dtype="I32", n_elements=words, n_values=values),
            scales,
            Piece(name="weight_shape", dtype=self.shape_dtype, n_elements=_SHAPE_ELEMENTS),
        ]
        if not self.symmetric:
            packed_rows = ceil_div(rows * self.bits, _WORD_BITS)
            found.append(Piece(name="weight_zero_point", dtype="I32", n_elements=packed_rows * columns))
        if self.reordered:
            found.append(Piece(name="weight_g_idx", dtype="I32", n_elements=n_in))
        return tuple(found)

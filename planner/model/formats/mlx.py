"""MLX: integers packed into U32 words with scale and bias per group, or block floats with a scale byte.

Source: `mx.quantize` and its modes (MLX documentation, python/mlx.core.quantize) as mlx-lm 0.32 uses them
(mlx_lm/utils.py). Embeddings, the output head and routers are quantized like any other matrix.
"""

from dataclasses import dataclass
from typing import Literal

from planner.model.formats.piece import Piece, ceil_div

_WORD_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlx:
    """n · bits/8 bytes; per group two 16-bit numbers in mode "affine", one byte in the others."""

    bits: int
    group_size: int
    mode: Literal["affine", "mxfp4", "mxfp8", "nvfp4"] = "affine"
    scale_dtype: str = "BF16"
    global_scale: bool = False

    @property
    def label(self) -> str:
        """Bits and group size, or the mode's name."""
        return (
            f"MLX {self.bits}-bit g{self.group_size}" if self.mode == "affine" else f"MLX {self.mode.upper()}"
        )

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """weight, scales and, in mode affine, biases."""
        n = n_in * n_out
        if n_in % self.group_size:  # mlx-lm leaves such a matrix as it is
            return (Piece(name="weight", dtype=self.scale_dtype, n_elements=n, n_values=n),)
        groups = n // self.group_size
        words = ceil_div(n_in * self.bits, _WORD_BITS) * n_out
        found = [Piece(name="weight", dtype="U32", n_elements=words, n_values=n)]
        if self.mode == "affine":
            found += [
                Piece(name=name, dtype=self.scale_dtype, n_elements=groups) for name in ("scales", "biases")
            ]
        else:
            found.append(Piece(name="scales", dtype="U8", n_elements=groups))
        if self.global_scale:
            found.append(Piece(name="global_scale", dtype="F32", n_elements=1))
        return tuple(found)

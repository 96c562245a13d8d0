"""FP8: one byte per weight, with a scale for the tensor, for each output channel or for each block.

Sources: DeepSeek-V3's `weight_scale_inv` per 128 × 128 block (transformers integrations/finegrained_fp8.py,
`FP8Linear`); per tensor and per channel as compressed-tensors (`initialize_qparams`), ModelOpt
(modelopt/torch/export/quant_utils.py) and FBGEMM (transformers integrations/fbgemm_fp8.py) write them.
"""

from dataclasses import dataclass

from planner.model.formats.piece import Piece, ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp8:
    """n bytes and the scales: one, one per output, or one per block, a partial block counting as whole.

    `block` is (outputs, inputs) as `weight_block_size` gives it; (1, 32) are the microscaling blocks of MXFP8.
    """

    block: tuple[int, int] | None = None
    per_channel: bool = False
    scale_dtype: str = "F32"
    scale_name: str = "weight_scale"
    input_scale: bool = False  # a static scale of the activations
    dtype: str = "F8_E4M3"

    @property
    def label(self) -> str:
        """What shares a scale."""
        if self.block == (1, 32):
            return "MXFP8"
        if self.block is not None:
            return f"FP8 {self.block[0]}x{self.block[1]}"
        return "FP8 per channel" if self.per_channel else "FP8 per tensor"

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """The weight, its scales, and the activations' scale where it is static."""
        n = n_in * n_out
        if self.block is not None:
            n_scales = ceil_div(n_out, self.block[0]) * ceil_div(n_in, self.block[1])
        else:
            n_scales = n_out if self.per_channel else 1
        found = [
            Piece(name="weight", dtype=self.dtype, n_elements=n, n_values=n),
            Piece(name=self.scale_name, dtype=self.scale_dtype, n_elements=n_scales),
        ]
        if self.input_scale:
            found.append(Piece(name="input_scale", dtype="F32", n_elements=1))
        return tuple(found)

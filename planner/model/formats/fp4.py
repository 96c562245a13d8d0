"""Four-bit floats in blocks: MXFP4 (32 weights share a power of two) and NVFP4 (16 share an FP8 scale).

Sources: the OCP Microscaling specification 1.0; gpt-oss's blocks and scales (transformers integrations/mxfp4.py);
NVFP4 as ModelOpt 0.47 (modelopt/torch/export/quant_utils.py: weight_scale, weight_scale_2, input_scale) and
compressed-tensors 0.20 (compressors/nvfp4, compressors/mxfp4) write it; DeepSeek-V4's experts with
`expert_dtype` "fp4" (I8 pairs and an F8_E8M0 scale per 32).
"""

from dataclasses import dataclass

from planner.errors import MalformedError
from planner.model.formats.piece import Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp4:
    """n/2 bytes and one scale byte per block of a row; n_extra_scales single F32 numbers per tensor."""

    name: str  # "MXFP4" or "NVFP4"
    block: int  # weights that share a scale byte
    scale_dtype: str
    n_tensor_scales: int = 0  # weight_scale_2, input_scale
    container: str = "U8"
    pre_scale: bool = False  # AWQ's factor per input

    @property
    def label(self) -> str:
        """The format's name."""
        return self.name

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """Pairs of weights, scales per block, scales of the tensor."""
        if n_in % self.block:
            raise MalformedError(
                f"{self.name} needs inputs of a multiple of {self.block}, found {n_in:,}; is this layer excluded "
                "in quantization_config?"
            )
        n = n_in * n_out
        found = [
            Piece(name="weight_packed", dtype=self.container, n_elements=n // 2, n_values=n),
            Piece(name="weight_scale", dtype=self.scale_dtype, n_elements=n // self.block),
        ]
        if self.n_tensor_scales:
            found.append(Piece(name="weight_scale_2", dtype="F32", n_elements=self.n_tensor_scales))
        if self.pre_scale:
            found.append(Piece(name="pre_quant_scale", dtype="BF16", n_elements=n_in))
        return tuple(found)


def mxfp4(*, container: str = "U8", scale_dtype: str = "U8") -> Fp4:
    """MXFP4: 4.25 bits per weight."""
    return Fp4(name="MXFP4", block=32, scale_dtype=scale_dtype, container=container)


def nvfp4(*, input_scale: bool = True, pre_scale: bool = False) -> Fp4:
    """NVFP4: 4.5 bits per weight, with a scale of the whole tensor and, for 4-bit activations, one of those."""
    return Fp4(
        name="NVFP4",
        block=16,
        scale_dtype="F8_E4M3",
        n_tensor_scales=2 if input_scale else 1,
        pre_scale=pre_scale,
    )

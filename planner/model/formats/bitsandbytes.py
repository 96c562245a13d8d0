"""bitsandbytes: LLM.int8() with a scale per row, and NF4 or FP4 with a scale per 64 weights.

Source: bitsandbytes `Linear8bitLt` and `Linear4bit` (nn/modules.py) and `QuantState.as_dict` (functional.py),
as transformers loads them (integrations/bitsandbytes.py). Double quantization stores the scales in eight bits
with one F32 per 256 of them.
"""

from dataclasses import dataclass

from planner.model.formats.piece import Piece, ceil_div

BLOCK = 64  # weights per scale
NESTED_BLOCK = 256  # scales per scale of scales
# The description of a tensor, a short JSON text; with double quantization it holds an offset too. The average
# over the 224 tensors of unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit is 173.
_STATE_BYTES = 81
_NESTED_STATE_BYTES = 173


@dataclass(frozen=True, slots=True, kw_only=True)
class BnbInt8:
    """n bytes and 4 per output."""

    @property
    def label(self) -> str:
        """The method's name."""
        return "bnb LLM.int8()"

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """Weight and SCB."""
        n = n_in * n_out
        return (
            Piece(name="weight", dtype="I8", n_elements=n, n_values=n),
            Piece(name="SCB", dtype="F32", n_elements=n_out),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bnb4:
    """n/2 bytes and n/64 scales: 4 bytes each, or 1 byte each with double quantization."""

    kind: str = "nf4"  # or fp4
    double: bool = False
    container: str = "U8"

    @property
    def label(self) -> str:
        """The kind, and whether the scales are quantized too."""
        return f"bnb {self.kind.upper()}" + (" double" if self.double else "")

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """Weight, absmax, look-up tables and the description."""
        n = n_in * n_out
        blocks = ceil_div(n, BLOCK)
        packed = (
            ceil_div(n, 2) if self.container == "U8" else ceil_div(n, 4 if self.container != "F32" else 8)
        )
        found = [
            Piece(name="weight", dtype=self.container, n_elements=packed, n_values=n),
            Piece(name="absmax", dtype="U8" if self.double else "F32", n_elements=blocks),
            Piece(name="quant_map", dtype="F32", n_elements=16),
            Piece(
                name="quant_state",
                dtype="U8",
                n_elements=_NESTED_STATE_BYTES if self.double else _STATE_BYTES,
            ),
        ]
        if self.double:
            found += [
                Piece(name="nested_absmax", dtype="F32", n_elements=ceil_div(blocks, NESTED_BLOCK)),
                Piece(name="nested_quant_map", dtype="F32", n_elements=256),
            ]
        return tuple(found)

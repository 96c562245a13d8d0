"""What a format writes for one matrix: pieces of an element type, of which some hold the weights themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

# Bytes of one element of the types that safetensors files hold.
DTYPE_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I64": 8, "I32": 4, "U32": 4,
        "I16": 2, "I8": 1, "U8": 1,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One stored tensor of a quantized matrix.

    `n_values` is how many weights of the model it holds, 0 for scales, zero points and indices. A packed
    piece has fewer elements than values: eight 4-bit weights fill one I32.
    """

    name: str
    dtype: str
    n_elements: int
    n_values: int = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the piece."""
        return self.n_elements * DTYPE_BYTES[self.dtype]


class Format(Protocol):
    """How a matrix is stored."""

    @property
    def label(self) -> str:
        """The format in the field's words, with what sets it apart: "GPTQ 4-bit g128"."""

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """What is stored for a matrix of `n_in` input and `n_out` output features.

        Raises MalformedError for a shape that the format cannot hold.
        """


def pieces_bytes(pieces: tuple[Piece, ...]) -> int:
    """Bytes of all pieces."""
    return sum(piece.n_bytes for piece in pieces)


def ceil_div(a: int, b: int) -> int:
    """The quotient a / b, rounded up."""
    return -(-a // b)

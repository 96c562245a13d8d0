"""EXL2 and EXL3: a mix of bit widths that reaches a stated average; the mix itself is only in the files.

Source: exllamav2 (a target average in bits per weight, overhead included) and exllamav3 (trellis of K bits per
weight, with a 16-bit sign-and-scale vector along the inputs, `suh`, and along the outputs, `svh`).
"""

from dataclasses import dataclass

from planner.model.formats.piece import Piece, ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class Exl2:
    """n · average bits / 8 bytes: an average over the layers, not what any one matrix takes."""

    average_bits: float

    @property
    def label(self) -> str:
        """The stated average."""
        return f"EXL2 {self.average_bits:g} bpw on average"

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """As many bytes as the average says."""
        n = n_in * n_out
        n_bytes = round(n * self.average_bits / 8)
        return (Piece(name="q_weight", dtype="U8", n_elements=n_bytes, n_values=n),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exl3:
    """n · average bits / 8 bytes and 2 bytes per input and per output."""

    average_bits: float

    @property
    def label(self) -> str:
        """The stated average."""
        return f"EXL3 {self.average_bits:g} bpw on average"

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """Trellis, suh and svh."""
        n = n_in * n_out
        words = ceil_div(round(n * self.average_bits), 16)
        return (
            Piece(name="trellis", dtype="I16", n_elements=words, n_values=n),
            Piece(name="suh", dtype="F16", n_elements=n_in),
            Piece(name="svh", dtype="F16", n_elements=n_out),
        )

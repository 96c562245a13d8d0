"""Weights stored as they are: 16 or 32 bits each."""

from dataclasses import dataclass

from planner.model.formats.piece import Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """One element per weight: n · b bytes."""

    dtype: str = "BF16"

    @property
    def label(self) -> str:
        """The element type."""
        return self.dtype

    def pieces(self, n_in: int, n_out: int) -> tuple[Piece, ...]:
        """The matrix itself."""
        n = n_in * n_out
        return (Piece(name="weight", dtype=self.dtype, n_elements=n, n_values=n),)

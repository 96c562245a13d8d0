"""The pieces of an estimate: every number is a sum of named terms that say where they come from."""

from collections.abc import Iterable
from dataclasses import dataclass

from hardware.spec import Basis, weakest


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One named part of an estimate, in the unit that its name's record states."""

    name: str
    value: float
    unit: str  # "bytes", "s" or "USD"
    basis: Basis
    source: str
    as_of: str | None = None  # the date of what it rests on, where that is a price


def total(terms: Iterable[Term]) -> float:
    """The sum of terms."""
    return sum(term.value for term in terms)


def total_basis(terms: Iterable[Term]) -> Basis:
    """A sum is only as good as its weakest part."""
    return weakest(*(term.basis for term in terms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A quantity as low – expected – high; the 80 % interval should hold the truth four times in five."""

    low: float
    expected: float
    high: float
    basis: Basis
    source: str

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.expected <= self.high:
            raise ValueError(f"not an interval: {self.low} – {self.expected} – {self.high}")

    def inverse(self, scale: float = 1.0) -> "Interval":
        """The scale over this quantity: turns seconds per token into tokens per second and back."""
        return Interval(
            low=scale / self.high,
            expected=scale / self.expected,
            high=scale / self.low,
            basis=self.basis,
            source=self.source,
        )

    def widened(self, low_ratio: float, high_ratio: float) -> "Interval":
        """The same expectation with other bounds relative to it."""
        return Interval(
            low=self.expected * low_ratio,
            expected=self.expected,
            high=self.expected * high_ratio,
            basis=self.basis,
            source=self.source,
        )

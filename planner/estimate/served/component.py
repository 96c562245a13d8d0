"""One figure of a recorded start-up beside its prediction, and reading figures from a row of text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from planner.errors import MalformedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A predicted figure, in bytes or tokens, and what the log says of it; `given` names what was taken from the log."""

    name: str
    unit: str  # "bytes", "tokens" or "x"
    expected: float | None
    measured: float | None
    low: float | None = None  # the 80 % interval, where there is one
    high: float | None = None
    given: str | None = None
    reason: str | None = None  # why nothing is expected

    @property
    def error_fraction(self) -> float | None:
        """|expected / measured - 1|; None where either is unknown."""
        if self.expected is None or not self.measured:
            return None
        return abs(self.expected / self.measured - 1)


def number(row: Mapping[str, str], column: str) -> float | None:
    """The number in a column; None where the row leaves it empty. Raises MalformedError for anything else."""
    text = (row.get(column) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise MalformedError(f"column {column} holds {text[:40]!r}, expected a number") from error
    if not math.isfinite(value):
        raise MalformedError(f"column {column} holds {text[:40]!r}, expected a finite number")
    return value


def whole(row: Mapping[str, str], column: str) -> int | None:
    """The whole number in a column; None where the row leaves it empty."""
    value = number(row, column)
    return None if value is None else int(value)

"""Numbers and texts of an evaluation file, which nobody vouches for."""

from collections.abc import Mapping
from typing import Any

from planner.errors import MalformedError
from planner.quoting import quoted

MOST_TASKS = 10_000_000
_MOST = 1e15


def number(value: Any, what: str, low: float = 0.0, high: float = _MOST) -> float:
    """A finite number between two bounds; MalformedError names what it is of otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise MalformedError(f"{what} is {quoted(value)}; expected a number from {low:g} to {high:g}")
    return float(value)


def whole(value: Any, what: str, low: int = 0) -> int:
    """A whole number."""
    found = number(value, what, low, MOST_TASKS)
    if found != int(found):
        raise MalformedError(f"{what} is {found:g}; expected a whole number")
    return int(found)


def optional(value: Any, what: str) -> float | None:
    """A number, or None where there is nothing."""
    return None if value is None or value == "" else number(value, what)


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """An object of JSON."""
    if not isinstance(value, Mapping):
        raise MalformedError(f"{what} is {type(value).__name__}; expected an object")
    return value


def text(value: Any, otherwise: str) -> str:
    """A text on one line, cut where it is long."""
    return " ".join(str(value).split())[:200] if isinstance(value, str) and value.strip() else otherwise

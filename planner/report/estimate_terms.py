"""Intervals and terms as data."""

from typing import Any

from planner.estimate.term import Interval, Term

Data = dict[str, Any]


def interval_data(found: Interval | None) -> Data | None:
    """Low, expected and high, and what they rest on."""
    if found is None:
        return None
    return {
        "low": found.low,
        "expected": found.expected,
        "high": found.high,
        "basis": found.basis.value,
        "source": found.source,
    }


def term_data(term: Term) -> Data:
    """A term with its unit in the key; bytes are whole."""
    value = round(term.value) if term.unit == "bytes" else term.value
    return {"name": term.name, f"value_{term.unit}": value, "basis": term.basis.value, "source": term.source}

"""A model's parameter total in words: a count, or the least it can be where a tower is not counted."""

from hardware.units import format_count
from planner.model.network import Parameters


def total_in_words(parameters: Parameters) -> str:
    """The total for people: "70.6 B", or "at least 8.03 B" while a tower in front is not counted."""
    counted = format_count(parameters.counted)
    return f"at least {counted}" if parameters.uncounted else counted

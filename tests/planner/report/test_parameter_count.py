"""A total in words: a floor while a tower is not counted."""

from planner.model.network import Parameters
from planner.report.parameter_count import total_in_words


def test_a_total_is_a_floor_while_a_tower_is_not_counted() -> None:
    known = Parameters(text=8_000_000_000, mtp=0, towers=300_000_000, active=8e9)
    assert total_in_words(known) == "8.30 B"
    open_ended = Parameters(text=8_000_000_000, mtp=0, towers=0, active=8e9, uncounted=("vision tower",))
    assert open_ended.total is None
    assert total_in_words(open_ended) == "at least 8.00 B"

"""Rules run on ranges: the same sizes as step by step, in as few pieces as there are bends."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.estimate.straight import straight_pieces
from planner.model.ends import NotStraightError

LINE = st.tuples(st.integers(0, 1000), st.integers(0, 50))


def test_a_bend_is_found_and_a_branch_without_one_is_not_kept() -> None:
    def rule(n: Any) -> tuple[Any, ...]:
        if n < 40:  # another way to the same size
            return (max(100, 3 * n) + 0,)
        return (max(100, 3 * n),)

    found = straight_pieces(rule, 0, 1000)
    # 3 · 33 = 99 lies under 100, 3 · 34 = 102 above: flat up to 33, then 3 a step.
    assert [(piece.last, piece.at_last, piece.slopes) for piece in found.pieces] == [
        (33, (100,), (0,)),
        (1000, (3000,), (3,)),
    ]


@given(st.lists(LINE, min_size=1, max_size=5), st.lists(LINE, min_size=1, max_size=5), st.integers(1, 300))
def test_every_step_is_what_the_rule_says(
    upper: list[tuple[int, int]], lower: list[tuple[int, int]], last: int
) -> None:
    def rule(n: Any) -> tuple[Any, ...]:
        highest, lowest = upper[0][0] + upper[0][1] * n, lower[0][0] + lower[0][1] * n
        for start, slope in upper[1:]:
            highest = max(highest, start + slope * n)
        for start, slope in lower[1:]:
            lowest = min(lowest, start + slope * n)
        return highest, lowest, min(highest, lowest) + n

    found = straight_pieces(rule, 0, last)
    assert [found.at(n) for n in range(last + 1)] == [rule(n) for n in range(last + 1)]


def test_a_rule_that_is_not_straight_is_refused() -> None:
    with pytest.raises(NotStraightError, match="not straight"):
        straight_pieces(lambda n: (n * n,), 0, 10)


def test_nothing_is_said_outside_of_the_range() -> None:
    found = straight_pieces(lambda n: (n,), 2, 10)
    with pytest.raises(ValueError, match="outside 2 to 10"):
        found.at(11)

"""Numbers at both ends of a range: arithmetic, and comparisons that must come out alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.model.ends import BendError, Ends, NotStraightError

WHOLE = st.integers(-(10**9), 10**9)


@given(WHOLE, WHOLE, WHOLE, WHOLE, st.integers(0, 10**6))
def test_arithmetic_is_that_of_each_end(a: int, b: int, c: int, d: int, n: int) -> None:
    found = 3 - (Ends(a, b) + Ends(c, d) * n - 7)
    assert (found.low, found.high) == (3 - (a + c * n - 7), 3 - (b + d * n - 7))


def test_rounding_up_to_a_multiple() -> None:
    # -(-n // 256) · 256, as the rules write it; both ends leave the same rest.
    found = -(-Ends(250, 762) // 256) * 256
    assert (found.low, found.high) == (256, 768)
    with pytest.raises(NotStraightError, match="not straight"):
        Ends(250, 700) // 256


def test_a_product_of_two_that_change_is_refused() -> None:
    assert (Ends(2, 5) * Ends(3, 3)).high == 15
    with pytest.raises(NotStraightError, match="not straight"):
        Ends(2, 5) * Ends(3, 4)


def test_a_comparison_that_is_alike_at_both_ends_is_an_answer() -> None:
    assert Ends(2, 10) < Ends(3, 11)
    assert Ends(2, 10) <= 10
    assert not Ends(2, 10) > 10
    assert Ends(2, 10) >= 2
    assert Ends(2, 10) != 11
    assert Ends(2, 10) == Ends(2, 10)
    assert min(Ends(2, 10), 512) == Ends(2, 10)
    assert bool(Ends(1, 2))


def test_one_that_is_not_says_where_the_sides_meet() -> None:
    # 2 … 10 reaches 4 after a quarter of the way.
    with pytest.raises(BendError) as caught:
        min(Ends(2, 10), 4)
    assert caught.value.share == pytest.approx(0.25)
    with pytest.raises(BendError):
        assert Ends(2, 10) == 2

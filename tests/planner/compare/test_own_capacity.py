"""What a machine does that answers one call at a time, and a workload that is nothing but tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.spec import Basis
from planner.compare.own_capacity import capacity_tokens_per_month, sequential_tasks_per_s
from planner.compare.token_mix import token_mix
from planner.estimate.term import Interval
from planner.workload.totals import expected_task, month_tokens


def rate(low: float, expected: float | None = None, high: float | None = None) -> Interval:
    return Interval(
        low=low,
        expected=expected or low,
        high=high or expected or low,
        basis=Basis.MEASURED,
        source="by hand",
    )


def test_by_hand() -> None:
    # 750 tokens read at 1,000 and 250 made: the context is 875 deep in the mean, of 1,750 half, where a token takes the mean of
    # 1/50 and 1/25, 0.03 s: 0.75 + 7.5 = 8.25 s.
    task = expected_task(token_mix(1e6, 0.25))
    found = sequential_tasks_per_s(task, rate(1_000), rate(50), rate(25), 1_750)
    assert found.expected == pytest.approx(1 / 8.25)
    assert capacity_tokens_per_month(task, found) == pytest.approx(2_629_800 / 8.25 * 1_000)


def test_bounds_come_from_bounds() -> None:
    task = expected_task(token_mix(1e6, 0.25))
    found = sequential_tasks_per_s(task, rate(500, 1_000, 2_000), rate(25, 50, 100), rate(25, 50, 100), 4_096)
    # Half the speeds take twice as long.
    assert (found.low, found.high) == pytest.approx((found.expected / 2, found.expected * 2))


@given(st.floats(1e3, 1e12), st.floats(0.001, 0.999))
def test_a_mix_has_the_tokens_and_the_share_that_were_asked(tokens: float, share: float) -> None:
    found = month_tokens(token_mix(tokens, share))
    assert found.all == pytest.approx(tokens)
    assert found.generated / found.all == pytest.approx(share, abs=0.0006)


@pytest.mark.parametrize(("tokens", "share"), [(0, 0.5), (1e6, 0.0), (1e6, 1.0)])
def test_a_mix_of_nothing_is_none(tokens: float, share: float) -> None:
    with pytest.raises(ValueError, match="needs tokens"):
        token_mix(tokens, share)

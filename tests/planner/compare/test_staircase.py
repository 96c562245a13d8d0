"""The break-even volume by formula is the one that trying every volume finds."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.compare.month_load import MonthLoad, at_least, served_tasks, week_weights, whole
from planner.compare.staircase import (
    BreakEven,
    Line,
    Staircase,
    break_even,
    first_break_even,
    lasting_break_even,
)

MONEY = st.floats(0, 50_000)
PRICE = st.just(0.0) | st.floats(1e-9, 0.5)


def scanned(
    own: Staircase, line: Line, volumes: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> tuple[float, float]:
    """First and lasting break-even among volumes, infinite where there is none."""
    cheaper = own.usd(volumes) <= line.usd(volumes)
    first = float(volumes[np.argmax(cheaper)]) if cheaper.any() else inf
    if not cheaper[-1]:
        return first, inf
    dearer = np.flatnonzero(~cheaper)
    return first, float(volumes[dearer[-1] + 1]) if len(dearer) else 0.0


def test_by_hand() -> None:
    # 1,000 a month for people, 2,000 a unit of 100,000 tasks, 0.01 a task of power; the API takes 0.05 a task.
    own = Staircase(fixed_usd=1_000, unit_usd=2_000, usd_per_task=0.01, tasks_per_unit=100_000)
    # One unit: (1,000 + 2,000) / 0.04 = 75,000 tasks. At 100,001 a second unit comes: (1,000 + 4,000) / 0.04 = 125,000.
    # A third at 200,001: (1,000 + 6,000) / 0.04 = 175,000 is below it, so nothing changes there any more.
    found = break_even(own, Line(fixed_usd=0, tiers=((0, 0.05),)))
    assert (found.first_tasks, found.for_good_tasks) == pytest.approx((75_000, 125_000))


def test_a_unit_dearer_than_what_it_saves_is_never_worth_it() -> None:
    # A full unit saves 100,000 · 0.01 = 1,000 a month and costs 2,000.
    own = Staircase(fixed_usd=0, unit_usd=2_000, usd_per_task=0.01, tasks_per_unit=100_000)
    assert break_even(own, Line(fixed_usd=0, tiers=((0, 0.02),))) == BreakEven(
        first_tasks=None, for_good_tasks=None
    )


def test_a_discount_from_a_volume_on_moves_the_break_even() -> None:
    own = Staircase(fixed_usd=1_000, unit_usd=2_000, usd_per_task=0.0, tasks_per_unit=1_000_000)
    # Undiscounted: 3,000 / 0.05 = 60,000. Half price from 50,000 on: 2,500 + 0.025 · (V − 50,000) = 3,000 at 70,000.
    line = Line(fixed_usd=0, tiers=((0, 0.05), (50_000, 0.025)))
    assert line.usd(70_000) == pytest.approx(3_000)
    assert break_even(own, line).first_tasks == pytest.approx(70_000)


@settings(max_examples=200, deadline=None)
@given(MONEY, st.floats(1, 20_000), PRICE, st.floats(1_000, 200_000), MONEY, PRICE)
def test_formula_is_scanning(
    fixed: float, unit: float, power: float, per_unit: float, api_fixed: float, api: float
) -> None:
    own = Staircase(fixed_usd=fixed, unit_usd=unit, usd_per_task=power, tasks_per_unit=per_unit)
    line = Line(fixed_usd=api_fixed, tiers=((0, api),))
    check(own, line)


@settings(max_examples=100, deadline=None)
@given(
    MONEY, st.floats(1, 20_000), PRICE, st.floats(1_000, 200_000), PRICE, st.floats(0.3, 1.0), st.floats(0.3, 1.0),
    st.floats(1_000, 100_000), st.floats(1_000, 400_000),
)  # fmt: skip
def test_formula_is_scanning_with_prices_by_volume(
    fixed: float, unit: float, power: float, per_unit: float, api: float,
    less: float, least: float, second: float, third: float,
) -> None:  # fmt: skip
    own = Staircase(fixed_usd=fixed, unit_usd=unit, usd_per_task=power, tasks_per_unit=per_unit)
    check(
        own, Line(fixed_usd=0, tiers=((0, api), (second, api * less), (second + third, api * less * least)))
    )


def check(own: Staircase, line: Line) -> None:
    """Volumes on a grid of a thousandth of a step, and around every step's end, up to 60 steps."""
    grid = np.arange(0, 60_000) * (own.tasks_per_unit / 1000)
    ends = np.arange(1, 60) * own.tasks_per_unit
    volumes = np.sort(np.concatenate([grid, ends * (1 + 1e-6)]))
    first, lasting = scanned(own, line, volumes)
    found = break_even(own, line)
    step = 1.01 * own.tasks_per_unit / 1000
    end = volumes[-1]
    if found.first_tasks is not None and found.first_tasks < end - step:
        assert first == pytest.approx(found.first_tasks, abs=step)
    else:
        assert first == inf or first >= end - step
    if found.for_good_tasks is not None and found.for_good_tasks < end - step:
        # A crossing that lies on a step's very end may be found on either side of it.
        near = abs(found.for_good_tasks / own.tasks_per_unit % 1 - 0.5) > 0.499
        assert lasting == pytest.approx(found.for_good_tasks, abs=own.tasks_per_unit if near else step)


def test_many_cases_at_once_are_each_case_alone() -> None:
    api = np.array([0.02, 0.05, 0.5])
    own = Staircase(fixed_usd=1_000.0, unit_usd=2_000.0, usd_per_task=0.01, tasks_per_unit=100_000.0)
    for formula in (first_break_even, lasting_break_even):
        assert list(formula(own, 0.0, api)) == [float(formula(own, 0.0, price)) for price in api]


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_at_least_is_the_larger(a: float, b: float) -> None:
    assert at_least(a, b) == max(a, b) or at_least(a, b) == pytest.approx(max(a, b), rel=1e-12)


def test_whole_units() -> None:
    assert [whole(x) for x in (0.2, 1.0, 1.1, 3.0000000001)] == [1, 1, 2, 3]


def test_a_week_has_168_hours_whose_mean_is_one() -> None:
    day = (0.0,) * 8 + (2.0,) * 10 + (0.0,) * 6
    week = (1.0,) * 5 + (0.0,) * 2
    weights = week_weights(day, week)
    # 50 of 168 hours are busy, each 3.36 times the mean.
    assert [weight for weight, _ in weights] == pytest.approx([0, 3.36])
    assert [share for _, share in weights] == pytest.approx([118 / 168, 50 / 168])


def test_what_comes_beyond_the_capacity_goes_elsewhere() -> None:
    load = MonthLoad(tasks_per_month=1_000, hour_weights=((0.5, 0.5), (1.5, 0.5)))
    # At a capacity of 800 the quiet half serves all of its 500, the busy half 800 of 1,500: (500 + 800) / 2.
    assert served_tasks(load, 1_000, 800) == pytest.approx(650)
    assert served_tasks(load, 1_000, 2_000) == pytest.approx(1_000)

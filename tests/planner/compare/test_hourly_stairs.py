"""Machines by the hour: their month by hand, and their break-even against trying every volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.compare.hourly_stairs import HourlyStairs, hourly_break_even
from planner.compare.month import hybrid_month, own_month
from planner.compare.month_load import MonthLoad, mean_units
from planner.compare.options import OwnOption, hourly_stairs
from planner.compare.staircase import Line
from planner.prices.machine_cost import Deal
from tests.planner.compare.scenarios import HALF_AND_HALF, api, bought, scenario

HALVES = MonthLoad(tasks_per_month=1.0, hour_weights=HALF_AND_HALF)


def by_the_hour(deal: Deal = "on-demand") -> OwnOption:
    always = bought(deal=deal)
    return OwnOption(
        name="by the hour", machine=always.machine, deal=always.deal, site=always.site, specific=always.specific,
        follows_load=True,
    )  # fmt: skip


def test_each_hour_has_the_units_that_it_needs() -> None:
    # 240,000 tasks a month over units of 100,000: half the hours bring 120,000, two units, the others 360,000, four.
    assert mean_units(HALVES, 240_000, 100_000, 4) == pytest.approx(3)
    assert mean_units(HALVES, 240_000, 100_000, 3) == pytest.approx(2.5)  # no more than three at once
    assert mean_units(HALVES, 10, 100_000, 1) == 1  # one is there before anybody asks


def test_a_month_by_the_hour_by_hand() -> None:
    asked = scenario(240_000, load=HALF_AND_HALF)
    always, hourly = own_month(bought(deal="on-demand"), asked), own_month(by_the_hour(), asked)
    assert (always.existing_hours, hourly.existing_hours) == pytest.approx((4 * 730.5, 3 * 730.5))
    # At 4.0 an hour a quarter of the rent is saved; all else is of the four machines of the busiest hour.
    assert always.usd - hourly.usd == pytest.approx(730.5 * 4.0)
    assert hourly.n_machines == 4


@given(st.floats(1, 1e6), st.sampled_from(["on-demand", "spot"]))
def test_by_the_hour_never_costs_more_than_all_month(tasks: float, deal: Deal) -> None:
    asked = scenario(tasks, load=HALF_AND_HALF)
    assert own_month(by_the_hour(deal), asked).usd <= own_month(bought(deal=deal), asked).usd + 1e-6
    assert (
        hybrid_month(by_the_hour(deal), api(), asked).usd
        <= hybrid_month(bought(deal=deal), api(), asked).usd + 1e-6
    )


@pytest.mark.parametrize("n_tasks", [1_000, 99_999, 100_001, 350_000])
def test_the_stairs_are_the_month(n_tasks: float) -> None:
    asked = scenario(n_tasks, load=HALF_AND_HALF)
    option = by_the_hour()
    figures = asked.figures.with_figures(*option.specific.values())
    assert hourly_stairs(option, figures, asked.load).usd(n_tasks) == pytest.approx(
        own_month(option, asked).usd
    )


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 20_000), st.floats(1, 500), st.floats(10, 5_000), st.floats(1_000, 50_000),
    st.just(0.0) | st.floats(1e-6, 0.5), st.floats(0.3, 1.0), st.floats(1_000, 100_000),
    st.lists(st.floats(0.05, 3.0), min_size=1, max_size=4),
)  # fmt: skip
def test_formula_is_scanning(
    fixed: float, kept: float, existing: float, per_unit: float, price: float, less: float, second: float,
    weights: list[float],
) -> None:  # fmt: skip
    mean = sum(weights) / len(weights)
    load = MonthLoad(
        tasks_per_month=1.0,
        hour_weights=tuple((weight / mean, 1 / len(weights)) for weight in sorted(weights)),
    )
    own = HourlyStairs(
        fixed_usd=fixed, kept_unit_usd=kept, existing_unit_usd=existing, usd_per_task=0.0, tasks_per_unit=per_unit,
        load=load,
    )  # fmt: skip
    line = Line(fixed_usd=0.0, tiers=((0, price), (second, price * less)))
    found = hourly_break_even(own, line)
    step = per_unit / 500
    volumes = np.arange(1, 20_001) * step  # forty units
    cheaper = own.usd(volumes) <= line.usd(volumes)
    end = float(volumes[-1])
    if found.first_tasks is not None and found.first_tasks < end - step:
        first = float(volumes[np.argmax(cheaper)])
        assert cheaper.any()
        assert first == pytest.approx(found.first_tasks, abs=2.1 * step) or _short(
            own, line, found.first_tasks
        )
    else:
        assert not cheaper[:-2].any()
    if found.for_good_tasks is not None and found.for_good_tasks < end - step:
        assert cheaper[volumes > found.for_good_tasks + step].all()
    elif found.for_good_tasks is None:
        assert line.tiers[-1][1] <= own.usd_per_task_at_large


def _short(own: HourlyStairs, line: Line, volume: float) -> bool:
    """Whether owning is cheaper there, if only for less than the grid can see."""
    return bool(own.usd(volume) <= line.usd(volume) + 1e-6 * max(1.0, own.usd(volume)))

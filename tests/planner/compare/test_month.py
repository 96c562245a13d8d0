"""A month of each option, by hand, and that its terms are all there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.compare.month import api_month, hybrid_month, own_month, spare_worth_usd
from planner.compare.options import TASKS, api_line, staircase
from planner.estimate.term import total
from planner.prices.machine_cost import to_the_cent
from tests.planner.compare.scenarios import HALF_AND_HALF, api, bought, figure, scenario


def test_a_month_of_an_api_by_hand() -> None:
    # 40,000 tasks at 0.05, and an hour of somebody at 60.
    month = api_month(api(), scenario(40_000, api_operations_hours_per_month=1, operations_usd_per_hour=60))
    assert month.usd == pytest.approx(40_000 * 0.05 + 60)
    assert (month.kind, month.utilisation, month.api_tasks) == ("api", None, 40_000)


def test_machines_are_as_many_as_the_busiest_hour_takes() -> None:
    # 150,000 tasks a month fill one and a half units on average; the busy half comes at 1.5 times that, 2.25 units.
    month = own_month(bought(), scenario(150_000, load=HALF_AND_HALF))
    assert (month.n_units, month.n_machines) == (3, 3)
    assert month.utilisation == pytest.approx(0.5)
    assert month.spare_tasks == pytest.approx(150_000)
    assert spare_worth_usd(month, 0.05) == pytest.approx(7_500)


def test_own_machines_and_an_api_for_the_peaks() -> None:
    # Of 120,000 tasks, half the hours bring 60,000 a month's worth and half 180,000; a unit serves 100,000.
    # One unit: (60,000 + 100,000) / 2 = 80,000 served, 40,000 to the API. Two units: all but nothing of (60 + 180) / 2.
    asked = scenario(120_000, load=HALF_AND_HALF)
    month = hybrid_month(bought(usd=60_000), api(0.03), asked)
    assert month.n_units == 1
    assert (month.own_tasks, month.api_tasks) == pytest.approx((80_000, 40_000))
    # The second machine costs 1,500 to 2,000 a month and would save 40,000 · 0.03 = 1,200; of a dear API it saves 20,000.
    assert hybrid_month(bought(usd=60_000), api(0.5), asked).n_units == 2


@pytest.mark.parametrize("n_tasks", [1_000, 99_999, 100_001, 350_000])
def test_the_staircase_is_the_month(n_tasks: float) -> None:
    asked = scenario(n_tasks, load=HALF_AND_HALF)
    option = bought()
    figures = asked.figures.with_figures(*option.specific.values())
    assert staircase(option, figures, asked.load).usd(n_tasks) == pytest.approx(own_month(option, asked).usd)
    line = api_line(api(), asked.figures.with_figures(*api().specific.values()))
    assert line.usd(n_tasks) == pytest.approx(api_month(api(), asked).usd)


@given(st.floats(1, 1e6), st.floats(0.001, 1.0))
def test_a_hybrid_is_never_dearer_than_all_own_machines_beside_the_people_for_the_api(
    tasks: float, usd: float
) -> None:
    asked = scenario(tasks, load=HALF_AND_HALF)
    people = asked.figures.value("api_operations_hours_per_month", "operations_usd_per_hour")
    own = own_month(bought(), asked)
    assert hybrid_month(bought(), api(usd), asked).usd <= own.usd + people + 1e-6 * own.usd


@given(st.floats(1, 1e6))
def test_the_total_is_the_sum_of_the_terms_to_the_cent(tasks: float) -> None:
    asked = scenario(tasks, load=HALF_AND_HALF)
    for month in (own_month(bought(), asked), api_month(api(), asked), hybrid_month(bought(), api(), asked)):
        # Half a cent may go either way.
        assert abs(total(to_the_cent(month.terms)) - month.usd) <= 0.005 + 1e-9 * month.usd


def test_a_spot_machine_loses_hours() -> None:
    lost = scenario(95_000, spot_lost_fraction=0.1)
    assert own_month(bought(deal="spot"), lost).n_units == 2  # 90,000 are left of a unit's 100,000
    assert own_month(bought(deal="on-demand"), lost).n_units == 1


def test_spares_cost_and_serve_nothing() -> None:
    asked = scenario(95_000)
    option = bought()
    spared = type(option)(
        name=option.name, machine=option.machine, deal=option.deal, site=option.site, specific=option.specific,
        n_spare_machines=1,
    )  # fmt: skip
    assert own_month(spared, asked).n_machines == 2
    assert own_month(spared, asked).capacity == own_month(option, asked).capacity
    assert own_month(spared, asked).usd > own_month(option, asked).usd


def test_an_absurd_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the 100,000"):
        own_month(bought(), scenario(1e12).__class__(
            figures=scenario(1.0).figures.with_figures(figure(TASKS, 1e15)), load=scenario(1.0).load, n_months=1
        ))  # fmt: skip


def test_an_hour_of_being_there_and_an_hour_of_work() -> None:
    # A quarter of 100,000 tasks keeps one machine at work a quarter of its 99 % of the month.
    month = own_month(bought(), scenario(25_000))
    assert month.usd_per_existing_hour == pytest.approx(month.usd / 730.5)
    assert month.usd_per_busy_hour == pytest.approx(month.usd / (0.25 * 0.99 * 730.5))
    mixed = hybrid_month(bought(), api(0.03), scenario(120_000, load=HALF_AND_HALF))
    assert mixed.own_usd < mixed.usd
    assert api_month(api(), scenario(1)).usd_per_existing_hour is None

"""Money over the years, by hand."""

from typing import Any

import numpy as np
import pytest

from planner.compare.horizon import cash_flow, flows, paid_back_month
from planner.compare.month import api_month, own_month
from planner.compare.options import GROWTH, TASKS
from tests.planner.compare.scenarios import HALF_AND_HALF, api, bought, scenario

NO_PEOPLE: dict[str, Any] = {
    "operations_usd_per_hour": 0.0, "network_usd_per_machine_month": 0.0, "storage_usd_per_gb_month": 0.0,
    "maintenance_fraction_per_year": 0.0, "electricity_usd_per_kwh": 0.0, "spare_parts_fraction": 0.0,
}  # fmt: skip


def test_an_api_that_gets_cheaper_while_the_load_grows() -> None:
    # 0.05 · 10,000 = 500; after a year twice the load at half the price, so 500 again, and √2 · √½ in between.
    flow = cash_flow(
        "api", scenario(10_000, 13, growth=1.0, api_price_decline_per_year=0.5, **NO_PEOPLE), None, api()
    )
    assert flow.out_usd == pytest.approx((500.0,) * 13)


def test_what_is_paid_later_is_worth_less() -> None:
    flow = cash_flow("api", scenario(10_000, 24, discount_rate_per_year=0.21, **NO_PEOPLE), None, api())
    # 1.21 ^ (t / 12): Σ 500 · q^t with q = 1.21^(−1/12), 24 months.
    q = 1.21 ** (-1 / 12)
    assert flow.npv_usd == pytest.approx(500 * (1 - q**24) / (1 - q))
    assert flow.total_usd == pytest.approx(12_000)


def test_a_machine_is_paid_when_it_comes_and_sold_at_the_end() -> None:
    flow = cash_flow(
        "own", scenario(10_000, 24, value_kept_per_year=0.5, **NO_PEOPLE), bought(usd=60_000), None
    )
    assert flow.out_usd == pytest.approx((60_000.0, *(0.0,) * 23))
    assert flow.back_usd == pytest.approx(15_000)  # 60,000 · 0.5²
    assert flow.n_units == (1,) * 24


def test_a_machine_is_replaced_at_the_end_of_its_life() -> None:
    found = scenario(
        10_000, 24, value_kept_per_year=0.25, life_years=1, hardware_price_decline_per_year=0.5, **NO_PEOPLE
    )
    flow = cash_flow("own", found, bought(usd=60_000), None)
    # After a year the old one sells for 15,000 and a new one costs 30,000, which is worth 7,500 a year later.
    assert flow.out_usd[12] == pytest.approx(15_000)
    assert flow.back_usd == pytest.approx(7_500)


def test_machines_are_added_as_the_load_grows_and_not_given_back() -> None:
    # 80,000 tasks that double in a year: above 100,000 after log2(1.25) · 12 = 3.86 months.
    grown = cash_flow("own", scenario(80_000, 12, growth=1.0, **NO_PEOPLE), bought(), None)
    assert grown.n_units == (1,) * 4 + (2,) * 8
    shrunk = cash_flow("own", scenario(180_000, 12, growth=-0.5, **NO_PEOPLE), bought(), None)
    assert shrunk.n_units == (2,) * 12
    # A machine rented by the hour is given back: 180,000 halve in a year, below 100,000 after log2(1.8) · 12 = 10.2 months.
    rented = cash_flow("own", scenario(180_000, 12, growth=-0.5, **NO_PEOPLE), bought(deal="on-demand"), None)
    assert rented.n_units == (2,) * 11 + (1,)


def test_a_reserved_price_changes_with_the_term() -> None:
    found = scenario(
        10_000, 24, rent_price_decline_per_year=0.5, reserved_discount_fraction=0.25, **NO_PEOPLE
    )
    flow = cash_flow("own", found, bought(deal="reserved"), None)
    first = 4.0 * 0.75 * 730.5
    assert flow.out_usd == pytest.approx((first,) * 12 + (first / 2,) * 12)
    falling = cash_flow("own", found, bought(deal="on-demand"), None)
    assert falling.out_usd[12] == pytest.approx(4.0 * 730.5 / 2)


def test_the_first_month_is_the_month_of_the_account() -> None:
    asked = scenario(150_000, 3, load=HALF_AND_HALF)
    assert cash_flow("", asked, bought(deal="on-demand"), None).out_usd[0] == pytest.approx(
        own_month(bought(deal="on-demand"), asked).usd
    )
    assert cash_flow("", asked, None, api()).out_usd[0] == pytest.approx(api_month(api(), asked).usd)


def test_when_owning_has_paid_for_itself() -> None:
    # 60,000 at once against 5,000 a month: level at the end of month 12.
    asked = scenario(100_000, 24, **NO_PEOPLE)
    own, other = cash_flow("own", asked, bought(usd=60_000), None), cash_flow("api", asked, None, api(0.05))
    assert paid_back_month(own, other) == 12
    assert paid_back_month(cash_flow("own", asked, bought(usd=600_000), None), other) is None
    assert paid_back_month(other, other) == 1


def test_the_api_takes_what_the_machines_do_not_cover() -> None:
    asked = scenario(120_000, 2, load=HALF_AND_HALF, **NO_PEOPLE)
    mixed = cash_flow("both", asked, bought(usd=60_000), api(0.05), cover=0.5)  # 0.5 · 120,000: one unit
    assert mixed.n_units == (1, 1)
    assert mixed.out_usd[1] == pytest.approx(40_000 * 0.05)


def test_many_cases_at_once_are_each_case_alone() -> None:
    growth = np.array([0.0, 1.0, -0.3])
    life = np.array([1.0, 5.0, 2.0])
    base = scenario(150_000, 30, load=HALF_AND_HALF)
    for option in (bought(), bought(deal="reserved")):
        together = flows(
            type(base)(
                figures=base.figures.with_values({GROWTH: growth, "life_years": life}),
                load=base.load,
                n_months=30,
            ),
            option,
            None,
        ).npv_usd(base.figures)
        for index in range(3):
            alone = scenario(
                150_000, 30, growth=float(growth[index]), load=HALF_AND_HALF, life_years=float(life[index])
            )
            assert together[index] == pytest.approx(cash_flow("", alone, option, None).npv_usd)
    assert base.figures.value(TASKS) == 150_000

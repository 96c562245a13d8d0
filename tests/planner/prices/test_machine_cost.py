"""What own machines cost, against numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import PriceError
from planner.estimate.term import Term, total
from planner.prices.figure import Figures, assumed_figures
from planner.prices.machine_cost import (
    Deal,
    annuity_usd_per_month,
    cost_rates,
    energy_usd,
    machine_cost,
    residual_fraction,
    to_the_cent,
)
from planner.prices.machine_prices import Accelerators, machine_figures

EIGHT_H100 = Accelerators(accelerator_id="h100-sxm-80", name="H100 SXM5 80GB", n=8, power_w=700.0)
HOURS = 730.5


def figures(**values: float) -> Figures:
    return machine_figures(EIGHT_H100, assumed_figures()).with_values(values)


def usd(terms: tuple[Term, ...], name: str) -> float:
    return float(next(term.value for term in terms if term.name == name))


def test_annuity_of_a_loan_by_hand() -> None:
    # 10,000 over 12 months at 12 % a year, 1 % a month, nothing left: 10,000 · 0.01 / (1 − 1.01⁻¹²) = 888.49.
    assert annuity_usd_per_month(10_000, 0, 0.12, 12) == pytest.approx(888.49, abs=0.005)
    # With 4,000 left at the end: (10,000 − 4,000 · 1.01⁻¹²) · 0.01 / (1 − 1.01⁻¹²) = 888.49 − 4,000 · 0.0788488 = 573.09.
    assert annuity_usd_per_month(10_000, 4_000, 0.12, 12) == pytest.approx(573.09, abs=0.005)
    assert annuity_usd_per_month(10_000, 4_000, 0.0, 12) == 500


@given(st.floats(1e3, 1e7), st.floats(0, 0.9), st.floats(0.001, 0.5), st.integers(1, 120))
def test_the_payments_of_an_annuity_are_worth_the_price(
    price: float, left: float, rate: float, n_months: int
) -> None:
    payment = annuity_usd_per_month(price, left * price, rate, n_months)
    i = rate / 12
    worth = sum(payment / (1 + i) ** month for month in range(1, n_months + 1))
    assert worth + left * price / (1 + i) ** n_months == pytest.approx(price, rel=1e-9)


def test_energy_by_hand() -> None:
    # 10 kW for 100 hours at a PUE of 1.5 are 1,500 kWh; at 0.12 they cost 180.
    assert energy_usd(10_000, 100, 1.5, 0.12) == pytest.approx(180)
    assert residual_fraction(0.5, 3) == 0.125


def test_a_month_of_bought_machines_by_hand() -> None:
    found = figures(
        machine_usd=300_000, spare_parts_fraction=0.0, life_years=5, value_kept_per_year=0.5,
        financing_rate_per_year=0.0, maintenance_fraction_per_year=0.04, full_power_w=10_000,
        idle_power_share=0.25, busy_power_share=0.75, electricity_usd_per_kwh=0.10, colocation_pue=1.2,
        colocation_usd_per_kw_month=200, network_usd_per_machine_month=100, operations_hours_per_month=10,
        operations_hours_per_machine_month=2, operations_usd_per_hour=50, licence_usd_per_machine_month=0,
    )  # fmt: skip
    month = machine_cost(cost_rates(found, "buy", "colocation"), 2, 2 * HOURS, 500)
    # 300,000 · (1 − 0.5⁵) / 60 = 4,843.75 each.
    assert usd(month.terms, "loss of value") == pytest.approx(9_687.50)
    assert usd(month.terms, "financing") == 0
    assert usd(month.terms, "maintenance") == pytest.approx(2_000)  # 12,000 a year each
    assert usd(month.terms, "colocation") == pytest.approx(4_000)  # 10 kW · 200 each
    assert usd(month.terms, "power: waiting") == pytest.approx(
        438.30
    )  # 2.5 kW · 1.2 · 0.10 = 0.30 an hour · 1,461
    assert usd(month.terms, "power: working") == pytest.approx(300)  # 5 kW more: 0.60 an hour · 500
    assert usd(month.terms, "people: operations") == 500
    assert usd(month.terms, "people: each machine") == 200
    assert usd(month.terms, "network") == 200
    assert month.usd == pytest.approx(9_687.50 + 2_000 + 4_000 + 438.30 + 300 + 500 + 200 + 200)
    assert month.usd_per_existing_hour == pytest.approx(month.usd / 1_461)
    assert month.usd_per_busy_hour == pytest.approx(month.usd / 500)


@pytest.mark.parametrize(
    ("deal", "rent"),
    [
        ("on-demand", 24.0 * HOURS),
        ("reserved", 24.0 * 0.75 * HOURS),  # a quarter off for a year
        ("spot", 10.0 * HOURS),
    ],
)
def test_rents_by_hand(deal: Deal, rent: float) -> None:
    found = figures(
        rent_usd_per_machine_hour=24.0, reserved_discount_fraction=0.25, spot_usd_per_machine_hour=10.0
    )
    month = machine_cost(cost_rates(found, deal, "cloud"), 1, HOURS, 100)
    assert usd(month.terms, f"rent, {deal}") == pytest.approx(rent)
    assert not any(term.name.startswith("power") for term in month.terms)  # the owner pays it


def test_an_office_pays_no_cooling_and_no_colocation() -> None:
    found = figures(electricity_usd_per_kwh=0.1, full_power_w=1_000, idle_power_share=0.5)
    rates = cost_rates(found, "buy", "office")
    assert usd(rates.per_existing_hour, "power: waiting") == pytest.approx(0.05)
    assert not any(term.name == "colocation" for term in rates.per_machine_month)


@pytest.mark.parametrize("deal", ["buy", "on-demand", "reserved", "spot"])
def test_every_term_says_what_it_rests_on(deal: Deal) -> None:
    for term in machine_cost(cost_rates(figures(), deal, "colocation"), 1, HOURS, 100).terms:
        assert term.unit == "USD"
        assert term.source
        # Nebius' catalogue, where the only spot price is from, carries no date.
        assert term.as_of or term.name == "rent, spot"


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_terms_in_cents_sum_to_the_total_in_cents(values: list[float]) -> None:
    template = machine_cost(cost_rates(figures(), "buy", "office"), 1, HOURS, 0).terms[0]
    terms = tuple(
        Term(name=str(i), value=v, unit="USD", basis=template.basis, source="") for i, v in enumerate(values)
    )
    rounded = to_the_cent(terms)
    assert round(total(rounded) * 100) == round(total(terms) * 100)
    assert all(abs(a.value - b.value) < 0.01 + 1e-9 for a, b in zip(rounded, terms, strict=True))


def test_many_cases_at_once_give_what_each_gives_alone() -> None:
    prices = np.array([200_000.0, 300_000.0])
    interests = np.array([0.0, 0.08])
    together = machine_cost(
        cost_rates(
            figures().with_values({"machine_usd": prices, "financing_rate_per_year": interests}),
            "buy",
            "colocation",
        ),
        3,
        3 * HOURS,
        700,
    ).usd
    for index in range(2):
        alone = machine_cost(
            cost_rates(
                figures(machine_usd=float(prices[index]), financing_rate_per_year=float(interests[index])),
                "buy",
                "colocation",
            ),
            3,
            3 * HOURS,
            700,
        ).usd
        assert together[index] == pytest.approx(alone)


def test_the_price_of_a_machine_follows_its_accelerators() -> None:
    found = machine_figures(EIGHT_H100, assumed_figures())
    # gpu_buy.csv of 2026: 25,000, 30,000 (twice), 40,000; the machine around them 1.35 times.
    assert found["machine_usd"].value == pytest.approx(8 * 30_000 * 1.35)
    # gpu_rent.csv: 2.95 twice (Nebius), 2.99 and 3.49: between the middle two.
    assert found["rent_usd_per_machine_hour"].value == pytest.approx(8 * (2.95 * 2.99) ** 0.5)
    assert found["full_power_w"].value == pytest.approx(8 * 700 * 1.8)


def test_the_newest_list_price_counts() -> None:
    spark = Accelerators(accelerator_id="gb10-dgx-spark", name="DGX Spark", n=1, power_w=140.0)
    assert machine_figures(spark, assumed_figures())["machine_usd"].value == 4_699


def test_what_nobody_published_is_asked_for() -> None:
    mi300x = Accelerators(accelerator_id="mi300x", name="MI300X", n=8, power_w=750.0)
    with pytest.raises(PriceError, match="machine_usd is not known; state it with --set machine_usd=VALUE"):
        cost_rates(machine_figures(mi300x, assumed_figures()), "buy", "colocation")

"""How sure the answer is: draws keep to their bounds, and certain figures give a certain answer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.compare.horizon import cash_flow
from planner.compare.uncertainty import Matched, draw, risk
from tests.planner.compare.scenarios import api, bought, figure, scenario


@pytest.mark.parametrize(("low", "value", "high"), [(1.0, 2.0, 8.0), (-0.3, 0.0, 0.5), (0.01, 0.1, 0.9)])
def test_four_draws_in_five_lie_between_the_bounds(low: float, value: float, high: float) -> None:
    drawn = draw(figure("x", value, low, high), "", 7, 100_000)
    # Standard error of a share of 0.8 over 100,000: 0.0013.
    assert np.mean((low <= drawn) & (drawn <= high)) == pytest.approx(0.8, abs=0.006)
    assert np.median(drawn) == pytest.approx(value, abs=0.02)


def test_a_seed_gives_the_same_cases_and_another_one_others() -> None:
    one = figure("x", 2.0, 1.0, 4.0)
    assert (draw(one, "", 1, 50) == draw(one, "", 1, 50)).all()
    assert (draw(one, "", 1, 50) != draw(one, "", 2, 50)).any()
    assert (draw(one, "", 1, 50) != draw(one, "a machine", 1, 50)).any()


def test_without_bounds_the_answer_is_certain() -> None:
    match = Matched(own=bought(usd=20_000), api=api(0.05))
    asked = scenario(90_000, 24)
    found = risk(asked, match, n_cases=50)
    difference = cash_flow("", asked, match.own, None).npv_usd - cash_flow("", asked, None, match.api).npv_usd
    assert difference < 0
    assert found.probability_own_cheaper == 1.0
    assert found.difference_usd == pytest.approx((difference,) * 3)
    assert found.swings == ()


def test_a_price_of_unknown_size_makes_it_a_toss() -> None:
    # The API's price at which both cost the same lies between 0.02 and 0.08; by bounds around it half the cases go either way.
    asked = scenario(90_000, 24)
    own = cash_flow("", asked, bought(usd=60_000), None).npv_usd
    even = cash_flow("", asked, None, api(1.0)).npv_usd
    people = cash_flow("", asked, None, api(1e-12)).npv_usd
    price = (own - people) / (even - people)
    assert 0.01 < price < 0.1
    found = risk(asked, Matched(own=bought(usd=60_000), api=api(price, price / 2, price * 2)), n_cases=4_000)
    assert found.probability_own_cheaper == pytest.approx(0.5, abs=0.03)
    assert [swing.figure for swing in found.swings] == ["usd_per_task"]
    # Twice the price: what the API costs without its people is saved once more.
    assert found.swings[0].usd_at_high == pytest.approx(-(own - people), rel=1e-6)
    assert found.break_even_tasks[0] is not None


def test_the_tornado_is_ordered_and_holds_every_figure_that_moves() -> None:
    base = scenario(90_000, 24)
    figures = base.figures.with_figures(
        figure("electricity_usd_per_kwh", 0.12, 0.1, 0.14),
        figure("growth_per_year", 0.0, -0.3, 0.5),
        figure("pue", 1.5, 1.2, 1.6),  # an office cools nothing: it moves nothing
    )
    found = risk(
        type(base)(figures=figures, load=base.load, n_months=24), Matched(own=bought(), api=api()), n_cases=10
    )
    assert [swing.figure for swing in found.swings] == ["growth_per_year", "electricity_usd_per_kwh"]


@settings(max_examples=25, deadline=None)
@given(st.floats(0.005, 0.2), st.floats(1.0, 3.0))
def test_a_dearer_api_never_makes_owning_less_likely(usd: float, times: float) -> None:
    base = scenario(90_000, 24)
    figures = base.figures.with_figures(
        figure("electricity_usd_per_kwh", 0.12, 0.05, 0.3),
        figure("operations_hours_per_month", 8, 2, 24),
        figure("growth_per_year", 0.2, -0.3, 0.6),
    )
    asked = replace(base, figures=figures)
    own = bought(usd=40_000)
    cheap = risk(asked, Matched(own=own, api=api(usd)), n_cases=300)
    dear = risk(asked, Matched(own=own, api=api(usd * times)), n_cases=300)
    assert dear.probability_own_cheaper >= cheap.probability_own_cheaper
    # The same cases: only the price differs.
    assert dear.difference_usd[1] <= cheap.difference_usd[1] + 1e-6

"""Every number of a cost can be replaced, keeps its unit, and says where it is from."""

from datetime import date

import pytest

from hardware.spec import Basis
from planner.errors import PriceError
from planner.prices.currency import exchange_rate
from planner.prices.figure import assumed_figures, stated

UNITS = {"machine_usd": "USD"}


def test_every_assumption_has_bounds_a_source_and_a_date() -> None:
    for figure in assumed_figures().values():
        assert figure.source, figure.name
        assert figure.as_of, figure.name
        if figure.low is not None and figure.high is not None:
            assert figure.low <= figure.value <= figure.high, figure.name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.2", (0.2, 0.2, 0.2)),
        ("0.1-0.3", (0.2, 0.1, 0.3)),
        ("0.25(0.1-0.3)", (0.25, 0.1, 0.3)),
        ("0.25 (0.1–0.3)", (0.25, 0.1, 0.3)),
        ("-0.1..0.3", (0.1, -0.1, 0.3)),
        ("-0.1-0.3", (0.1, -0.1, 0.3)),
        ("1e-3", (0.001, 0.001, 0.001)),
        ("-0.2", (-0.2, -0.2, -0.2)),
    ],
)
def test_a_stated_figure_may_have_bounds(text: str, expected: tuple[float, float, float]) -> None:
    figure = stated("electricity_usd_per_kwh", text, assumed_figures(), UNITS)
    assert (figure.value, figure.low, figure.high) == pytest.approx(expected)
    assert (figure.basis, figure.unit) == (Basis.GIVEN, "USD/kWh")


@pytest.mark.parametrize(
    "text", ["", "cheap", "0.3-0.1", "0.5(0.1-0.3)", "nan", "inf", "1e300", "1-2-3", "0.2("]
)
def test_what_is_no_number_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PriceError) as refused:
        stated("pue", text, assumed_figures(), UNITS)
    assert "pue" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(PriceError, match="did you mean electricity_usd_per_kwh"):
        stated("electricity_usd_kwh", "0.2", assumed_figures(), UNITS)


def test_a_missing_figure_says_how_to_state_it() -> None:
    with pytest.raises(PriceError, match="machine_usd is not known; state it with --set machine_usd=VALUE"):
        assumed_figures()["machine_usd"]
    assert stated("machine_usd", "5000", assumed_figures(), UNITS).unit == "USD"


def test_money_of_another_currency_is_turned_into_dollars_of_the_day() -> None:
    day = date(2026, 11, 20)
    rate = exchange_rate("EUR", day).usd_per_unit
    figure = stated("machine_usd", "250000(240000-300000) EUR", assumed_figures(), UNITS, day)
    assert (figure.value, figure.low, figure.high) == pytest.approx(
        (250_000 * rate, 240_000 * rate, 300_000 * rate)
    )
    assert "as stated in EUR" in figure.source
    assert stated("machine_usd", "250000usd", assumed_figures(), UNITS, day).value == 250_000


@pytest.mark.parametrize(
    ("name", "text"), [("pue", "1.2 EUR"), ("machine_usd", "5 XXX"), ("machine_usd", "5 E")]
)
def test_a_currency_where_none_belongs_or_that_nobody_knows(name: str, text: str) -> None:
    with pytest.raises(PriceError):
        stated(name, text, assumed_figures(), UNITS, date(2026, 11, 20))

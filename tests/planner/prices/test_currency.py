"""Exchange rates of a day, there and back, and cents."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import PriceError
from planner.prices.currency import exchange_rate, known_currencies, money
from profiles.loader import USER_FOLDER_VARIABLE

DAY = date(2026, 11, 28)


def test_the_rate_of_a_day_is_the_newest_one_known_by_then() -> None:
    # One euro on 2026-10-30: 1.1172 dollars, 0.8338 pounds, 175.68 yen.
    assert exchange_rate("EUR", DAY).usd_per_unit == 1.1172
    assert exchange_rate("eur", DAY).as_of == date(2026, 10, 30)
    assert exchange_rate("GBP", DAY).usd_per_unit == pytest.approx(1.1172 / 0.8338)
    assert exchange_rate("JPY", DAY).usd_per_unit == pytest.approx(1.1172 / 175.68)
    assert exchange_rate("EUR", date(2025, 1, 15)).usd_per_unit == 1.0389  # of 2024-12-31
    assert exchange_rate("USD", DAY).usd_per_unit == 1.0


@pytest.mark.parametrize(
    ("currency", "day", "part"),
    [
        ("EUR", date(2022, 12, 29), "no exchange rate of USD is known before 2022-12-30"),
        ("XXX", DAY, "no exchange rate of 'XXX' is known; known: AUD"),
        ("=cmd()", DAY, "no exchange rate of '=CMD()'"),
    ],
)
def test_what_is_not_known_is_said(currency: str, day: date, part: str) -> None:
    with pytest.raises(PriceError) as caught:
        exchange_rate(currency, day)
    assert part in str(caught.value)


@given(
    st.sampled_from(known_currencies()),
    st.dates(date(2022, 12, 30), date(2030, 1, 1)),
    st.integers(0, 10**12).map(lambda cents: cents / 100),
)
def test_an_amount_there_and_back_is_the_same_to_the_cent(currency: str, day: date, amount: float) -> None:
    rate = exchange_rate(currency, day)
    assert money(rate.to_usd(rate.from_usd(amount))) == money(amount)
    assert rate.as_of <= day


def test_a_user_may_state_a_rate_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER_FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "exchange_rates.csv").write_text(
        "id,currency,units_per_eur,as_of,source\nusd-mine,USD,1.20,2026-11-27,our bank\n", encoding="utf-8"
    )
    assert exchange_rate("EUR", DAY).usd_per_unit == 1.2
    assert exchange_rate("EUR", DAY).source == "our bank"
    assert exchange_rate("EUR", date(2026, 11, 26)).usd_per_unit == 1.1172


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.125, "0.12"), (0.135, "0.14"), (0.1 + 0.2, "0.30"), (2.675, "2.68"), (1e-12, "0.00"), (1234567.895, "1234567.90")],
)  # fmt: skip
def test_half_a_cent_goes_to_the_even_one_whatever_the_float_was(amount: float, shown: str) -> None:
    assert str(money(amount)) == shown


def test_the_yen_has_no_cents() -> None:
    assert money(175.68, "JPY") == Decimal(176)


@given(st.lists(st.integers(0, 10**9).map(lambda tenth_cents: tenth_cents / 1000), max_size=8))
def test_a_total_is_the_sum_of_its_terms_to_the_cent(terms: list[float]) -> None:
    exact = sum((Decimal(repr(term)) for term in terms), Decimal(0))
    assert money(sum(terms)) == exact.quantize(Decimal("0.01"))

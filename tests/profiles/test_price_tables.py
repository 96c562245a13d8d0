"""Every row of the tables about API prices, and what is refused in them."""

import math
from datetime import date

import pytest

from profiles import price_schema
from profiles.errors import ProfileError
from profiles.loader import (
    benchmark_score_rows,
    exchange_rate_rows,
    historic_price_rows,
    hosted_prices,
    main_model_rows,
    model_rows,
)
from profiles.schema import Row

PRICE: Row = {
    "id": "a", "provider": "openai", "model_id": "m", "input_per_mtok": "1", "output_per_mtok": "2",
    "since": "2025-01-01", "until": "2025-02-01",
}  # fmt: skip


@pytest.mark.parametrize("row", historic_price_rows(), ids=lambda row: row["id"])
def test_old_prices_have_their_days_and_a_source(row: Row) -> None:
    price_schema.check_price(row, "historic_prices.csv")
    assert (row["url"] or "").startswith("https://") and row["note"] and row["checked"]
    assert date.fromisoformat(row["since"] or "") < date.fromisoformat(row["until"] or "")


@pytest.mark.parametrize("row", exchange_rate_rows(), ids=lambda row: row["id"])
def test_exchange_rates_are_of_the_central_bank(row: Row) -> None:
    price_schema.check_exchange_rate(row, "exchange_rates.csv")
    assert "European Central Bank" in (row["source"] or "")


def test_every_day_of_rates_has_the_dollar() -> None:
    days = {row["as_of"] for row in exchange_rate_rows()}
    assert {row["as_of"] for row in exchange_rate_rows() if row["currency"] == "USD"} == days


@pytest.mark.parametrize("row", benchmark_score_rows(), ids=lambda row: row["id"])
def test_scores_say_release_day_and_source(row: Row) -> None:
    price_schema.check_score(row, "benchmark_scores.csv")
    assert 0 < float(row["score"] or 0) < 100
    assert (row["source"] or "").startswith("https://") and (row["as_of"] or "") >= (row["release"] or "")


@pytest.mark.parametrize("row", main_model_rows(), ids=lambda row: row["id"])
def test_main_models_are_sold_or_in_the_catalogue(row: Row) -> None:
    price_schema.check_main_model(row, "main_models.csv")
    if row["kind"] == "open":
        assert row["catalogue_id"] in {entry["id"] for entry in model_rows()}


def test_the_extract_says_what_it_is_and_holds_hosts_of_open_weights() -> None:
    content = hosted_prices()
    assert content["source"].startswith("litellm 1.") and content["licence"].startswith("MIT")
    assert date.fromisoformat(content["as_of"]) >= date(2026, 11, 20)
    hosts = {row["provider"] for row in content["lines"]}
    assert {"deepinfra", "nebius", "lambda", "hyperbolic", "nscale", "scaleway"} <= hosts and len(hosts) >= 15
    allowed = {"provider", "model_id", "periods", "context_tokens", "url", "retired"}
    for row in content["lines"]:
        assert set(row) <= allowed and ("periods" in row or "retired" in row)
        for period in row.get("periods", ()):
            assert period["since"] in content["seen"]
            assert math.isfinite(period["schedule"]["input_usd_per_mtok"])
        if "retired" in row:
            assert date.fromisoformat(row["retired"]) <= date.fromisoformat(content["as_of"])


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"until": "2025-01-01"}, "a day after 2025-01-01"),
        ({"since": "2025-01"}, "a day such as"),
        ({"since": "2025-02-30"}, "found '2025-02-30'"),
        ({"until": None, "withdrawn": "1"}, "the day it was withdrawn"),
        ({"input_per_mtok": None}, "input_per_mtok"),
        ({"batch_input_per_mtok": "-1"}, "batch_input_per_mtok"),
        ({"price": "1"}, "'price'"),
    ],
)
def test_a_price_row_that_cannot_be_right_is_refused(changes: dict[str, str | None], part: str) -> None:
    price_schema.check_price(PRICE, "p.csv")
    with pytest.raises(ProfileError) as caught:
        price_schema.check_price({**PRICE, **changes}, "p.csv")
    assert part in str(caught.value) and "p.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("check", "row", "part"),
    [
        (price_schema.check_exchange_rate, {"id": "x", "currency": "eur", "units_per_eur": "1", "as_of": "2026-01-01", "source": "s"}, "three capital letters"),
        (price_schema.check_exchange_rate, {"id": "x", "currency": "GBP", "units_per_eur": "0", "as_of": "2026-01-01", "source": "s"}, "units_per_eur"),
        (price_schema.check_exchange_rate, {"id": "x", "currency": "GBP", "units_per_eur": "1", "as_of": "2026", "source": "s"}, "as_of"),
        (price_schema.check_main_model, {"id": "x", "name": "X", "kind": "open", "source": "s"}, "catalogue_id"),
        (price_schema.check_main_model, {"id": "x", "name": "X", "kind": "closed", "provider": "p", "source": "s"}, "model_id"),
        (price_schema.check_score, {"id": "x", "model": "m", "benchmark": "b", "release": "r", "score": "good", "as_of": "2026", "source": "s"}, "score"),
    ],
)  # fmt: skip
def test_other_rows_that_cannot_be_right_are_refused(check: object, row: dict[str, str], part: str) -> None:
    names = {**dict.fromkeys(("setting", "catalogue_id", "provider", "model_id", "modalities")), **row}
    columns = {column.name for group in (price_schema.EXCHANGE_COLUMNS, price_schema.SCORE_COLUMNS, price_schema.MAIN_MODEL_COLUMNS) if set(row) <= {c.name for c in group} for column in group}  # fmt: skip
    with pytest.raises(ProfileError, match=part):
        check({name: cell for name, cell in names.items() if name in columns}, "t.csv")  # type: ignore[operator]

import re

import pytest

from profiles import schema
from profiles.loader import (
    accelerator_rows,
    assumptions,
    model_rows,
    purchase_rows,
    reference_api_rows,
    rent_rows,
)

ACCELERATORS = {row["id"] for row in accelerator_rows()}


@pytest.mark.parametrize("row", rent_rows(), ids=lambda row: row["id"])
def test_every_rent_keeps_the_schema_and_is_of_a_known_accelerator(row: schema.Row) -> None:
    schema.check_rent(row, "gpu_rent.csv")
    assert row["accelerator_id"] in ACCELERATORS
    # Per GPU and hour. Eight B200 for 44 an hour are 5.50 each; a row above 10 is the price of a machine.
    assert (schema.number(row["usd_per_gpu_hour_high"]) or 0) < 10


@pytest.mark.parametrize("row", purchase_rows(), ids=lambda row: row["id"])
def test_every_purchase_keeps_the_schema_and_is_of_a_known_accelerator(row: schema.Row) -> None:
    schema.check_purchase(row, "gpu_buy.csv")
    assert row["accelerator_id"] in ACCELERATORS


@pytest.mark.parametrize("row", rent_rows() + purchase_rows(), ids=lambda row: row["id"])
def test_every_price_has_a_public_source_and_a_date_or_says_that_it_has_none(row: schema.Row) -> None:
    assert re.match(r"https://[a-z0-9.-]+/", row["source"] or "")
    assert row["as_of"] or "no date" in (row["note"] or "")


def test_a_model_of_ownership_is_not_a_rent() -> None:
    # SemiAnalysis's figures (1.30 for an H100 against 2.95 on demand) are costs, not offers.
    for row in rent_rows():
        assert (row["kind"] == "tco") == ("SemiAnalysis" in (row["provider"] or "")), row["id"]


def test_all_in_power_is_more_than_the_board_draws() -> None:
    # 1.73 kW all-in for a 700 W H100: host, network, conversion and cooling come on top.
    board = {row["id"]: schema.number(row["power_w"]) for row in accelerator_rows()}
    checked = 0
    for row in rent_rows():
        all_in = schema.number(row["all_in_power_w"])
        if all_in is not None:
            own = board[row["accelerator_id"]]
            assert own is not None
            assert 1.5 * own < all_in < 3 * own, row["id"]
            checked += 1
    assert checked == 7


@pytest.mark.parametrize("row", reference_api_rows(), ids=lambda row: row["id"])
def test_every_reference_api_keeps_the_schema_and_names_a_model_of_the_catalogue(row: schema.Row) -> None:
    schema.check_reference_api(row, "reference_apis.csv")
    catalogue = {entry["id"] for entry in model_rows()}
    assert (row["kind"] == "open") == (row["catalogue_id"] is not None)
    assert row["catalogue_id"] is None or row["catalogue_id"] in catalogue


def test_assumptions_have_unit_basis_and_source() -> None:
    tables = assumptions()
    for name, table in tables.items():
        schema.check_assumption(name, table, "assumptions.toml")
    electricity = tables["electricity_usd_per_kwh"]
    assert (electricity["value"], electricity["basis"]) == (0.12, "assumed")
    # A site cannot draw less than its computers do.
    assert tables["pue"]["value"] == 1.54
    assert 1 <= tables["pue_modern"]["value"] < tables["pue"]["value"]

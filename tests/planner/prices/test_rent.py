import pytest

from planner.errors import PriceError
from planner.prices.rent import purchase_prices, rent_prices
from profiles.loader import accelerator_rows, purchase_rows, rent_rows


def test_rents_of_an_h100_newest_first_with_undated_ones_last() -> None:
    rents = rent_prices("h100-sxm-80")
    assert [rent.as_of for rent in rents] == ["2026-05-18", "2026-04-03", None, None]
    nebius = next(rent for rent in rents if rent.provider == "Nebius" and rent.kind == "on-demand")
    assert (nebius.usd_per_gpu_hour_low, nebius.usd_per_gpu_hour_high) == (2.95, 2.95)


def test_a_kind_can_be_asked_for() -> None:
    assert [rent.usd_per_gpu_hour_low for rent in rent_prices("h100-sxm-80", kind="spot")] == [1.25]
    assert [price.usd_low for price in purchase_prices("rtx-5090", kind="list")] == [1999.0]


def test_conflicting_purchase_prices_are_both_kept() -> None:
    # Two sources three months apart: 2,300 to 2,800 and 3,500 to 4,000, besides the list price of 1,999.
    found = [(price.usd_low, price.usd_high) for price in purchase_prices("rtx-5090")]
    assert found == [(2300.0, 2800.0), (3500.0, 4000.0), (1999.0, 1999.0)]


def test_a_machine_is_not_sold_as_a_gpu() -> None:
    assert {price.unit for price in purchase_prices("gb10-dgx-spark")} == {"machine"}
    assert {price.unit for price in purchase_prices("rtx-3090")} == {"gpu"}


def test_a_known_accelerator_without_a_price_has_none() -> None:
    assert purchase_prices("mi300x") == ()
    assert rent_prices("rtx-3060-12") == ()


def test_quarters_sort_among_months() -> None:
    # 2026-06, 2026 (taken as its end) and 2026-Q1: the year comes first, the quarter last.
    assert [price.as_of for price in purchase_prices("h100-sxm-80")] == ["2026", "2026-06", "2026-Q1"]


def test_an_unknown_accelerator_is_one_line_with_the_nearest() -> None:
    with pytest.raises(
        PriceError, match=r"no accelerator 'h100-sxm' among the 258 known; did you mean h100-sxm-80"
    ):
        rent_prices("h100-sxm")


def test_every_row_is_reachable() -> None:
    ids = [row["id"] or "" for row in accelerator_rows()]
    assert sum(len(rent_prices(id_)) for id_ in ids) == len(rent_rows())
    assert sum(len(purchase_prices(id_)) for id_ in ids) == len(purchase_rows())

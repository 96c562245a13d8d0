"""An hour of a machine with its interval, as a search for machines compares it."""

import pytest

from hardware.described import describe_machine
from planner.errors import PriceError
from planner.prices.figure import assumed_figures
from planner.prices.machine_hour import interval_of, machine_hour


def test_a_rent_is_the_rent_between_its_bounds() -> None:
    hour = machine_hour(describe_machine("8x H100 SXM"))
    assert hour.usd.expected == pytest.approx(8 * (2.95 * 2.99) ** 0.5)
    assert (hour.usd.low, hour.usd.high) == pytest.approx((8 * 2.95, 8 * 3.49))
    # 8 x 700 W, 1.8 of it for the whole machine, 0.8 of that while it serves.
    assert hour.power_w == pytest.approx(8 * 700 * 1.8 * 0.8)


def test_owning_an_h100_costs_what_others_reckon() -> None:
    # SemiAnalysis (gpu_rent.csv, tco): 1.30 to 1.69 an hour of an H100; ours is for small buyers in colocation.
    hour = machine_hour(describe_machine("8x H100 SXM"), "buy")
    assert hour.usd.low / 8 < 1.69 < hour.usd.high / 8
    assert 1.2 < hour.usd.expected / 8 < 2.5


def test_no_price_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(PriceError, match="--set rent_usd_per_machine_hour"):
        machine_hour(describe_machine("RTX 4090, 64GiB DDR5-5600"))


def test_moves_add_in_squares() -> None:
    # 0.12 (0.0713 to 0.1557) is the only uncertain figure used: the bounds are its own.
    found = interval_of(lambda figures: figures.value("electricity_usd_per_kwh"), assumed_figures(), "test")
    assert (found.low, found.expected, found.high) == pytest.approx((0.0713, 0.12, 0.1557))
    # Two that are multiplied: 0.12 · 1.54 = 0.1848; up by 0.055 and 0.0072, together √(0.05498² + 0.0072²) = 0.05545.
    both = interval_of(
        lambda figures: figures.value("electricity_usd_per_kwh", "pue"), assumed_figures(), "test"
    )
    assert both.high == pytest.approx(0.1848 + 0.05545, abs=1e-4)

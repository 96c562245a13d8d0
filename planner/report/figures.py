"""Shares, spreads and times as the report writes them; other quantities are in `quantities`."""

from hardware.units import MILLI
from planner.estimate.measurement import Measurement


def percent(fraction: float) -> str:
    """A share for people: 31 %, 4.2 %, 0.31 %."""
    value = fraction * 100
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.2g} %"


def with_spread(measured: Measurement) -> str:
    """Mean and standard deviation as llama-bench prints them: "142.61 ± 1.83"."""
    return f"{measured.mean_tokens_per_s:,.2f} ± {measured.stddev_tokens_per_s:,.2f}"


def seconds(value_s: float) -> str:
    """A time for people, in seconds or milliseconds."""
    return f"{value_s:,.3g} s" if value_s >= 1 else f"{value_s / MILLI:,.3g} ms"

"""Quantities as people read them, the same in every table and format."""

from hardware.units import format_bytes
from planner.estimate.speed import SpeedEstimate
from planner.estimate.term import Interval


def rate(value: float) -> str:
    """Tokens per second with two or three significant digits: 4,210, 142, 49.8, 3.1, 0.42."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def interval(found: Interval) -> str:
    """Expected value with its 80 % bounds: "49.8 (41.0–58.2)"."""
    return f"{rate(found.expected)} ({rate(found.low)}–{rate(found.high)})"


def speed(estimate: SpeedEstimate) -> str:
    """A speed with its interval, or "unknown"; the reason stands in the notes."""
    return "unknown" if estimate.tokens_per_s is None else interval(estimate.tokens_per_s)


def usd(value: float) -> str:
    """Dollars: cents below a hundred, whole dollars above."""
    sign = "−" if value < 0 else ""
    return f"{sign}${abs(value):,.2f}" if abs(value) < 100 else f"{sign}${abs(value):,.0f}"


def usd_per_mtok(value: float | None) -> str:
    """A price per million tokens, with all its digits."""
    return "–" if value is None else f"{value:,.4g}"


def size(n_bytes: float | None) -> str:
    """A size, or a dash where it is unknown."""
    return "–" if n_bytes is None else format_bytes(n_bytes)

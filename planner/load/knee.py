"""Where a server saturates: throughput and latency at rising concurrency, and the asymptotes that bound them.

With c requests always under way, throughput cannot exceed c / R₁ (R₁: what one request takes alone) nor the server's
capacity X: the two bounds of operational analysis (Denning and Buzen, 1978) meet at c = X · R₁. Below this
concurrency requests hardly disturb each other, above it they only wait longer. It needs no choice of a slope, so it
repeats where a knee read from a curve would not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_PLATEAU = 0.95  # of the highest throughput: levels as good as it, whose middle is surer than the luckiest
_GAIN = 1.05  # a doubling of concurrency that brings less has reached the capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPoint:
    """What one concurrency gave."""

    concurrency: float
    requests_per_s: float
    e2e_s: float  # median


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """Where the server saturates."""

    requests_per_s: float  # its capacity
    concurrency: float
    is_reached: bool  # whether the highest levels really are a plateau; otherwise both are lower bounds


def find_knee(points: Sequence[LoadPoint]) -> Knee | None:
    """The knee of a sweep that holds concurrency 1 and a higher one; None for any other."""
    ordered = sorted(points, key=lambda point: point.concurrency)
    if len(ordered) < 2 or ordered[0].concurrency != 1:
        return None
    highest = max(point.requests_per_s for point in ordered)
    capacity = median(point.requests_per_s for point in ordered if point.requests_per_s >= _PLATEAU * highest)
    return Knee(
        requests_per_s=capacity,
        concurrency=max(1.0, capacity * ordered[0].e2e_s),
        is_reached=is_saturated(ordered),
    )


def is_saturated(points: Sequence[LoadPoint]) -> bool:
    """Whether the last two rises in concurrency brought hardly more throughput.

    Two, because batches of two or three can be slower than single requests where larger ones are faster again.
    """
    if len(points) < 3:
        return False
    before = max(point.requests_per_s for point in points[:-2])
    return max(point.requests_per_s for point in points[-2:]) < _GAIN * before

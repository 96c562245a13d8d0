"""A distribution of lengths from measured ones."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from planner.workload.lengths import Lengths

_STEPS: Final = (10, 20, 50, 100)  # of probability between quantiles
_LOG_NORMAL_WITHIN: Final = 0.04  # largest distance of the two distributions at which two figures say enough
_QUANTILES_WITHIN: Final = 0.05
_MEAN_WITHIN: Final = 0.005


def learned_lengths(values: Sequence[int]) -> Lengths:
    """One length, a log-normal distribution where it is near enough, else quantiles."""
    ordered = sorted(values)
    if ordered[0] == ordered[-1]:
        return Lengths(kind="uniform", low=ordered[0], high=ordered[0])
    if ordered[0] > 0:
        found = _log_normal(ordered)
        if distance(found, ordered) <= _LOG_NORMAL_WITHIN:
            return found
    return _quantiles(ordered)


def _log_normal(ordered: Sequence[int]) -> Lengths:
    logs = [math.log(value) for value in ordered]
    mean = sum(logs) / len(logs)
    sigma = math.sqrt(sum((value - mean) ** 2 for value in logs) / len(logs))
    median = max(1, round(math.exp(mean)))
    return Lengths(kind="lognormal", low=median, high=median, sigma=round(sigma, 3), most=ordered[-1])


def _quantiles(ordered: Sequence[int]) -> Lengths:
    """Quantiles whose longest is set so that the mean is the log's: a line to the one longest would exceed it.

    The coarsest that are near enough.
    """
    mean = sum(ordered) / len(ordered)
    found = _with_steps(ordered, _STEPS[-1], mean)
    for steps in _STEPS:
        found = _with_steps(ordered, steps, mean)
        if abs(found.mean / mean - 1) <= _MEAN_WITHIN and distance(found, ordered) <= _QUANTILES_WITHIN:
            break
    return found


def _with_steps(ordered: Sequence[int], steps: int, mean: float) -> Lengths:
    points = [_quantile(ordered, step / steps) for step in range(steps + 1)]
    last = round(2 * (mean * steps - points[0] / 2 - sum(points[1:-1])))
    points[-1] = max(points[-2], min(last, ordered[-1]))
    return Lengths(kind="quantiles", low=points[0], high=points[-1], points=tuple(points))


def _quantile(ordered: Sequence[int], share: float) -> int:
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return round(ordered[below] + (ordered[above] - ordered[below]) * (position - below))


def distance(lengths: Lengths, values: Iterable[int]) -> float:
    """The largest difference between the shares above any length, of the distribution and of the values."""
    counts = Counter(values)
    n = sum(counts.values())
    above = n
    largest = 0.0
    for value in sorted(counts):
        above -= counts[value]
        largest = max(largest, abs(lengths.share_above(value) - above / n))
    return largest


def said(lengths: Lengths) -> str:
    """What kind of distribution it is, in words."""
    if lengths.kind == "quantiles":
        steps = len(lengths.points) - 1
        return (
            f"quantiles in steps of {100 // steps} %, the longest set so that the mean is {lengths.mean:,.0f}"
        )
    if lengths.kind == "lognormal":
        return f"log-normal, mean {lengths.mean:,.0f}"
    return "always the same"

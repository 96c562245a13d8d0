"""Fits one fraction and one overhead to measured times, for all devices, each backend and each family.

A maintainer's tool, imported by `calibration_fit` only, so NumPy is imported at the top.

Each (backend, family) is drawn towards its backend, and a backend towards all, as strongly as single tests
scatter more than families differ.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from planner.estimate.calibration import ANY, MAX_FRACTION
from planner.estimate.calibration_truth import Point

Level: TypeAlias = tuple[str, str]  # backend, family

TOP: Level = (ANY, ANY)
HUBER_DELTA = 0.15  # log error beyond which a measurement pulls no harder; about the scatter on one device


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far families differ from their parent: the strength of the pull is (scatter / spread)²."""

    log_fraction: float
    log_overhead: float
    least_overhead_s: float  # differences far below this do not count


SPREADS = {
    "decode": Spread(log_fraction=0.25, log_overhead=0.5, least_overhead_s=0.0005),
    "prefill": Spread(log_fraction=0.8, log_overhead=0.8, least_overhead_s=0.005),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """seconds = ideal seconds / fraction + overhead."""

    fraction: float
    overhead_s: float

    def seconds(self, ideal_s: float) -> float:
        """What the line expects."""
        return ideal_s / self.fraction + self.overhead_s


def fit_line(points: Sequence[Point], prior: Line | None = None) -> Line:
    """The fraction and the overhead with the least Huber loss on log time, near those of `prior`.

    A device with n groups weighs √n, so that one with many models counts more but does not dominate.
    """
    weights = np.array(point_weights(points, power=0.5))
    ideal_s = np.array([point.ideal_s for point in points])
    measured_s = np.array([point.measured_s for point in points])
    spread = SPREADS[points[0].phase]
    top_s = float(np.max(measured_s))
    low_e, high_e = math.log(0.002), math.log(MAX_FRACTION)
    low_o, high_o = math.log(top_s * 1e-5), math.log(top_s)
    for step in range(6):  # a grid over both, refined around its best cell until it is finer than 0.1 %
        n = 21 if step == 0 else 9
        log_e, log_o = np.linspace(low_e, high_e, n), np.linspace(low_o, high_o, n)
        overhead_s = np.exp(log_o)
        expected_s = ideal_s / np.exp(log_e)[:, None, None] + overhead_s[None, :, None]
        error = np.abs(np.log(expected_s / measured_s))  # fraction × overhead × point
        huber = np.where(error <= HUBER_DELTA, error**2 / 2, HUBER_DELTA * (error - HUBER_DELTA / 2))
        loss = huber @ weights
        if prior is not None:
            off_e = (log_e - math.log(prior.fraction)) / spread.log_fraction
            floor_s = spread.least_overhead_s
            off_o = np.log((overhead_s + floor_s) / (prior.overhead_s + floor_s)) / spread.log_overhead
            loss = loss + HUBER_DELTA**2 / 2 * (off_e[:, None] ** 2 + off_o[None, :] ** 2)
        i, j = np.unravel_index(int(np.argmin(loss)), loss.shape)
        best = Line(fraction=float(np.exp(log_e[i])), overhead_s=float(overhead_s[j]))
        width_e, width_o = (high_e - low_e) / (n - 1), (high_o - low_o) / (n - 1)
        low_e, high_e = log_e[i] - width_e, min(math.log(MAX_FRACTION), log_e[i] + width_e)
        low_o, high_o = log_o[j] - width_o, log_o[j] + width_o
    return best if best.overhead_s > top_s * 2e-5 else Line(fraction=best.fraction, overhead_s=0.0)


def point_weights(points: Sequence[Point], *, power: float) -> list[float]:
    """A weight for each point: a device's sum to (its number of groups) ** power, each group alike."""
    tests = Counter(point.group for point in points)
    groups: dict[tuple[str, str], set[object]] = defaultdict(set)
    for point in points:
        groups[point.backend, point.device].add(point.group)
    return [len(groups[point.backend, point.device]) ** (power - 1) / tests[point.group] for point in points]


def fit_levels(points: Sequence[Point], wanted: Iterable[Level] | None = None) -> dict[Level, Line]:
    """A line for all, for each backend and for each family in `points` (of one phase and class).

    With `wanted`, only those levels and their parents.
    """
    lines = {TOP: fit_line(points)}
    levels = {level for point in points for level in levels_of(point)} - {TOP}
    if wanted is not None:
        levels &= {parent for backend, family in wanted for parent in ((backend, family), (backend, ANY))}
    for backend, family in sorted(levels, key=lambda level: (level[1] != ANY, level)):
        own = [point for point in points if belongs(point, (backend, family))]
        lines[backend, family] = fit_line(own, lines[TOP if family == ANY else (backend, ANY)])
    return lines


def levels_of(point: Point) -> tuple[Level, Level, Level]:
    """The levels that a point is evidence for, most specific first."""
    return (point.backend, point.family), (point.backend, ANY), TOP


def belongs(point: Point, level: Level) -> bool:
    """Whether a point is evidence for a level."""
    return level[0] in (ANY, point.backend) and level[1] in (ANY, point.family)

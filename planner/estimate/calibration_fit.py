"""Fits efficiencies to published llama.cpp measurements and says how well they predict unseen devices.

    python -m planner.estimate.calibration_fit TRUTH.csv --out profiles/calibrations/llama_cpp.csv

A maintainer's command: nothing else imports this module, so NumPy is imported at the top.

Each (backend, family) gets a fraction and an overhead, drawn towards those of its backend, and a backend
towards those of all, by `PRIOR_DEVICES` imagined devices that behave as the parent says at three sizes.
"""

import argparse
import csv
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from statistics import median
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from planner.estimate.calibration import ANY, MAX_FRACTION, Backend, Efficiency, choose_efficiency
from planner.estimate.calibration_truth import Point, read_truth

Array: TypeAlias = NDArray[np.float64]
Level: TypeAlias = tuple[str, str]  # backend, family

PRIOR_DEVICES = 1.0  # how many devices' worth of weight the parent level has
HUBER_DELTA = 0.15  # log error beyond which a measurement pulls no harder
REFERENCE_WORK = {"decode": (2e9, 8e9, 32e9), "prefill": (2e12, 16e12, 140e12)}  # bytes; FLOP
COVERAGE = 0.8
POOL_DEVICES = 4.0  # how many devices' worth of weight other families' errors have in an interval
UNSEEN_WEIGHT = 0.5  # the weight of the worst case that was not observed, in devices
UNKNOWN_RATIO = 2.0  # with no second device to learn a spread from: a factor of two either way, assumed
_TOP: Level = (ANY, ANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """seconds = ideal seconds / fraction + overhead."""

    fraction: float
    overhead_s: float

    def seconds(self, ideal_s: float) -> float:
        """What the line expects."""
        return ideal_s / self.fraction + self.overhead_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How the fit predicts what it has not seen, over groups of (device, model, quantization)."""

    phase: str
    model_class: str
    n_groups: int
    n_devices: int
    median_error: float
    p90_error: float
    coverage: float
    median_width: float


@dataclass(frozen=True, slots=True)
class _Residual:
    level: Level
    device: str
    log_ratio: float  # measured speed over expected speed
    weight: float  # those of one device and level sum to 1


def fit_line(points: Sequence[Point], prior: Line | None = None) -> Line:
    """The fraction and the overhead with the least Huber loss on log time.

    A device with n groups weighs √n, so that one with many models counts more but does not dominate.
    """
    weights = point_weights(points, power=0.5)
    ideal = [point.ideal_s for point in points]
    measured = [point.measured_s for point in points]
    if prior is not None:
        scale = median(point.scale for point in points)
        sizes = [work / scale for work in REFERENCE_WORK[points[0].phase]]
        ideal += sizes
        measured += [prior.seconds(size) for size in sizes]
        weights += [PRIOR_DEVICES / len(sizes)] * len(sizes)
    return _least_loss(np.array(ideal), np.array(measured), np.array(weights))


def _least_loss(ideal_s: Array, measured_s: Array, weights: Array) -> Line:
    """A grid over both parameters, refined around its best cell until it is finer than 0.1 %."""
    low_e, high_e = math.log(0.002), math.log(MAX_FRACTION)
    top = float(np.max(measured_s))
    low_o, high_o = math.log(top * 1e-5), math.log(top)
    for step in range(6):
        n_e, n_o = (41, 31) if step == 0 else (9, 9)
        log_e, log_o = np.linspace(low_e, high_e, n_e), np.linspace(low_o, high_o, n_o)
        expected = (
            ideal_s / np.exp(log_e)[:, None, None] + np.exp(log_o)[None, :, None]
        )  # fraction × overhead × point
        error = np.abs(np.log(expected / measured_s))
        loss = np.where(
            error <= HUBER_DELTA, error**2 / 2, HUBER_DELTA * (error - HUBER_DELTA / 2)
        ) @ (weights / weights.sum())
        i, j = np.unravel_index(int(np.argmin(loss)), loss.shape)
        width_e, width_o = (high_e - low_e) / (n_e - 1), (high_o - low_o) / (n_o - 1)
        low_e, high_e = log_e[i] - width_e, min(math.log(MAX_FRACTION), log_e[i] + width_e)
        low_o, high_o = log_o[j] - width_o, log_o[j] + width_o
    overhead_s = float(np.exp(log_o[j]))
    return Line(
        fraction=float(np.exp(log_e[i])), overhead_s=overhead_s if overhead_s > top * 2e-5 else 0.0
    )


def point_weights(points: Sequence[Point], *, power: float) -> list[float]:
    """A weight for each point: a device's sum to (its number of groups) ** power, each group alike."""
    tests = Counter(point.group for point in points)
    groups: dict[tuple[str, str], set[object]] = defaultdict(set)
    for point in points:
        groups[point.backend, point.device].add(point.group)
    return [
        len(groups[point.backend, point.device]) ** (power - 1) / tests[point.group] for point in points
    ]


def fit_levels(points: Sequence[Point], wanted: Iterable[Level] | None = None) -> dict[Level, Line]:
    """A line for all, for each backend and for each family in `points` (of one phase and class).

    With `wanted`, only those levels and their parents.
    """
    lines = {_TOP: fit_line(points)}
    levels = {level for point in points for level in _levels(point)} - {_TOP}
    if wanted is not None:
        levels &= {parent for backend, family in wanted for parent in ((backend, family), (backend, ANY))}
    for backend, family in sorted(levels, key=lambda level: (level[1] != ANY, level)):
        own = [point for point in points if _belongs(point, (backend, family))]
        lines[backend, family] = fit_line(own, lines[_TOP if family == ANY else (backend, ANY)])
    return lines


def _levels(point: Point) -> tuple[Level, Level, Level]:
    return (point.backend, point.family), (point.backend, ANY), _TOP


def _belongs(point: Point, level: Level) -> bool:
    return level[0] in (ANY, point.backend) and level[1] in (ANY, point.family)


def fit_efficiencies(points: Sequence[Point], *, today: str) -> tuple[Efficiency, ...]:
    """A row for every (phase, class, backend, family) in `points`, and the rows to fall back on."""
    return tuple(row for part in _parts(points) for row in _fit_part(part, today))


def _parts(points: Sequence[Point]) -> list[list[Point]]:
    """The points by phase and class, which share nothing but the shape of the formula."""
    parts: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in points:
        parts[point.phase, point.model_class].append(point)
    return [part for _, part in sorted(parts.items())]


def _fit_part(points: Sequence[Point], today: str) -> Iterator[Efficiency]:
    lines = fit_levels(points)
    unseen_device = list(_unseen_device_residuals(points))
    unseen_family = list(_unseen_family_residuals(points))
    unseen_backend = list(_unseen_backend_residuals(points))
    for level, line in sorted(lines.items()):
        own = [point for point in points if _belongs(point, level)]
        if level == _TOP:
            residuals = unseen_backend or unseen_family
            low, high = _interval(residuals, [], len({point.group for point in own}))
        else:
            pool = unseen_family if level[1] == ANY else unseen_device
            inside = [item for item in pool if item.level[0] == level[0] and level[1] in (ANY, item.level[1])]
            outside = [item for item in pool if item not in inside]
            low, high = _interval(inside, outside, len({point.group for point in own}))
        devices = sorted({point.device for point in own})
        yield Efficiency(
            phase=own[0].phase,
            model_class=own[0].model_class,
            backend=cast(Backend, level[0]),
            family=level[1],
            fraction=float(f"{line.fraction:.4g}"),
            overhead_s=float(f"{line.overhead_s:.3g}"),
            low_ratio=float(f"{low:.3g}"),
            high_ratio=float(f"{high:.3g}"),
            n_measurements=len(own),
            n_devices=len(devices),
            fitted_on="; ".join(devices),
            date=today,
        )


def _residuals(points: Sequence[Point], line: Line) -> Iterator[_Residual]:
    weights = point_weights(points, power=0.0)
    for point, weight in zip(points, weights, strict=True):
        log_ratio = math.log(line.seconds(point.ideal_s) / point.measured_s)
        yield _Residual((point.backend, point.family), point.device, log_ratio, weight)


def _unseen_device_residuals(points: Sequence[Point]) -> Iterator[_Residual]:
    """Errors on each device by a fit without it, where its family has another device."""
    for device in sorted({point.device for point in points}):
        rest = [point for point in points if point.device != device]
        levels = {_levels(point)[0] for point in points if point.device == device}
        known = levels & {_levels(point)[0] for point in rest}
        if not known:
            continue
        lines = fit_levels(rest, known)
        for level in sorted(known):
            yield from _residuals(
                [point for point in points if point.device == device and _belongs(point, level)], lines[level]
            )


def _unseen_family_residuals(points: Sequence[Point]) -> Iterator[_Residual]:
    """Errors on each family by its backend's line, fitted without the family."""
    for level in sorted({_levels(point)[0] for point in points}):
        out = [point for point in points if _belongs(point, level)]
        rest = [point for point in points if point.family != level[1]]
        if any(point.backend == level[0] for point in rest):
            lines = fit_levels(rest, [(level[0], ANY)])
            yield from _residuals(out, lines[level[0], ANY])


def _unseen_backend_residuals(points: Sequence[Point]) -> Iterator[_Residual]:
    """Errors on each backend by the line of all others."""
    for backend in sorted({point.backend for point in points}):
        rest = [point for point in points if point.backend != backend]
        if rest:
            yield from _residuals([point for point in points if point.backend == backend], fit_line(rest))


def _interval(inside: Sequence[_Residual], outside: Sequence[_Residual], n_groups: int) -> tuple[float, float]:
    """The low and the high ratio: weighted conformal quantiles of errors on unseen devices.

    The level's own errors weigh 1 per device, all others together at most `POOL_DEVICES`. A line learnt from
    n groups misses its true place by about 1/√n of the spread, hence the factor √(1 + 1/n) on the width.
    """
    n_outside = sum(item.weight for item in outside)
    share = min(1.0, POOL_DEVICES / n_outside) if n_outside else 0.0
    pairs = [(item.log_ratio, item.weight) for item in inside]
    pairs += [(item.log_ratio, item.weight * share) for item in outside]
    if not pairs:
        return 1 / UNKNOWN_RATIO, UNKNOWN_RATIO
    widen = math.sqrt(1 + 1 / n_groups)
    tail = (1 - COVERAGE) / 2
    low = -conformal_quantile([(-value, weight) for value, weight in pairs], 1 - tail, UNSEEN_WEIGHT)
    high = conformal_quantile(pairs, 1 - tail, UNSEEN_WEIGHT)
    return math.exp(min(-0.01, low * widen)), math.exp(max(0.01, high * widen))


def conformal_quantile(pairs: Sequence[tuple[float, float]], level: float, unseen_weight: float) -> float:
    """The smallest value below which `level` of the weight lies, when an unseen worse case weighs too.

    Without enough weight below, the largest value that was seen. Lei et al. 2018 (split conformal),
    Tibshirani et al. 2019 (weights).
    """
    total = sum(weight for _, weight in pairs) + unseen_weight
    reached = 0.0
    ordered = sorted(pairs)
    for value, weight in ordered:
        reached += weight
        if reached >= level * total * (1 - 1e-12):
            return value
    return ordered[-1][0]


def scores(points: Sequence[Point], leave_out: str) -> tuple[Score, ...]:
    """Refit without each device (or model) in turn, intervals included, and predict what was left out."""
    return tuple(_score(part, leave_out) for part in _parts(points))


def _score(points: Sequence[Point], leave_out: str) -> Score:
    errors: dict[object, list[float]] = defaultdict(list)
    covered: dict[object, list[bool]] = defaultdict(list)
    widths: dict[object, list[float]] = defaultdict(list)
    for name in sorted({getattr(point, leave_out) for point in points}):
        rest = [point for point in points if getattr(point, leave_out) != name]
        if not rest:
            continue
        rows = list(_fit_part(rest, "2000-01-01"))
        for point in (point for point in points if getattr(point, leave_out) == name):
            row = choose_efficiency(
                rows,
                phase=point.phase,
                model_class=point.model_class,
                backend=point.backend,
                family=point.family,
            )
            expected_s = point.ideal_s / row.fraction + row.overhead_s
            ratio = expected_s / point.measured_s  # measured speed over expected speed
            errors[point.group].append(abs(1 / ratio - 1))
            covered[point.group].append(row.low_ratio <= ratio <= row.high_ratio)
            widths[point.group].append(row.high_ratio / row.low_ratio)
    by_group = sorted(median(values) for values in errors.values())
    return Score(
        phase=points[0].phase,
        model_class=points[0].model_class,
        n_groups=len(by_group),
        n_devices=len({point.device for point in points}),
        median_error=median(by_group),
        p90_error=by_group[min(len(by_group) - 1, int(0.9 * len(by_group)))],
        coverage=float(np.mean([np.mean(values) for values in covered.values()])),
        median_width=median(median(values) for values in widths.values()),
    )


def write_rows(path: Path, rows: Sequence[Efficiency], source: str) -> None:
    """Write a calibration file."""
    names = [field.name for field in fields(Efficiency)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", *names, "source"])
        for row in rows:
            parts = (row.phase, row.model_class, row.backend, row.family)
            id_ = "-".join(re.sub(r"[^a-z0-9.]+", "-", part.lower().replace(ANY, "any")) for part in parts)
            writer.writerow([id_, *(getattr(row, name) for name in names), source])


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, write the calibration, and print the scores as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m planner.estimate.calibration_fit", description=__doc__)
    parser.add_argument("truth", type=Path, help="llama-bench rows, one median per configuration (CSV)")
    parser.add_argument("--out", type=Path, required=True, help="the calibration to write (CSV)")
    parser.add_argument("--date", default=date.today().isoformat(), help="the date to put into its rows")
    options = parser.parse_args(arguments)
    truth = read_truth(options.truth)
    rows = fit_efficiencies(truth.points, today=options.date)
    write_rows(options.out, rows, "published llama-bench results; docs/calibration.md lists where")
    out = [f"{len(truth.points)} tests used, {len(rows)} rows written", "", "| left out | rows |", "|---|---|"]
    out += [f"| {reason} | {n} |" for reason, n in truth.skipped]
    out += ["", "Devices without a profile: " + ", ".join(f"{name} ({n})" for name, n in truth.unknown_devices)]
    for leave_out in ("device", "model"):
        out += [
            "",
            f"Each {leave_out} left out in turn:",
            "",
            "| phase | class | devices | groups | median error | 90th percentile | coverage | width |",
            "|---|---|---|---|---|---|---|---|",
        ]
        out += [
            f"| {item.phase} | {item.model_class} | {item.n_devices} | {item.n_groups} "
            f"| {item.median_error:.0%} | {item.p90_error:.0%} | {item.coverage:.0%} | ×{item.median_width:.1f} |"
            for item in scores(truth.points, leave_out)
        ]
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()

"""Fits efficiencies to published llama.cpp measurements and says how well they predict unseen devices.

    python -m planner.estimate.calibration_fit TRUTH.csv --out profiles/calibrations/llama_cpp.csv

A maintainer's command: nothing else imports this module, which brings NumPy along.
"""

import argparse
import csv
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import cast

from planner.errors import MissingFactError
from planner.estimate.calibration import ANY, Backend, Efficiency, choose_efficiency
from planner.estimate.calibration_line import (
    TOP,
    Level,
    Line,
    belongs,
    fit_levels,
    fit_line,
    levels_of,
    point_weights,
)
from planner.estimate.calibration_truth import Point, read_truth

COVERAGE = 0.8
POOL_DEVICES = 2.0  # how many devices' worth of weight other families' errors have in an interval
UNSEEN_WEIGHT = 0.1  # the weight of the worst case that was not observed, in devices
UNKNOWN_RATIO = 2.0  # with no second device to learn a spread from: a factor of two either way, assumed
_ANY_DAY = "2000-01-01"  # rows that only serve a score keep no date


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


def fit_efficiencies(points: Sequence[Point], *, today: str) -> tuple[Efficiency, ...]:
    """A row for every (phase, class, backend, family) in `points`, and the rows to fall back on."""
    rows: list[Efficiency] = []
    for phase in sorted({point.phase for point in points}):
        parts = [
            part
            for model_class in sorted({point.model_class for point in points})
            if (part := [p for p in points if p.phase == phase and p.model_class == model_class])
        ]
        errors = [_Errors(part) for part in parts]
        for part, own in zip(parts, errors, strict=True):
            others = [item for item in errors if item is not own]
            rows += _rows_of(part, own, others, today)
    return tuple(rows)


def _named(devices: Sequence[str]) -> str:
    """Where a row comes from, in few words: it is printed with every estimate."""
    return ", ".join(devices) if len(devices) <= 4 else f"{len(devices)} devices"


class _Errors:
    """Residuals of one phase and class on what a fit had not seen, by what was left out."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.device = list(_unseen_device_residuals(points))
        self.model = list(_unseen_model_residuals(points))
        self.family = list(_unseen_family_residuals(points))
        self.backend = list(_unseen_backend_residuals(points))


def _rows_of(
    points: Sequence[Point], own: _Errors, others: Sequence[_Errors], today: str
) -> Iterator[Efficiency]:
    for level, line in sorted(fit_levels(points).items()):
        inside_points = [point for point in points if belongs(point, level)]
        devices = sorted({point.device for point in inside_points})
        low, high = _interval(level, own, others, len({point.group for point in inside_points}))
        yield Efficiency(
            phase=points[0].phase,
            model_class=points[0].model_class,
            backend=cast(Backend, level[0]),
            family=level[1],
            fraction=float(f"{line.fraction:.4g}"),
            overhead_s=float(f"{line.overhead_s:.3g}"),
            low_ratio=float(f"{low:.3g}"),
            high_ratio=float(f"{high:.3g}"),
            n_measurements=len(inside_points),
            n_devices=len(devices),
            fitted_on=_named(devices),
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
        levels = {levels_of(point)[0] for point in points if point.device == device}
        known = levels & {levels_of(point)[0] for point in rest}
        if not known:
            continue
        lines = fit_levels(rest, known)
        for level in sorted(known):
            yield from _residuals(
                [point for point in points if point.device == device and belongs(point, level)], lines[level]
            )


def _unseen_model_residuals(points: Sequence[Point]) -> Iterator[_Residual]:
    """Errors on each model of a family's only device, by a fit without the model."""
    devices: dict[Level, set[str]] = defaultdict(set)
    for point in points:
        devices[levels_of(point)[0]].add(point.device)
    alone = {level for level, names in devices.items() if len(names) == 1}
    for model in sorted({point.model for point in points if levels_of(point)[0] in alone}):
        rest = [point for point in points if point.model != model]
        known = alone & {levels_of(point)[0] for point in rest}
        out = [point for point in points if point.model == model and levels_of(point)[0] in known]
        if out:
            levels = {levels_of(point)[0] for point in out}
            lines = fit_levels(rest, levels)
            for level in sorted(levels):
                yield from _residuals([point for point in out if levels_of(point)[0] == level], lines[level])


def _unseen_family_residuals(points: Sequence[Point]) -> Iterator[_Residual]:
    """Errors on each family by its backend's line, fitted without the family."""
    for level in sorted({levels_of(point)[0] for point in points}):
        out = [point for point in points if belongs(point, level)]
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


def _interval(level: Level, own: _Errors, others: Sequence[_Errors], n_groups: int) -> tuple[float, float]:
    """The low and the high ratio: weighted conformal quantiles of errors on what the fit had not seen.

    A level's own errors weigh 1 per device, all others together at most `POOL_DEVICES`, and those count with
    both signs: that another family was faster than expected says nothing about the sign here. A line learnt
    from n groups misses its true place by about 1/√n of the spread, hence the factor √(1 + 1/n).
    """
    backend, family = level
    extra: list[_Residual] = []
    if level == TOP:
        inside, outside = own.backend, [item for errors in (own, *others) for item in errors.family]
    elif family == ANY:
        inside = [item for item in own.family if item.level[0] == backend]
        outside = [item for errors in (own, *others) for item in (*errors.family, *errors.backend)]
    else:
        inside = [item for item in own.device if item.level == level]
        outside = [item for errors in (own, *others) for item in errors.device]
        if not inside:  # a single device: how its models differ, and how devices differ elsewhere
            extra = [item for item in own.model if item.level == level]
    low, high = _quantiles(inside, [item for item in outside if item not in inside])
    if extra:
        low_extra, high_extra = _quantiles(extra, [])
        low, high = -math.hypot(low, min(0.0, low_extra)), math.hypot(high, max(0.0, high_extra))
    widen = math.sqrt(1 + 1 / n_groups)
    return math.exp(min(-0.01, low * widen)), math.exp(max(0.01, high * widen))


def _quantiles(inside: Sequence[_Residual], outside: Sequence[_Residual]) -> tuple[float, float]:
    n_outside = sum(item.weight for item in outside)
    share = min(1.0, POOL_DEVICES / n_outside) / 2 if n_outside else 0.0
    pairs = [(item.log_ratio, item.weight) for item in inside]
    pairs += [(sign * item.log_ratio, item.weight * share) for item in outside for sign in (-1, 1)]
    if not pairs:
        return -math.log(UNKNOWN_RATIO), math.log(UNKNOWN_RATIO)
    tail = (1 - COVERAGE) / 2
    low = -conformal_quantile([(-value, weight) for value, weight in pairs], 1 - tail, UNSEEN_WEIGHT)
    return low, conformal_quantile(pairs, 1 - tail, UNSEEN_WEIGHT)


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
    trials: dict[tuple[str, str], list[_Trial]] = defaultdict(list)
    for name in sorted({getattr(point, leave_out) for point in points}):
        out = [point for point in points if getattr(point, leave_out) == name]
        rows = fit_efficiencies(
            [point for point in points if getattr(point, leave_out) != name], today=_ANY_DAY
        )
        for point in out:
            try:
                row = choose_efficiency(
                    rows,
                    phase=point.phase,
                    model_class=point.model_class,
                    backend=point.backend,
                    family=point.family,
                )
            except MissingFactError:  # the only device of its class: nothing can be said without it
                continue
            trials[point.phase, point.model_class].append(_Trial(point, row))
    return tuple(_score(part) for _, part in sorted(trials.items()))


@dataclass(frozen=True, slots=True)
class _Trial:
    point: Point
    row: Efficiency

    @property
    def speed_ratio(self) -> float:
        """Measured speed over expected speed."""
        expected_s = self.point.ideal_s / self.row.fraction + self.row.overhead_s
        return expected_s / self.point.measured_s


def _score(trials: Sequence[_Trial]) -> Score:
    groups: dict[object, list[_Trial]] = defaultdict(list)
    for trial in trials:
        groups[trial.point.group].append(trial)
    errors = sorted(median(abs(1 / trial.speed_ratio - 1) for trial in group) for group in groups.values())
    covered = [
        sum(trial.row.low_ratio <= trial.speed_ratio <= trial.row.high_ratio for trial in group) / len(group)
        for group in groups.values()
    ]
    return Score(
        phase=trials[0].point.phase,
        model_class=trials[0].point.model_class,
        n_groups=len(groups),
        n_devices=len({trial.point.device for trial in trials}),
        median_error=median(errors),
        p90_error=errors[min(len(errors) - 1, int(0.9 * len(errors)))],
        coverage=sum(covered) / len(covered),
        median_width=median(trial.row.high_ratio / trial.row.low_ratio for trial in trials),
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
    parser.add_argument(
        "--date", default=datetime.now(UTC).date().isoformat(), help="the date to put into its rows"
    )
    options = parser.parse_args(arguments)
    truth = read_truth(options.truth)
    rows = fit_efficiencies(truth.points, today=options.date)
    write_rows(options.out, rows, "published llama-bench results; docs/calibration.md lists where")
    out = [
        f"{len(truth.points)} tests used, {len(rows)} rows written",
        "",
        "| left out | rows |",
        "|---|---|",
    ]
    out += [f"| {reason} | {n} |" for reason, n in truth.skipped]
    out += [
        "",
        "Devices without a profile: " + ", ".join(f"{name} ({n})" for name, n in truth.unknown_devices),
    ]
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

"""How well one benchmark predicts other models on the same device, measured on published results.

    python -m planner.estimate.transfer_fit TRUTH.csv --out profiles/calibrations/transfer.csv

Every model of a device calibrates every other, in two ways: "line" corrects the calibrated estimate of the
second by how far the first strayed from its own; "rate" applies the rate that the first reached per byte
(decode) or per FLOP (prompt). The 10 % and 90 % quantiles of measured / expected are the interval that an
estimate carries after `planner bench` of another model. Each (device, model) target counts once. The
efficiencies behind "line" were fitted on the same results, so its quantiles are a little too narrow.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from statistics import median

from planner.estimate.calibration import Efficiency, choose_efficiency, efficiencies_from_rows
from planner.estimate.calibration_truth import Point, read_truth
from planner.estimate.measurement import Phase
from profiles.loader import calibration_rows

_FIELDS = (
    "id",
    "phase",
    "method",
    "low_ratio",
    "high_ratio",
    "n_measurements",
    "n_devices",
    "median_error",
    "source",
)


def transfer_ratios(
    points: Sequence[Point], phase: Phase, expected_s: Callable[[Point], float]
) -> dict[tuple[str, str, str], list[float]]:
    """For each (backend, device, model): measured / expected speed, once per other model that calibrated it."""
    slowness: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        if point.phase == phase:
            model = f"{point.model} {point.quantization}"
            slowness[point.backend, point.device][model].append(point.measured_s / expected_s(point))
    ratios: dict[tuple[str, str, str], list[float]] = {}
    for (backend, device), models in slowness.items():
        for target, own in models.items():
            others = [median(values) for model, values in models.items() if model != target]
            if others:
                ratios[backend, device, target] = [other / median(own) for other in others]
    return ratios


def weighted_quantile(ratios: Sequence[Sequence[float]], q: float) -> float:
    """The quantile of all values, every inner list counting as one."""
    pairs = sorted((value, 1 / len(values)) for values in ratios for value in values)
    goal = q * len(ratios)
    running = 0.0
    for value, weight in pairs:
        running += weight
        if running >= goal:
            return value
    return pairs[-1][0]


def transfer_rows(
    points: Sequence[Point], efficiencies: Sequence[Efficiency], today: str
) -> list[dict[str, str]]:
    """One row per phase and method, as text for the CSV."""

    def by_line(point: Point) -> float:
        line = choose_efficiency(
            efficiencies,
            phase=point.phase,
            model_class=point.model_class,
            backend=point.backend,
            family=point.family,
        )
        return point.ideal_s / line.fraction + line.overhead_s

    methods = {"line": by_line, "rate": lambda point: point.ideal_s}
    phases: tuple[Phase, ...] = ("prefill", "decode")
    rows = []
    for phase, (method, expected_s) in product(phases, methods.items()):
        ratios = transfer_ratios(points, phase, expected_s)
        errors = [[abs(1 / value - 1) for value in values] for values in ratios.values()]
        devices = {(backend, device) for backend, device, _ in ratios}
        rows.append(
            {
                "id": f"transfer-{phase}-{method}",
                "phase": phase,
                "method": method,
                "low_ratio": f"{weighted_quantile(list(ratios.values()), 0.1):.3f}",
                "high_ratio": f"{weighted_quantile(list(ratios.values()), 0.9):.3f}",
                "n_measurements": str(len(ratios)),
                "n_devices": str(len(devices)),
                "median_error": f"{weighted_quantile(errors, 0.5):.3f}",
                "source": f"one model calibrating another on {len(devices)} devices, {today}",
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits and writes the file."""
    parser = argparse.ArgumentParser(prog="python -m planner.estimate.transfer_fit", description=__doc__)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--date", required=True, help="the date to put into the rows, such as 2026-11-22")
    options = parser.parse_args(arguments)
    efficiencies = efficiencies_from_rows(calibration_rows("llama_cpp"))
    rows = transfer_rows(read_truth(options.truth).points, efficiencies, options.date)
    with options.out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, _FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

"""Fits what llama.cpp reaches on a processor, from benchmarks and the rates measured on the same machine.

    python -m planner.bench.cpu_fit DATA_FOLDER --out profiles/calibrations/llama_cpp_cpu.csv --date 2026-11-22

DATA_FOLDER is a planner data folder with runs of `planner bench` and rates of `planner hardware --measure`;
several machines' folders may be given. The peak is the measured rate, not a vendor's: bytes per second of
memory for decode, fp32 FLOP per second for prompts. The fit is that of `calibration_line`; bounds join the
errors on models left out one by one with the spread between device families that the GPU fit assumes, since a
processor that was never measured differs at least as much.
"""

import argparse
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from hardware.store import StoredRates, load_rates
from planner.bench.store import load_runs
from planner.estimate.calibration import ANY, MAX_FRACTION, Efficiency, ModelClass
from planner.estimate.calibration_fit import write_rows
from planner.estimate.calibration_line import SPREADS, Line, fit_line
from planner.estimate.calibration_truth import Point
from planner.estimate.measurement import BenchRun, Phase

_TENTH = 1.2816  # standard deviations to the 10th and 90th percentile of a normal distribution
_FLOP_PER_PARAMETER = 2


def points_of_run(run: BenchRun, rates: StoredRates) -> list[Point]:
    """The run's tests from an empty cache beside what they would take at the measured rates."""
    found = []
    for measured in run.measurements:
        if measured.n_depth_tokens or not measured.is_plain or run.backend != "CPU" or run.synthetic:
            continue
        work, rate = run.read_bytes_per_token, rates.memory_bandwidth
        if measured.phase == "prefill":
            n = run.matmul_parameters_per_token
            work = None if n is None else _FLOP_PER_PARAMETER * n * measured.n_prompt_tokens
            rate = rates.matrix_throughput
        if work is None or rate is None:
            continue
        seconds = measured.n_tokens / measured.quartile_tokens_per_s
        found.append(
            Point(
                phase=measured.phase,
                model_class="moe" if run.is_mixture else "dense",
                backend="cpu",
                family=ANY,
                device=run.machine_fingerprint,
                model=run.model_name,
                quantization=run.quantization,
                test=measured.name,
                ideal_s=work / rate.per_s,
                measured_s=seconds if measured.phase == "prefill" else seconds / measured.n_tokens,
                scale=rate.per_s,
            )
        )
    return found


def cpu_efficiencies(points: Sequence[Point], today: str) -> tuple[Efficiency, ...]:
    """A row per phase and class. Decode waits for memory, so dense models and mixtures share one line there.

    A class without measurements takes those of the phase.
    """
    rows = []
    phases: tuple[Phase, ...] = ("decode", "prefill")
    classes: tuple[ModelClass, ...] = ("dense", "moe")
    for phase in phases:
        all_points = [point for point in points if point.phase == phase]
        for model_class in classes if all_points else ():
            own = [point for point in all_points if point.model_class == model_class] or all_points
            rows.append(_row(phase, model_class, all_points if phase == "decode" else own, own, today))
    return tuple(rows)


def _row(
    phase: Phase,
    model_class: ModelClass,
    fitted: Sequence[Point],
    own: Sequence[Point],
    today: str,
) -> Efficiency:
    line = _line(phase, fitted)
    low, high = _bounds(phase, fitted, own)
    n_devices = len({point.device for point in fitted})
    return Efficiency(
        phase=phase,
        model_class=model_class,
        backend="cpu",
        family=ANY,
        fraction=round(line.fraction, 4),
        overhead_s=round(line.overhead_s, 6),
        low_ratio=round(low, 3),
        high_ratio=round(high, 3),
        n_measurements=len(fitted),
        n_devices=n_devices,
        fitted_on=f"{n_devices} processor{'s' if n_devices > 1 else ''}",
        date=today,
    )


def _line(phase: Phase, points: Sequence[Point]) -> Line:
    """Decode has an overhead per token; a prompt on a processor has none that a second could be put down to."""
    if phase == "decode":
        return fit_line(points)
    return Line(fraction=min(MAX_FRACTION, median(p.ideal_s / p.measured_s for p in points)), overhead_s=0.0)


def _bounds(phase: Phase, points: Sequence[Point], own: Sequence[Point]) -> tuple[float, float]:
    """Measured / expected speed, 10th and 90th percentile: models left out, and unseen processors."""
    errors = []
    for point in own:
        rest = [other for other in points if other.model != point.model]
        line = _line(phase, rest or points)
        errors.append(math.log(line.seconds(point.ideal_s) / point.measured_s))
    between = _TENTH * SPREADS[phase].log_fraction
    widen = math.sqrt(1 + 1 / len(points))
    below = math.hypot(min(0.0, *errors), between) * widen
    above = math.hypot(max(0.0, *errors), between) * widen
    return math.exp(-below), math.exp(above)


def read_folders(folders: Iterable[Path]) -> list[Point]:
    """The points of every run in the data folders."""
    points = []
    for folder in folders:
        runs, _ = load_runs(folder / "benchmarks")
        for run in runs:
            points += points_of_run(run, load_rates(folder, run.machine_fingerprint))
    return points


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits and writes the file."""
    parser = argparse.ArgumentParser(prog="python -m planner.bench.cpu_fit", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--date", required=True)
    options = parser.parse_args(arguments)
    rows = cpu_efficiencies(read_folders(options.folders), options.date)
    write_rows(options.out, rows, "benchmarks with llama.cpp on processors whose rates were measured")


if __name__ == "__main__":
    main()

"""Fitting what several tokens in one step of llama.cpp cost, from the packaged table of measured steps."""

import argparse
import csv
import hashlib
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from hardware.accelerators import accelerator_from_row
from hardware.spec import Accelerator
from hardware.units import GIB
from planner.api.llama_cpp_factors import (
    BATCHED_FILE,
    BATCHED_SPREADS_FILE,
    STEPS_FILE,
    single_factors,
)
from planner.api.models import described_models, open_model
from planner.errors import MissingFactError
from planner.speed.batched_fit import BatchedFit, MeasuredStep, fit_batched
from planner.speed.device import gpu_device
from planner.speed.factors import Case, Factors
from planner.speed.operators import decode_operators, layout_on_one
from planner.speed.setting import CURRENT
from planner.speed.table import EFFECT_COLUMNS, SPREAD_COLUMNS, effect_rows, spread_rows
from planner.speed.work import ModelWork
from profiles.loader import accelerator_rows, calibration_rows

Row = Mapping[str, str | None]
_ANY_SHARED_MEMORY_BYTES = 128 * GIB  # of chips sold with several sizes; it decides nothing here


def measured_step(row: Row) -> MeasuredStep:
    """One row of the table: `n_sequences` with `n_new_tokens` each, at a depth, at so many tokens per second."""
    name, backend = row["device"] or "", row["backend"] or ""
    device = gpu_device(accelerator_of(name), backend)
    if device is None:
        raise MissingFactError(f"the matrix rate of {name} is not known")
    model, quant = row["model"] or "", row["quant"] or ""
    work = work_of(model, quant)
    layout = layout_on_one(device, len(work.layers))
    n_sequences, n_new = int(row["n_sequences"] or ""), int(row["n_new_tokens"] or "")
    depth = int(row["n_depth_tokens"] or "")
    return MeasuredStep(
        case=Case(
            phase="decode",
            operators=decode_operators(work, layout, depth, n_sequences, n_new),
            layout=layout,
            setting=CURRENT,
            model_key=work.key,
            architecture=work.architecture,
        ),
        n_tokens=n_sequences * n_new,
        measured_s=n_sequences * n_new / float(row["tokens_per_s"] or ""),
        series=f"{name} | {backend} | {model} | {quant} | {depth} | {'one' if n_sequences == 1 else 'many'}",
        cell=f"{name} | {backend} | {model} | {quant}",
        device=name,
        has_experts=work.has_experts,
    )


@cache
def accelerator_of(name: str) -> Accelerator:
    """A profiled accelerator by its id."""
    row = next(row for row in accelerator_rows() if row["id"] == name)
    shared = row["unified_memory"] == "1" and not row["memory_mib"]
    return accelerator_from_row(row, memory_bytes=_ANY_SHARED_MEMORY_BYTES if shared else None)


@cache
def work_of(model: str, quant: str) -> ModelWork:
    """A model of the catalogue at a preset, as the speed model needs it."""
    (described,) = described_models(open_model(model), (quant,))
    return described.work


def calibrate_batched() -> BatchedFit:
    """The fit of the packaged measurements over the packaged factors."""
    steps = [measured_step(row) for row in calibration_rows(STEPS_FILE)]
    return fit_batched(steps, single_factors())


def _write(file: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits, writes and prints how far off steps are."""
    parser = argparse.ArgumentParser(prog="python -m planner.api.batched_calibration", description=__doc__)
    parser.add_argument("--date", required=True, help="of the fit, ISO 8601")
    parser.add_argument("--out", type=Path, default=Path("profiles/calibrations"))
    options = parser.parse_args(arguments)
    found = calibrate_batched()
    text = repr([sorted(row.items()) for row in calibration_rows(STEPS_FILE)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    rows = effect_rows(Factors(effects=found.effects, date=options.date, source_digest=digest))
    _write(options.out / f"{BATCHED_FILE}.csv", EFFECT_COLUMNS, rows)
    _write(
        options.out / f"{BATCHED_SPREADS_FILE}.csv",
        SPREAD_COLUMNS,
        spread_rows(found.spreads, options.date, digest),
    )
    for spread in found.spreads:
        sys.stdout.write(
            f"{spread.speed_class} {spread.knowledge}: {spread.low_ratio:.2f} to {spread.high_ratio:.2f}, "
            f"{spread.n_groups} groups\n"
        )
    for mixture in (False, True):
        errors = sorted(
            abs(2.718281828**residual - 1)
            for step, residual in found.residuals
            if step.has_experts is mixture
        )
        sys.stdout.write(
            f"{'mixtures' if mixture else 'dense'}: {len(errors)} steps, device left out: median "
            f"{errors[len(errors) // 2]:.1%}, 90th percentile {errors[len(errors) * 9 // 10]:.1%}\n"
        )


if __name__ == "__main__":
    main()

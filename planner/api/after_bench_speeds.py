"""Rows of llama-bench tables predicted as after `planner bench` of one other model on a machine nobody had measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from planner.api.held_out_speeds import ANYTHING, group_of, held_out_predictions, prediction_of, samples_of
from planner.estimate.speed_validation import SpeedPrediction
from planner.readers.speed_rows.place import PlacedRow
from planner.speed.after_bench import Benchable, Taught, after_one_model
from planner.speed.held_out import LeftOut, unseen
from planner.speed.intervals import Knowledge, choose_spread
from planner.speed.state_spreads import Residual, spreads

NOT_TAUGHT = "no other model of its kind was measured on that machine, or main memory holds a part"


@dataclass(frozen=True, kw_only=True)
class AfterBench:
    """Predictions after a benchmark, each with the one before it, and what they missed by."""

    predictions: tuple[SpeedPrediction, ...]
    residuals: tuple[Residual, ...]


def after_bench(rows: Sequence[PlacedRow], left_out: Sequence[LeftOut]) -> AfterBench:
    """Rows of one phase; `left_out` are fits without each of their devices."""
    samples = samples_of(rows)
    before = held_out_predictions(rows, {"device": unseen(samples, left_out, "device")})["device"]
    taught = after_one_model([_benchable(row) for row in rows], left_out)
    residuals = [_residuals(rows[item.index], item) for item in taught]
    bounds = {
        fold: spreads(
            residual
            for several, item in zip(residuals, taught, strict=True)
            if item.fold != fold
            for residual in several
        )
        for fold in {item.fold for item in taught}
    }
    predictions = []
    for item in taught:
        row = rows[item.index]
        spread = choose_spread(bounds[item.fold], row.interval_class, item.knowledge)
        ratios = (spread.low_ratio, spread.high_ratio) if spread else ANYTHING
        found = prediction_of(row, math.exp(item.log_s), ratios)
        predictions.append(replace(found, before=before[item.index]))
    return AfterBench(
        predictions=tuple(predictions),
        residuals=tuple(residual for several in residuals for residual in several),
    )


def _benchable(row: PlacedRow) -> Benchable:
    said = row.row
    return Benchable(
        sample=samples_of((row,))[0],
        machine=f"{said.device} x{said.n_devices} {said.backend} {said.engine}",
        kind=row.speed_class,
        file=f"{row.case.model_key} {said.quantization}",
        file_bytes=said.file_bytes if said.file_bytes is not None else math.inf,
        is_empty=not said.n_depth_tokens,
    )


def _residuals(row: PlacedRow, item: Taught) -> tuple[Residual, ...]:
    """What the taught prediction missed by, and what a plain rate would have."""
    states: tuple[tuple[float, Knowledge], ...] = (
        (item.log_s, item.knowledge),
        (item.log_s_by_rate, "bench_rate"),
    )
    return tuple(
        Residual(
            speed_class=row.interval_class,
            knowledge=state,
            group=group_of(row.row),
            log_ratio=log_s - math.log(row.measured_s),
        )
        for log_s, state in states
    )

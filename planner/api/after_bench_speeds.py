"""Rows of llama-bench tables predicted as after `planner bench` of one other model on a machine nobody had measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from planner.api.held_out_speeds import group_of, held_out_predictions, prediction_of, samples_of
from planner.estimate.speed_validation import SpeedPrediction
from planner.readers.speed_rows.place import PlacedRow
from planner.speed.after_bench import Benchable, Taught, after_one_model
from planner.speed.held_out import LeftOut, unseen
from planner.speed.intervals import AFTER_BENCH, Spread
from planner.speed.state_spreads import Residual, spreads
from planner.speed.widening import Miss, Misses

NOT_TAUGHT = "no other model of its kind was measured on that machine, or main memory holds a part"
# What a class borrows from the others of its phase: mixtures were measured several at a time on four machines, most of
# them on one, and miss by more than dense models do, so others say little of them.
_LENT_GROUPS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class AfterBench:
    """Predictions after a benchmark, each with the one before it, and the bounds that they leave."""

    predictions: tuple[SpeedPrediction, ...]
    spreads: tuple[Spread, ...]


def after_bench(rows: Sequence[PlacedRow], left_out: Sequence[LeftOut]) -> AfterBench:
    """Rows of one phase; `left_out` are fits without each of their devices."""
    samples = samples_of(rows)
    before = held_out_predictions(rows, {"device": unseen(samples, left_out, "device")})["device"]
    taught = after_one_model([_benchable(row) for row in rows], left_out)
    if not taught:
        return AfterBench(predictions=(), spreads=())
    misses = Misses([_miss(rows[item.index], item) for item in taught], lent_groups=_LENT_GROUPS)
    predictions = []
    for item, ratios in zip(taught, misses.unseen_bounds(), strict=True):
        found = prediction_of(rows[item.index], math.exp(item.log_s), ratios)
        predictions.append(replace(found, before=before[item.index]))
    by_rate = [_by_rate(rows[item.index], item) for item in taught]
    return AfterBench(
        predictions=tuple(predictions), spreads=(*misses.spreads(AFTER_BENCH), *spreads(by_rate))
    )


def _benchable(row: PlacedRow) -> Benchable:
    said = row.row
    return Benchable(
        sample=samples_of((row,))[0],
        machine=f"{said.device} x{said.n_devices} {said.backend} {said.engine}",
        kind=row.speed_class,
        file_bytes=said.file_bytes if said.file_bytes is not None else math.inf,
    )


def _miss(row: PlacedRow, item: Taught) -> Miss:
    """What the taught prediction missed by."""
    return Miss(
        speed_class=row.interval_class,
        knowledge=item.knowledge,
        group=group_of(row.row),
        held_out="bench",
        folds={"bench": item.fold},
        unit=row.device,
        log_ratio=item.log_s - math.log(row.measured_s),
        doubt=item.doubt,
    )


def _by_rate(row: PlacedRow, item: Taught) -> Residual:
    """What nothing but the benchmark's rate would have missed by."""
    return Residual(
        speed_class=row.interval_class,
        knowledge="bench_rate",
        group=group_of(row.row),
        log_ratio=item.log_s_by_rate - math.log(row.measured_s),
    )

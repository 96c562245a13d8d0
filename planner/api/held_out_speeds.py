"""Placed rows as samples of a fit, and what held-out fits predict for them, with intervals."""

import math
from collections.abc import Sequence

from planner.estimate.speed_validation import SpeedPrediction
from planner.readers.speed_rows.bench_row import BenchRow
from planner.readers.speed_rows.place import PlacedRow
from planner.speed.held_out import Unseen
from planner.speed.intervals import Residual, Spread, choose_spread, spreads
from planner.speed.sample import Sample

_ANYTHING = (0.1, 10.0)


def samples_of(placed: Sequence[PlacedRow]) -> tuple[Sample, ...]:
    """What the fit sees of placed rows."""
    return tuple(
        Sample(case=row.case, measured_s=row.measured_s, cell=row.cell, device=row.device) for row in placed
    )


def group_of(row: BenchRow) -> str:
    """What counts once in a score: device, architecture, type and backend."""
    return " | ".join((row.device, (row.architecture or row.model)[:24], row.quantization, row.backend))


def residual_of(row: PlacedRow, guess: Unseen) -> Residual:
    """What a held-out guess missed by."""
    return Residual(
        speed_class=row.speed_class,
        knowledge=guess.knowledge,
        group=group_of(row.row),
        log_ratio=guess.log_s - math.log(row.measured_s),
    )


def prediction_of(row: PlacedRow, seconds: float, spread: Spread | None) -> SpeedPrediction:
    """A row's prediction; a class of which nothing is known may be ten times faster or slower."""
    rate = row.n_tokens / seconds
    low, high = (spread.low_ratio, spread.high_ratio) if spread else _ANYTHING
    return SpeedPrediction(
        row=row.row.number,
        speed_class=row.speed_class,
        quantity="tok_s",
        group=group_of(row.row),
        low=rate * low,
        expected=rate,
        high=rate * high,
        measured=row.row.tokens_per_s,
        device=row.row.device,
        model=row.model,
        engine=row.row.engine,
    )


def held_out_predictions(rows: Sequence[PlacedRow], guesses: Sequence[Unseen]) -> list[SpeedPrediction]:
    """Held-out guesses of one phase with intervals from the other folds' residuals."""
    residuals = [residual_of(row, guess) for row, guess in zip(rows, guesses, strict=True)]
    by_fold = {
        fold: spreads(
            residual for residual, guess in zip(residuals, guesses, strict=True) if guess.fold != fold
        )
        for fold in {guess.fold for guess in guesses}
    }
    return [
        prediction_of(
            row, math.exp(guess.log_s), choose_spread(by_fold[guess.fold], row.speed_class, guess.knowledge)
        )
        for row, guess in zip(rows, guesses, strict=True)
    ]

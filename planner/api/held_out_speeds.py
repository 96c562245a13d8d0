"""Placed rows as samples of a fit, and what held-out fits predict for them, with intervals."""

import math
from collections.abc import Mapping, Sequence

from planner.errors import MissingFactError
from planner.estimate.modelled_speed import case_rates, peak_s
from planner.estimate.speed_validation import SpeedPrediction
from planner.readers.speed_rows.bench_row import BenchRow
from planner.readers.speed_rows.place import PlacedRow
from planner.speed.factors import Factors
from planner.speed.held_out import HeldOut, Unseen
from planner.speed.intervals import Spread
from planner.speed.sample import Sample
from planner.speed.widening import Miss, Misses

ANYTHING = (0.1, 10.0)


def samples_of(placed: Sequence[PlacedRow]) -> tuple[Sample, ...]:
    """What the fit sees of placed rows."""
    return tuple(
        Sample(case=row.case, measured_s=row.measured_s, cell=row.cell, device=row.device) for row in placed
    )


def group_of(row: BenchRow) -> str:
    """What counts once in a score: device, architecture, type and backend."""
    return " | ".join((row.device, (row.architecture or row.model)[:24], row.quantization, row.backend))


def predicted(row: PlacedRow, factors: Factors, spreads: Sequence[Spread]) -> SpeedPrediction:
    """A row as estimates have it; a class of which nothing is known may be ten times faster or slower."""
    has_experts = any(time.operator.endswith("_experts") for time in row.case.operators)
    try:
        rates = case_rates(row.case, factors, spreads, row.n_tokens, has_experts=has_experts)
    except MissingFactError:
        return prediction_of(row, float(sum(factors.seconds(row.case))), ANYTHING)
    return _prediction(row, float(rates.low), float(rates.expected), float(rates.high))


def prediction_of(row: PlacedRow, seconds: float, ratios: tuple[float, float]) -> SpeedPrediction:
    """A row's prediction, with bounds of measured over expected speed, as far as peaks allow."""
    rate = row.n_tokens / seconds
    low, high = ratios
    return _prediction(row, rate * low, rate, min(rate * high, row.n_tokens / float(peak_s(row.case))))


def _prediction(row: PlacedRow, low: float, expected: float, high: float) -> SpeedPrediction:
    return SpeedPrediction(
        row=row.row.number,
        speed_class=row.speed_class,
        quantity="tok_s",
        group=group_of(row.row),
        low=low,
        expected=expected,
        high=high,
        measured=row.row.tokens_per_s,
        device=row.row.device,
        model=row.model,
        engine=row.row.engine,
    )


def misses_of(
    rows: Sequence[PlacedRow], guesses: Mapping[HeldOut, Sequence[Unseen]], fitted: Sequence[Spread] = ()
) -> Misses:
    """What held-out guesses of one phase missed by, for everything that was left out in turn."""
    return Misses(
        [
            Miss(
                speed_class=row.interval_class,
                knowledge=guess.knowledge,
                group=group_of(row.row),
                held_out=by,
                folds={other: several[i].fold for other, several in guesses.items()},
                unit=guess.unit,
                log_ratio=guess.log_s - math.log(row.measured_s),
                doubt=guess.doubt,
            )
            for by, several_of_by in guesses.items()
            for i, (row, guess) in enumerate(zip(rows, several_of_by, strict=True))
        ],
        fitted,
    )


def held_out_predictions(
    rows: Sequence[PlacedRow], guesses: Mapping[HeldOut, Sequence[Unseen]], misses: Misses | None = None
) -> Mapping[HeldOut, list[SpeedPrediction]]:
    """Held-out guesses of one phase with intervals drawn without anything of their fold."""
    ratios = iter((misses or misses_of(rows, guesses)).unseen_bounds())
    return {
        by: [
            prediction_of(row, math.exp(guess.log_s), next(ratios))
            for row, guess in zip(rows, several, strict=True)
        ]
        for by, several in guesses.items()
    }

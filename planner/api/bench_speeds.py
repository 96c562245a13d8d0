"""Rows of llama-bench tables predicted, by the packaged fit or by fits that have not seen them."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from planner.api.speed_calibration import (
    PHASES,
    digest,
    group_of,
    place_rows,
    residual_of,
    samples_of,
    speed_factors,
    speed_spreads,
)
from planner.estimate.speed_validation import SpeedPrediction
from planner.progress import Progress
from planner.readers.speed_rows.bench_row import rows_from
from planner.readers.speed_rows.place import PlacedRow
from planner.speed.fitting import fit_effects
from planner.speed.held_out import HeldOut, HoldOut, known, unseen
from planner.speed.intervals import Spread, choose_spread, spreads


def bench_predictions(
    rows: Sequence[Mapping[str, str]], progress: Progress | None = None, hold_out: HoldOut = "auto"
) -> list[SpeedPrediction]:
    """Every row of a table of llama-bench results, predicted or with the reason why not.

    "none" predicts with the packaged calibration. The others refit without each row's cell (device, model and
    type), device or model in turn, which is how rows must be scored that the calibration was fitted to; "auto"
    does so by cell for exactly those rows, and predicts everything else with the packaged calibration.
    """
    read = rows_from(rows, "the table")
    placed, unplaced = place_rows(read, progress)
    if hold_out == "auto":
        hold_out = "cell" if digest(read) == speed_factors().source_digest else "none"
    found = (
        [_packaged(row) for row in placed] if hold_out == "none" else _held_out(placed, hold_out, progress)
    )
    found += [
        SpeedPrediction(
            row=item.row.number, speed_class=None, quantity="tok_s", group=group_of(item.row),
            measured=item.row.tokens_per_s, reason=item.reason,
        )
        for item in unplaced
    ]  # fmt: skip
    if progress is not None:
        progress(1, "")
    return sorted(found, key=lambda prediction: prediction.row)


def _packaged(row: PlacedRow) -> SpeedPrediction:
    factors = speed_factors()
    seconds = sum(factors.seconds(row.case))
    sample = samples_of((row,))[0]
    spread = choose_spread(speed_spreads(), row.speed_class, known(factors, sample))
    return _prediction(row, float(seconds), spread)


def _prediction(row: PlacedRow, seconds: float, spread: Spread | None) -> SpeedPrediction:
    rate = row.n_tokens / seconds
    low, high = (spread.low_ratio, spread.high_ratio) if spread else (0.1, 10.0)
    return SpeedPrediction(
        row=row.row.number,
        speed_class=row.speed_class,
        quantity="tok_s",
        group=group_of(row.row),
        low=rate * low,
        expected=rate,
        high=rate * high,
        measured=row.row.tokens_per_s,
    )


def _held_out(placed: Sequence[PlacedRow], by: HeldOut, progress: Progress | None) -> list[SpeedPrediction]:
    """Each row by a fit without its fold, with an interval from the other folds' residuals."""
    found = []
    for number, phase in enumerate(PHASES):
        if progress is not None:
            progress(0.3 + 0.35 * number, f"refitting {phase} without each {by}")
        rows = [row for row in placed if row.case.phase == phase]
        if not rows:
            continue
        samples = samples_of(rows)
        guesses = unseen(samples, fit_effects(samples), by)
        residuals = [residual_of(row, guess) for row, guess in zip(rows, guesses, strict=True)]
        by_fold = {
            fold: spreads(
                residual for residual, guess in zip(residuals, guesses, strict=True) if guess.fold != fold
            )
            for fold in {guess.fold for guess in guesses}
        }
        for row, guess in zip(rows, guesses, strict=True):
            spread = choose_spread(by_fold[guess.fold], row.speed_class, guess.knowledge)
            found.append(_prediction(row, math.exp(guess.log_s), spread))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """How far independent sources lie apart on the same test of the same model on the same device."""

    speed_class: str
    n_tests: int
    median_fraction: float
    p90_fraction: float


def noise_floor(placed: Sequence[PlacedRow]) -> tuple[NoiseFloor, ...]:
    """What independent sources disagree by, pair by pair, on tests that both ran."""
    tests: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in placed:
        source = row.row
        key: tuple[str, ...] = (
            row.speed_class, row.device, str(len(row.case.layout.gpus)), source.backend.split("/")[0],
            row.case.model_key, row.preset, f"{source.n_prompt_tokens} {source.n_generated_tokens}",
            str(source.n_depth_tokens), source.offload,
        )  # fmt: skip
        tests[key][source.origin].append(source.tokens_per_s)
    gaps: dict[str, list[float]] = defaultdict(list)
    for key, by_origin in tests.items():
        rates = [median(values) for values in by_origin.values()]
        if len(rates) > 1:
            gaps[key[0]].append(median(max(a, b) / min(a, b) - 1 for a, b in combinations(rates, 2)))
    return tuple(
        NoiseFloor(
            speed_class=name,
            n_tests=len(values),
            median_fraction=median(values),
            p90_fraction=sorted(values)[min(len(values) - 1, int(0.9 * len(values)))],
        )
        for name, values in sorted(gaps.items())
    )

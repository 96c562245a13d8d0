"""Rows of llama-bench tables predicted, by the packaged fit or by fits that have not seen them."""

from collections.abc import Mapping, Sequence

from planner.api.after_bench_speeds import NOT_TAUGHT, after_bench
from planner.api.held_out_speeds import group_of, held_out_predictions, prediction_of, samples_of
from planner.api.llama_cpp_factors import (
    own_calibration,
    packaged_factors,
    packaged_spreads,
    speed_factors,
    speed_spreads,
)
from planner.api.speed_calibration import (
    PHASES,
    digest,
    place_rows,
    row_key,
)
from planner.estimate.speed_validation import SpeedPrediction
from planner.progress import Progress, named_stretch
from planner.readers.speed_rows.bench_row import rows_from
from planner.readers.speed_rows.place import PlacedRow
from planner.speed.factors import Factors
from planner.speed.fitting import fit_effects
from planner.speed.held_out import HeldOut, HoldOut, fits_without, known, unseen
from planner.speed.intervals import Spread, choose_spread, wider


def bench_predictions(
    rows: Sequence[Mapping[str, str]], progress: Progress | None = None, hold_out: HoldOut = "auto"
) -> list[SpeedPrediction]:
    """Every row of a table of llama-bench results, predicted or with the reason why not.

    "none" predicts with the packaged calibration. The others refit without each row's cell (device, model and
    type), device or model in turn, which is how rows must be scored that the calibration was fitted to; "auto"
    does so by cell for exactly those rows, and predicts everything else with the packaged calibration.
    "device-but-one-model" refits without each device, then teaches the fit the smallest model of each kind on each
    machine, as `planner bench` of it would, and predicts the other models there.
    """
    read = rows_from(rows, "the table")
    placed, unplaced = place_rows(read, progress)
    if hold_out == "auto":
        hold_out = "cell" if digest(read) == packaged_factors().source_digest else "none"
    if hold_out == "device-but-one-model":
        found = _after_one_model(placed, progress)
    elif hold_out == "none":
        found = _unheld(placed)
    else:
        found = _held_out(placed, hold_out, progress)
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


def _unheld(placed: Sequence[PlacedRow]) -> list[SpeedPrediction]:
    """Rows as estimates would have them; those that taught the user's own calibration by the packaged one."""
    own = own_calibration()
    taught = () if own is None else {row_key(row) for row in rows_from(own.rows, "your calibration")}
    packaged, in_use = (packaged_factors(), packaged_spreads()), (speed_factors(), speed_spreads())
    return [_predicted(row, *(packaged if row_key(row.row) in taught else in_use)) for row in placed]


def _predicted(row: PlacedRow, factors: Factors, known_spreads: Sequence[Spread]) -> SpeedPrediction:
    seconds = sum(factors.seconds(row.case))
    sample = samples_of((row,))[0]
    state = known(factors, sample)
    spread = choose_spread(known_spreads, row.interval_class, state)
    if row.case.phase == "decode" and row.n_tokens > 1 and spread is not None:  # as `case_rates` has it
        kind = "moe" if row.interval_class.startswith("moe") else "dense"
        spread = wider(spread, choose_spread(known_spreads, f"{kind}_batch", state))
    return prediction_of(row, float(seconds), spread)


def _held_out(placed: Sequence[PlacedRow], by: HeldOut, progress: Progress | None) -> list[SpeedPrediction]:
    """Each row by a fit without its fold, with an interval from the other folds' residuals."""
    found = []
    for number, phase in enumerate(PHASES):
        rows = [row for row in placed if row.case.phase == phase]
        if rows:
            samples = samples_of(rows)
            start = 0.3 + 0.35 * number
            tell = named_stretch(progress, start, start + 0.35, f"refitting {phase} without each {by}")
            left_out = fits_without(samples, fit_effects(samples), by, tell)
            found += held_out_predictions(rows, unseen(samples, left_out))
    return found


def _after_one_model(placed: Sequence[PlacedRow], progress: Progress | None) -> list[SpeedPrediction]:
    """Rows of machines where another model was measured too, after that; the others with the reason."""
    found: list[SpeedPrediction] = []
    for number, phase in enumerate(PHASES):
        rows = [row for row in placed if row.case.phase == phase]
        if rows:
            samples = samples_of(rows)
            start = 0.3 + 0.35 * number
            tell = named_stretch(progress, start, start + 0.35, f"refitting {phase} without each device")
            left_out = fits_without(samples, fit_effects(samples), "device", tell)
            found += after_bench(rows, left_out).predictions
    predicted = {prediction.row for prediction in found}
    found += [
        SpeedPrediction(
            row=row.row.number, speed_class=row.speed_class, quantity="tok_s", group=group_of(row.row),
            measured=row.row.tokens_per_s, reason=NOT_TAUGHT,
        )
        for row in placed
        if row.row.number not in predicted
    ]  # fmt: skip
    return found

"""Rows of llama-bench tables predicted, by the packaged fit or by fits that have not seen them."""

from collections.abc import Mapping, Sequence

from planner.api.after_bench_speeds import NOT_TAUGHT, after_bench
from planner.api.held_out_speeds import group_of, held_out_predictions, misses_of, predicted, samples_of
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
from planner.speed.fitting import fit_effects
from planner.speed.held_out import HeldOut, HoldOut, fits_without, unseen


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
    return [predicted(row, *(packaged if row_key(row.row) in taught else in_use)) for row in placed]


def _held_out(placed: Sequence[PlacedRow], by: HeldOut, progress: Progress | None) -> list[SpeedPrediction]:
    """Each row by a fit without its fold, with an interval that reaches as far as rows of other folds ask for.

    How bounds widen with doubts is as packaged: that shows only in refits without cells, devices and models together,
    which `planner calibrate` makes. How far out they lie is found here, without the row's own fold.
    """
    found = []
    for number, phase in enumerate(PHASES):
        rows = [row for row in placed if row.case.phase == phase]
        if rows:
            samples = samples_of(rows)
            whole = fit_effects(samples)
            start = 0.3 + 0.35 * number
            tell = named_stretch(progress, start, start + 0.35, f"refitting {phase} without each {by}")
            guesses = {by: unseen(samples, fits_without(samples, whole, by, tell), by)}
            misses = misses_of(rows, guesses, packaged_spreads())
            found += held_out_predictions(rows, guesses, misses)[by]
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

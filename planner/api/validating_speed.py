"""How far off the planner's speeds are on what somebody measured, and whether its intervals hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.api.bench_speeds import bench_predictions
from planner.api.measurement_files import measurement_table
from planner.api.serving_predictions import serving_predictions
from planner.api.serving_rates import rate_predictions
from planner.estimate.serving_speed.latency_rows import COLUMNS as LATENCY_COLUMNS
from planner.estimate.serving_speed.rate_rows import COLUMNS as RATE_COLUMNS
from planner.estimate.speed_validation import SpeedPrediction, SpeedScore, speed_scores
from planner.progress import Progress
from planner.readers.measurements.given import NOTHING_GIVEN, Given
from planner.readers.speed_rows.bench_row import COLUMNS as BENCH_COLUMNS
from planner.speed.held_out import HoldOut

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class SpeedValidation:
    """Every prediction of a table of measured speeds, and the scores of their classes."""

    name: str
    n_rows: int
    predictions: tuple[SpeedPrediction, ...]
    scores: tuple[SpeedScore, ...]
    group_scores: tuple[SpeedScore, ...]
    before: tuple[SpeedScore, ...] = ()  # of the same rows without what a benchmark taught, where one did

    @property
    def placed_fraction(self) -> float:
        """Share of the rows that were predicted."""
        placed = {prediction.row for prediction in self.predictions if prediction.expected is not None}
        return len(placed) / max(1, self.n_rows)


def validate_speed(
    path: str | Path,
    *,
    given: Given = NOTHING_GIVEN,
    hold_out: HoldOut = "auto",
    progress: Progress | None = None,
) -> SpeedValidation:
    """Predicts what was measured in a file of any format that is read, and compares.

    `given` are facts that the file's format leaves out.

    `hold_out` says what fits must not have seen of a row (see `bench_predictions` and `serving_predictions`).

    Raises ReadError subclasses for a file that is of no known format, or for a number that cannot be read, and
    MissingFactError where a fact has to be given.
    """
    table = measurement_table(path, given)
    predict = next(predict for columns, predict in PREDICTORS if table.has(columns))
    found = tuple(predict(table.rows, progress, hold_out))
    return SpeedValidation(
        name=Path(path).name,
        n_rows=len(table.rows),
        predictions=found,
        scores=speed_scores(found),
        group_scores=speed_scores(found, by_group=True),
        before=speed_scores([prediction.before for prediction in found if prediction.before is not None]),
    )


# Kinds of tables: the columns that tell one, and what predicts its rows.
Predictor = Callable[[Rows, Progress | None, HoldOut], list[SpeedPrediction]]
PREDICTORS: tuple[tuple[tuple[str, ...], Predictor], ...] = (
    (LATENCY_COLUMNS, serving_predictions),
    (RATE_COLUMNS, rate_predictions),
    (BENCH_COLUMNS, bench_predictions),
)

"""How far off the planner's speeds are on what somebody measured, and whether its intervals hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from planner.api.bench_speeds import bench_predictions
from planner.api.measurement_files import measurement_table
from planner.api.serving_calibration import measured_rows, row_reader
from planner.api.serving_facts import serving_facts
from planner.estimate.serving_speed.latency_rows import COLUMNS as LATENCY_COLUMNS
from planner.estimate.serving_speed.served_latency import served_latencies
from planner.estimate.speed_validation import SpeedPrediction, SpeedScore, speed_scores
from planner.estimate.term import Interval
from planner.progress import Progress
from planner.readers.measurements.given import NOTHING_GIVEN, Given
from planner.readers.speed_rows.bench_row import COLUMNS as BENCH_COLUMNS
from planner.speed.held_out import HoldOut

Rows = Sequence[Mapping[str, str]]
_GROUP_LETTERS = 24  # of a model's name, as measurements are grouped


@dataclass(frozen=True, kw_only=True)
class SpeedValidation:
    """Every prediction of a table of measured speeds, and the scores of their classes."""

    name: str
    n_rows: int
    predictions: tuple[SpeedPrediction, ...]
    scores: tuple[SpeedScore, ...]
    group_scores: tuple[SpeedScore, ...]

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

    `hold_out` says what fits must not have seen of a llama-bench row (see `bench_predictions`); tables of other
    kinds are predicted by the packaged fit.

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
    )


def _serving(rows: Rows, progress: Progress | None, _: HoldOut) -> list[SpeedPrediction]:
    """Time per output token and to the first token of every row."""
    facts = serving_facts()
    found, reasons = measured_rows(rows, row_reader())
    numbers = list(found)
    answers = served_latencies([found[number].deployment for number in numbers], facts)
    predictions = []
    for number, answer in zip(numbers, answers, strict=True):
        measured = found[number]
        predictions.append(_time(number, rows[number], "tpot", measured.tpot_s, answer.tpot_s))
        if measured.ttft_s is None:
            predictions.append(
                SpeedPrediction(row=number, speed_class=None, quantity="ttft", group=_group(rows[number]),
                                measured=None, reason=measured.ttft_reason)
            )  # fmt: skip
        else:
            predictions.append(_time(number, rows[number], "ttft", measured.ttft_s, answer.ttft_s))
    predictions += [
        SpeedPrediction(row=number, speed_class=None, quantity="tpot", group=_group(rows[number]), measured=None,
                        reason=reason)
        for number, reason in reasons
    ]  # fmt: skip
    if progress is not None:
        progress(1, "")
    return sorted(predictions, key=lambda prediction: prediction.row)


def _time(
    number: int,
    row: Mapping[str, str],
    quantity: Literal["tpot", "ttft"],
    measured_s: float,
    interval: Interval,
) -> SpeedPrediction:
    return SpeedPrediction(
        row=number,
        speed_class=quantity,
        quantity=quantity,
        group=_group(row),
        measured=measured_s,
        low=interval.low,
        expected=interval.expected,
        high=interval.high,
        device=row.get("system", ""),
        model=row.get("model_path", ""),
        engine=row.get("backend", ""),
    )


def _group(row: Mapping[str, str]) -> str:
    model = row.get("model_path", "")[:_GROUP_LETTERS]
    return " | ".join((row.get("system", ""), model, row.get("precision", ""), row.get("backend", "")))


# Kinds of tables: the columns that tell one, and what predicts its rows.
Predictor = Callable[[Rows, Progress | None, HoldOut], list[SpeedPrediction]]
PREDICTORS: tuple[tuple[tuple[str, ...], Predictor], ...] = (
    (LATENCY_COLUMNS, _serving),
    (BENCH_COLUMNS, bench_predictions),
)

"""What `planner validate speed` answers: errors, coverage and width by class, the worst groups, and what is left out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from planner.estimate.speed_validation import SpeedPrediction, SpeedScore
from planner.report.document import Document, Table, listed
from planner.report.speed_score_tables import (
    WORDS,
    class_table,
    part_data,
    part_tables,
    score_data,
    worst_table,
)

ROW_COLUMNS: Final = ("row", "class", "quantity", "low", "expected", "high", "reason")


def speed_validation_document(
    name: str,
    n_rows: int,
    predictions: Sequence[SpeedPrediction],
    scores: Sequence[SpeedScore],
    group_scores: Sequence[SpeedScore],
    before: Sequence[SpeedScore] = (),
) -> Document:
    """The document of a validation; `scores` over groups, `group_scores` one for each of them.

    `before` are those of the same rows without what a benchmark on their machines taught.
    """
    placed = len({prediction.row for prediction in predictions if prediction.expected is not None})
    return Document(
        schema="planner.validate.speed/1",
        title=f"Speed: predictions against {name}",
        answer=tuple(_answer(name, n_rows, placed, scores)),
        tables=(
            *((class_table(before, title="Before the benchmark"),) if before else ()),
            class_table(scores, title="After the benchmark of one other model" if before else "Scores"),
            *part_tables(group_scores),
            worst_table(group_scores),
            _reason_table(predictions),
        ),
        notes=(
            (
                "an error is |predicted / measured - 1|; a group is one class, device, model, quantization and backend, "
                "and counts once"
            ),
            "asked is what errors and widths should be at most; intervals should hold 76 to 84 %",
        ),
        data={
            "file": name,
            "n_rows": n_rows,
            "n_placed": placed,
            "rows": [score_data(score) for score in scores],
            "before_benchmark": [score_data(score) for score in before],
            "groups": [score_data(score) | _group_data(score) for score in group_scores],
            **part_data(group_scores),
            "without_prediction": [{"reason": reason, "n": n} for reason, n in _reasons(predictions)],
        },
    )


def _answer(name: str, n_rows: int, placed: int, scores: Sequence[SpeedScore]) -> Iterator[str]:
    if not scores:
        yield f"None of the {n_rows:,} rows of {name} could be predicted."
        return
    found = [
        f"{WORDS[score.speed_class]} is off by {score.median_error_fraction:.1%} (median over {score.n_groups} "
        f"groups), its 80 % interval holds {score.coverage_fraction:.0%}"
        for score in scores
    ]
    yield f"{placed:,} of the {n_rows:,} rows of {name} were predicted: {listed(found)}."


def _reasons(predictions: Sequence[SpeedPrediction]) -> list[tuple[str, int]]:
    return Counter(p.reason for p in predictions if p.expected is None and p.reason).most_common()


def _reason_table(predictions: Sequence[SpeedPrediction]) -> Table:
    return Table(
        title="Without a prediction",
        headers=("why", "rows"),
        rows=tuple((reason, str(n)) for reason, n in _reasons(predictions)),
        right=(1,),
    )


def speed_row_lines(predictions: Sequence[SpeedPrediction]) -> Iterator[tuple[str, ...]]:
    """One line for each prediction, a row without one with its reason."""
    for p in predictions:
        values = ("" if value is None else f"{value:.6g}" for value in (p.low, p.expected, p.high))
        yield str(p.row), p.speed_class or "", p.quantity, *values, p.reason or ""


def _group_data(score: SpeedScore) -> dict[str, Any]:
    return {"group": score.group, "device": score.device, "model": score.model, "engine": score.engine}

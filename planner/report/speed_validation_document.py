"""What `planner validate speed` answers: errors, coverage and width by class, the worst groups, and what is left out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from planner.estimate.speed_validation import SpeedPrediction, SpeedScore
from planner.report.document import Document, Table, listed

SHOWN_WORST: Final = 12
ROW_COLUMNS: Final = ("row", "class", "quantity", "low", "expected", "high", "reason")
_WORDS: Final = {
    "dense_decode": "decode, dense",
    "moe_decode": "decode, mixture of experts",
    "dense_prefill": "prompt, dense",
    "moe_prefill": "prompt, mixture of experts",
    "offload_decode": "decode, part in RAM",
    "offload_prefill": "prompt, part in RAM",
    "tpot": "time per output token",
    "ttft": "time to first token",
}


def speed_validation_document(
    name: str,
    n_rows: int,
    predictions: Sequence[SpeedPrediction],
    scores: Sequence[SpeedScore],
    group_scores: Sequence[SpeedScore],
) -> Document:
    """The document of a validation; `scores` over groups, `group_scores` one for each of them."""
    placed = len({prediction.row for prediction in predictions if prediction.expected is not None})
    return Document(
        schema="planner.validate.speed/1",
        title=f"Speed: predictions against {name}",
        answer=tuple(_answer(name, n_rows, placed, scores)),
        tables=(speed_score_table(scores), _worst_table(group_scores), _reason_table(predictions)),
        notes=(
            (
                "an error is |predicted / measured - 1|; a group is one class, device, model, quantization and backend, "
                "and counts once"
            ),
        ),
        data={
            "file": name,
            "n_rows": n_rows,
            "n_placed": placed,
            "rows": [_score_data(score) for score in scores],
            "groups": [_score_data(score) | {"group": score.group} for score in group_scores],
            "without_prediction": [{"reason": reason, "n": n} for reason, n in _reasons(predictions)],
        },
    )


def _answer(name: str, n_rows: int, placed: int, scores: Sequence[SpeedScore]) -> Iterator[str]:
    if not scores:
        yield f"None of the {n_rows:,} rows of {name} could be predicted."
        return
    found = [
        f"{_WORDS[score.speed_class]} is off by {score.median_error_fraction:.1%} (median over {score.n_groups} "
        f"groups), its 80 % interval holds {score.coverage_fraction:.0%}"
        for score in scores
    ]
    yield f"{placed:,} of the {n_rows:,} rows of {name} were predicted: {listed(found)}."


def speed_score_table(scores: Sequence[SpeedScore]) -> Table:
    """Every class: groups, errors, and what its intervals are worth."""
    return Table(
        title="Scores",
        headers=(
            "what",
            "groups",
            "rows",
            "median error",
            "mean",
            "90th percentile",
            "80 % holds",
            "high / low",
        ),
        rows=tuple(
            (
                _WORDS[score.speed_class],
                str(score.n_groups),
                f"{score.n_predictions:,}",
                f"{score.median_error_fraction:.1%}",
                f"{score.mean_error_fraction:.1%}",
                f"{score.p90_error_fraction:.1%}",
                f"{score.coverage_fraction:.0%}",
                f"{score.median_width_ratio:.2f}",
            )
            for score in scores
        ),
        right=(1, 2, 3, 4, 5, 6, 7),
    )


def _worst_table(group_scores: Sequence[SpeedScore]) -> Table:
    worst = sorted(group_scores, key=lambda score: -score.median_error_fraction)[:SHOWN_WORST]
    return Table(
        title="Groups that are furthest off",
        headers=("what", "group", "rows", "median error", "80 % holds"),
        rows=tuple(
            (
                _WORDS[score.speed_class], score.group or "", str(score.n_predictions),
                f"{score.median_error_fraction:.0%}", f"{score.coverage_fraction:.0%}",
            )
            for score in worst
        ),
        right=(2, 3, 4),
    )  # fmt: skip


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


def _score_data(score: SpeedScore) -> dict[str, Any]:
    return {
        "class": score.speed_class,
        "n_groups": score.n_groups,
        "n_predictions": score.n_predictions,
        "median_error_fraction": score.median_error_fraction,
        "mean_error_fraction": score.mean_error_fraction,
        "p90_error_fraction": score.p90_error_fraction,
        "coverage_fraction": score.coverage_fraction,
        "median_width_ratio": score.median_width_ratio,
    }

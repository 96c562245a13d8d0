"""What `planner validate memory` answers: the scores, the worst rows and why some cannot be scored."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from hardware.units import MIB, format_bytes
from planner.estimate.validation import Prediction, Score, worst
from planner.report.document import Document, Table, listed

TOTAL: Final = "total"
SHOWN_WORST: Final = 12
ROW_COLUMNS: Final = ("row", "class", "component", "expected_bytes", "reason", "expected", "measured", "unit")


def memory_validation_document(
    name: str,
    n_rows: int,
    predictions: Sequence[Prediction],
    scores: Sequence[Score],
    group_scores: Sequence[Score],
) -> Document:
    """The document of a validation; `scores` over groups, `group_scores` one for each of them."""
    ordered = totals_first(scores)
    return Document(
        schema="planner.validate.memory/1",
        title=f"Memory: predictions against {name}",
        answer=tuple(_answer(name, n_rows, ordered)),
        tables=(
            score_table(ordered),
            worst_table(predictions),
            reason_table(predictions),
        ),
        notes=(
            (
                "an error is |predicted / measured - 1|; a group is one engine, component and architecture (or model), "
                "and counts once"
            ),
        ),
        data={
            "file": name,
            "n_rows": n_rows,
            "rows": [_score_data(score) for score in ordered],
            "groups": [_score_data(score) | {"group": score.group} for score in group_scores],
            "worst": [_worst_data(prediction) for prediction in worst(predictions, SHOWN_WORST)],
            "without_prediction": [
                {"class": engine, "component": component, "reason": reason, "n": n}
                for (engine, component, reason), n in reasons(predictions)
            ],
        },
    )


def totals_first(scores: Iterable[Score]) -> tuple[Score, ...]:
    """Totals of all engines, then the components of each."""
    return tuple(sorted(scores, key=lambda score: score.component != TOTAL))


def _answer(name: str, n_rows: int, scores: Sequence[Score]) -> Iterator[str]:
    totals = [score for score in scores if score.component == TOTAL]
    found = [
        f"{score.engine} is off by {_percent(score.median_error_fraction)} (median) and "
        f"{_percent(score.p90_error_fraction)} (90th percentile) over {score.n_groups} groups"
        for score in totals
        if score.median_error_fraction is not None
    ]
    if found:
        yield f"Total memory per device in {n_rows:,} rows of {name}: {listed(found)}."
    else:
        yield f"None of the {n_rows:,} rows of {name} has both a predicted and a measured total."


def score_table(scores: Sequence[Score]) -> Table:
    """Every engine and component: groups, predictions, errors, and how many rows have no prediction."""
    return Table(
        title="Scores",
        headers=("engine", "component", "groups", "predicted", "without", "median error", "90th percentile"),
        rows=tuple(
            (
                score.engine,
                "total per device" if score.component == TOTAL else score.component,
                str(score.n_groups),
                str(score.n_predictions),
                str(score.n_without),
                _percent(score.median_error_fraction),
                _percent(score.p90_error_fraction),
            )
            for score in scores
        ),
        right=(2, 3, 4, 5, 6),
    )


def group_table(scores: Sequence[Score]) -> Table:
    """Median error of every architecture or model in its main components, those of one engine together."""
    components = ("weights", "kv", "compute", "kv_tokens", TOTAL)
    by_group: dict[tuple[str, str], dict[str, Score]] = {}
    for score in scores:
        if score.component in components:
            by_group.setdefault((score.engine, score.group or ""), {})[score.component] = score
    shown = [name for name in components if any(name in found for found in by_group.values())]

    def cell(found: Mapping[str, Score], name: str) -> str | None:
        return _percent(found[name].median_error_fraction) if name in found else None

    return Table(
        title="Median error by architecture or model",
        headers=("engine", "group", *("total per device" if name == TOTAL else name for name in shown)),
        rows=tuple(
            (engine, group, *(cell(found, name) for name in shown))
            for (engine, group), found in sorted(by_group.items())
        ),
        right=tuple(range(2, 2 + len(shown))),
    )


def worst_table(predictions: Sequence[Prediction]) -> Table:
    """The rows that are furthest off."""
    return Table(
        title="Furthest off, one row a group",
        headers=("row", "engine", "component", "group", "predicted", "measured", "error"),
        rows=tuple(
            (
                str(prediction.row), prediction.engine, prediction.component, prediction.group,
                _quantity(prediction.expected, prediction.unit), _quantity(prediction.measured, prediction.unit),
                _percent(prediction.error_fraction),
            )
            for prediction in worst(predictions, SHOWN_WORST)
        ),
        right=(0, 4, 5, 6),
    )  # fmt: skip


def reasons(predictions: Iterable[Prediction]) -> list[tuple[tuple[str, str, str], int]]:
    """How many measured figures have no prediction, by engine, component and reason, most first."""
    found = Counter(
        (prediction.engine, prediction.component.partition(" ")[0], prediction.reason or "")
        for prediction in predictions
        if prediction.expected is None and prediction.measured
    )
    return found.most_common()


def reason_table(predictions: Iterable[Prediction]) -> Table:
    """Why figures have no prediction."""
    by_reason: dict[tuple[str, str], list[int]] = {}
    rows: dict[tuple[str, str], set[int]] = {}
    for prediction in predictions:
        if prediction.expected is None and prediction.measured:
            key = prediction.engine, prediction.reason or ""
            by_reason.setdefault(key, []).append(prediction.row)
            rows.setdefault(key, set()).add(prediction.row)
    ordered = sorted(by_reason, key=lambda key: -len(by_reason[key]))
    return Table(
        title="Measured, and not predicted",
        headers=("engine", "why", "figures", "rows"),
        rows=tuple(
            (engine, why, str(len(by_reason[engine, why])), str(len(rows[engine, why])))
            for engine, why in ordered
        ),
        right=(2, 3),
    )


def row_lines(predictions: Iterable[Prediction]) -> Iterator[tuple[str, ...]]:
    """Every prediction as a line under ROW_COLUMNS; bytes have a column of their own, other units do not fill it."""
    for prediction in predictions:
        expected = "" if prediction.expected is None else f"{prediction.expected:.0f}"
        measured = "" if prediction.measured is None else f"{prediction.measured:.0f}"
        yield (
            str(prediction.row),
            prediction.engine,
            prediction.component,
            expected if prediction.unit == "bytes" else "",
            prediction.reason or "",
            expected,
            measured,
            prediction.unit,
        )


def _score_data(score: Score) -> dict[str, Any]:
    return {
        "class": score.engine,
        "component": score.component,
        "n_groups": score.n_groups,
        "n_predictions": score.n_predictions,
        "n_without_prediction": score.n_without,
        "median_error_fraction": score.median_error_fraction,
        "p90_error_fraction": score.p90_error_fraction,
    }


def _worst_data(prediction: Prediction) -> Mapping[str, Any]:
    return {
        "row": prediction.row,
        "class": prediction.engine,
        "component": prediction.component,
        "group": prediction.group,
        "unit": prediction.unit,
        "expected": prediction.expected,
        "measured": prediction.measured,
        "error_fraction": prediction.error_fraction,
        "notes": list(prediction.notes),
    }


def _percent(fraction: float | None) -> str | None:
    if fraction is None:
        return None
    return f"{fraction:.2%}" if fraction < 0.1 else f"{fraction:.0%}"


def _quantity(value: float | None, unit: str) -> str | None:
    if value is None:
        return None
    if unit != "bytes":
        return f"{value:,.0f} {unit}" if unit != "x" else f"{value:,.1f}x"
    return format_bytes(round(value)) if value >= MIB else f"{value / MIB:.2f} MiB"

"""A person's own results: rows of a CSV file or objects of a JSON list, one for each task or one for each model.

One for each task: `model`, `solved` (0 or 1, or a share), and if known `task`, `attempts`, `prompt_tokens`, `output_tokens`, `usd`,
`minutes` (of people, where it failed). One for each model: `model`, `n_tasks`, `n_solved`, and the same, as means of an attempt.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planner.compare.solved import EvaluationResult
from planner.errors import MalformedError
from planner.readers.evaluations.numbers import number as checked
from planner.readers.evaluations.numbers import optional, text, whole

MOST_ROWS = 200_000
_KNOWN = frozenset(
    ("model", "evaluation", "task", "solved", "attempts", "n_tasks", "n_solved", "n_attempts", "prompt_tokens",
     "output_tokens", "usd", "minutes")
)  # fmt: skip


def own_results(rows: Iterable[Mapping[str, Any]], source: str) -> tuple[EvaluationResult, ...]:
    """One result for each model."""
    by_model: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for index, row in enumerate(rows):
        if index >= MOST_ROWS:
            raise MalformedError(
                f"{source} has more than {MOST_ROWS:,} rows; give sums for each model instead"
            )
        strange = sorted(set(row) - _KNOWN)
        if strange:
            raise MalformedError(
                f"{source}: no column {strange[0][:60]!r}; known: {', '.join(sorted(_KNOWN))}"
            )
        numbers = {
            key: _number(value) for key, value in row.items() if key not in ("model", "evaluation", "task")
        }
        key = (text(row.get("model"), ""), text(row.get("evaluation"), source))
        if not key[0]:
            raise MalformedError(f"{source}, row {index + 1}: no model")
        by_model[key].append(numbers)
    if not by_model:
        raise MalformedError(f"{source} has no rows")
    return tuple(
        _summed(model, evaluation, found, source)
        if "n_tasks" in found[0]
        else _counted(model, evaluation, found, source)
        for (model, evaluation), found in by_model.items()
    )


def _number(value: Any) -> Any:
    """A cell of CSV as a number where it is one."""
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value.strip() else None
    except ValueError:
        return value


def _summed(model: str, evaluation: str, rows: Sequence[Mapping[str, Any]], source: str) -> EvaluationResult:
    if len(rows) > 1:
        raise MalformedError(
            f"{source} has {len(rows)} rows of {model[:60]!r} on the same evaluation; give one"
        )
    row, what = rows[0], f"{source}, {model[:60]!r}"
    n_tasks = whole(row.get("n_tasks"), f"{what}: n_tasks", 1)
    return EvaluationResult(
        model=model,
        evaluation=evaluation,
        metric="solved",
        n_tasks=n_tasks,
        n_solved=checked(row.get("n_solved"), f"{what}: n_solved", 0, n_tasks),
        n_attempts=whole(row.get("n_attempts") or n_tasks, f"{what}: n_attempts", n_tasks),
        prompt_tokens=optional(row.get("prompt_tokens"), f"{what}: prompt_tokens"),
        output_tokens=optional(row.get("output_tokens"), f"{what}: output_tokens"),
        usd_per_attempt=optional(row.get("usd"), f"{what}: usd"),
        people_minutes=optional(row.get("minutes"), f"{what}: minutes"),
        source=source,
    )


def _counted(model: str, evaluation: str, rows: Sequence[Mapping[str, Any]], source: str) -> EvaluationResult:
    what = f"{source}, {model[:60]!r}"
    solved = [checked(row.get("solved"), f"{what}: solved", 0, 1) for row in rows]
    attempts = [whole(row.get("attempts") or 1, f"{what}: attempts", 1) for row in rows]
    n_attempts = sum(attempts)
    failed_minutes = [
        minutes
        for row, share in zip(rows, solved, strict=True)
        if share < 1 and (minutes := optional(row.get("minutes"), f"{what}: minutes")) is not None
    ]
    return EvaluationResult(
        model=model,
        evaluation=evaluation,
        metric="solved",
        n_tasks=len(rows),
        n_solved=sum(solved),
        n_attempts=n_attempts,
        prompt_tokens=_mean(rows, "prompt_tokens", n_attempts, what),
        output_tokens=_mean(rows, "output_tokens", n_attempts, what),
        usd_per_attempt=_mean(rows, "usd", n_attempts, what),
        people_minutes=sum(failed_minutes) / len(failed_minutes) if failed_minutes else None,
        source=source,
    )


def _mean(rows: Sequence[Mapping[str, Any]], column: str, n_attempts: int, what: str) -> float | None:
    """Of an attempt; None where some row does not say."""
    found = [optional(row.get(column), f"{what}: {column}") for row in rows]
    known = [value for value in found if value is not None]
    return sum(known) / n_attempts if len(known) == len(rows) else None

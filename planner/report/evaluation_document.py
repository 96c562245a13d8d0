"""An evaluation of one's own as a document: how many tasks are solved, how sure that is, and which are not."""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from planner.evaluate.task import TaskResult
from planner.report.document import Document, Table
from planner.report.outside_text import plain

_Z80 = 1.2816
_MOST_FAILED = 20
_LONGEST_ANSWER = 120


def evaluation_document(
    model: str, name: str, results: Sequence[TaskResult], rows: Sequence[Mapping[str, Any]]
) -> Document:
    """The answer, what failed, and for JSON a row for each task."""
    n, solved = len(results), sum(result.is_solved for result in results)
    low, high = wilson(solved, n)
    failed = [result for result in results if not result.is_solved]
    errors = sum(result.error is not None for result in failed)
    sentences = [
        f"{plain(model, 100)} solves {solved} of {n} tasks of {plain(name, 60)}: {solved / n:.0%} (80 %: {low:.0%}–{high:.0%})."
    ]
    if errors:
        sentences.append(f"{errors} of the others had no answer at all.")
    return Document(
        schema="planner.evaluate/1",
        title=f"{plain(model, 100)} on {plain(name, 60)}",
        answer=tuple(sentences),
        tables=(
            Table(
                title="Not solved" + (f", the first {_MOST_FAILED}" if len(failed) > _MOST_FAILED else ""),
                headers=("task", "attempts", "the last answer"),
                rows=tuple(_row(result) for result in failed[:_MOST_FAILED]),
                right=(1,),
            ),
        )
        if failed
        else (),
        data={
            "model": model, "evaluation": name, "n_tasks": n, "n_solved": solved,
            "solved_fraction": {"low": low, "expected": solved / n, "high": high}, "tasks": [dict(row) for row in rows],
        },
    )  # fmt: skip


def wilson(n_solved: int, n: int) -> tuple[float, float]:
    """The 80 % interval of a share that was seen as n_solved of n (Wilson 1927, with z = 1.2816)."""
    share, z2 = n_solved / n, _Z80**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z80 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (middle - half if n_solved else 0.0), (middle + half if n_solved < n else 1.0)


def _row(result: TaskResult) -> tuple[str, int, str]:
    last = result.replies[-1]
    return (
        plain(result.task, 40),
        result.n_attempts,
        plain(last.error or last.text or "nothing", _LONGEST_ANSWER),
    )

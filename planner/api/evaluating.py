"""An evaluation of one's own against a server, in the form that `planner cost solved` reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.bench.endpoint.evaluation import run_evaluation
from planner.bench.endpoint.server import base_url_of
from planner.evaluate.asking import PLAINLY, Asking
from planner.evaluate.task import Reply, TaskResult
from planner.progress import Progress
from planner.readers.tasks_file import read_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A model's results on a file of tasks."""

    model: str
    name: str  # of the evaluation
    results: tuple[TaskResult, ...]

    @property
    def n_solved(self) -> int:
        """Tasks whose last answer passed its check."""
        return sum(result.is_solved for result in self.results)


def evaluate(
    url: str, tasks: Path, asking: Asking = PLAINLY, *, progress: Progress | None = None
) -> Evaluation:
    """Asks all tasks; what failed attempts took counts in what a task costs."""
    name, results = run_evaluation(base_url_of(url), read_tasks(tasks), asking, progress)
    return Evaluation(model=name, name=tasks.stem, results=results)


def evaluation_rows(found: Evaluation) -> Sequence[dict[str, Any]]:
    """One row for each task, as `readers.evaluations` takes them: tokens are those of all attempts."""
    rows = []
    for result in found.results:
        row: dict[str, Any] = {
            "model": found.model,
            "evaluation": found.name,
            "task": result.task,
            "solved": int(result.is_solved),
            "attempts": result.n_attempts,
        }
        for key, count_of in (("prompt_tokens", _prompt), ("output_tokens", _output)):
            total = result.total(count_of)
            if total is not None:
                row[key] = total
        rows.append(row)
    return rows


def _prompt(reply: Reply) -> int | None:
    return reply.n_prompt_tokens


def _output(reply: Reply) -> int | None:
    return reply.n_output_tokens

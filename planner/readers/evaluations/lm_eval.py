"""Results files of lm-evaluation-harness (`results_….json`): one result for each task, at the metric that says solved or not.

Each task has metrics named "METRIC,FILTER" with a standard error beside them; `n-samples` says how many documents were asked
(lm_eval/loggers/evaluation_tracker.py). Groups hold means of tasks and are left out, as are metrics that are no share.
"""

from collections.abc import Mapping
from typing import Any

from planner.compare.solved import EvaluationResult
from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.evaluations.numbers import mapping, number, text, whole

# Which metric says solved or not, the first that a task has; and which filter.
_METRICS = ("exact_match", "acc", "pass@1", "pass_at_1", "prompt_level_strict_acc", "acc_norm")
_FILTERS = ("strict-match", "none", "flexible-extract")
_NAME_KEYS = ("peft=", "delta=", "pretrained=", "model=", "path=", "engine=")


def is_lm_eval(document: Mapping[str, Any]) -> bool:
    """Whether a document is such a file."""
    return isinstance(document.get("results"), Mapping) and "n-samples" in document


def lm_eval_results(document: Mapping[str, Any], source: str) -> tuple[EvaluationResult, ...]:
    """One result for each task that was scored by a share of solved documents."""
    counts = mapping(document.get("n-samples"), f"{source}: n-samples")
    groups = mapping(document.get("group_subtasks") or {}, f"{source}: group_subtasks")
    model = _model(document)
    found = []
    for task, metrics in mapping(document["results"], f"{source}: results").items():
        if task not in counts or groups.get(task):
            continue
        chosen = _metric(mapping(metrics, f"{source}: results of {quoted(task)}"))
        if chosen is None:
            continue
        n_tasks = _count(counts[task], f"{source}: n-samples of {quoted(task)}")
        share = number(metrics[chosen], f"{source}: {quoted(chosen)} of {quoted(task)}", 0.0, 1.0)
        found.append(
            EvaluationResult(
                model=model,
                evaluation=text(task, "?"),
                metric=text(chosen, "?"),
                n_tasks=n_tasks,
                n_solved=share * n_tasks,
                n_attempts=n_tasks,
                source=source,
            )
        )
    if not found:
        raise MalformedError(
            f"{source} has no task with a share of solved documents; known metrics: {', '.join(_METRICS)}"
        )
    return tuple(found)


def _metric(metrics: Mapping[str, Any]) -> str | None:
    ranked = []
    for key in metrics:
        name, _, kept = str(key).partition(",")
        if name in _METRICS:
            ranked.append(
                (_METRICS.index(name), _FILTERS.index(kept) if kept in _FILTERS else len(_FILTERS), key)
            )
    return min(ranked)[2] if ranked else None


def _count(found: Any, what: str) -> int:
    """{"original": 1319, "effective": 100}, or a bare number in some versions."""
    if isinstance(found, Mapping):
        return whole(found.get("effective"), f"{what}, effective", 1)
    return whole(found, what, 1)


def _model(document: Mapping[str, Any]) -> str:
    """The model's name as the harness finds it: of the file, else of the model's arguments."""
    named = text(document.get("model_name"), "")
    if named:
        return named
    config = document.get("config")
    arguments = config.get("model_args") if isinstance(config, Mapping) else None
    if isinstance(arguments, Mapping):
        arguments = ",".join(f"{key}={value}" for key, value in arguments.items())
    for key in _NAME_KEYS:
        if isinstance(arguments, str) and key in arguments:
            return text(arguments.split(key, 1)[1].split(",")[0], "unknown model")
    return "unknown model"

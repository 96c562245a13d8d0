"""Logs of Inspect in JSON (`inspect log convert --to json`, or --log-format json): tasks solved and tokens used.

A log has `results` with scorers and their metrics, `stats.model_usage` by model, and `samples` with a score each
(inspect_ai/log/_log.py). Scores are "C" (correct), "I", "P" (half) and "N", or numbers and booleans.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from planner.compare.solved import EvaluationResult
from planner.errors import MalformedError
from planner.readers.evaluations.numbers import mapping, number, optional, text, whole

_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_SHARES = ("accuracy", "mean")


def is_inspect(document: Mapping[str, Any]) -> bool:
    """Whether a document is such a log."""
    return isinstance(document.get("eval"), Mapping) and "status" in document


def inspect_results(document: Mapping[str, Any], source: str) -> tuple[EvaluationResult, ...]:
    """The result of the log's first scorer: by sample where there are samples, else by its share."""
    if document.get("status") != "success":
        raise MalformedError(
            f"{source} is a log with status {text(document.get('status'), '?')!r}; only finished ones are read"
        )
    told = mapping(document["eval"], f"{source}: eval")
    model, task = text(told.get("model"), "unknown model"), text(told.get("task"), "?")
    samples = document.get("samples")
    if isinstance(samples, Sequence) and samples and not isinstance(samples, str):
        n_tasks, n_solved, n_attempts, metric = _by_sample(samples, source)
    else:
        n_tasks, n_solved, n_attempts, metric = _by_share(document, source)
    prompt, output, usd = _usage(document, model, source)
    return (
        EvaluationResult(
            model=model,
            evaluation=task,
            metric=metric,
            n_tasks=n_tasks,
            n_solved=n_solved,
            n_attempts=n_attempts,
            prompt_tokens=None if prompt is None else prompt / n_attempts,
            output_tokens=None if output is None else output / n_attempts,
            usd_per_attempt=None if usd is None else usd / n_attempts,
            source=source,
        ),
    )


def _by_sample(samples: Sequence[Any], source: str) -> tuple[int, float, int, str]:
    """Each sample may run for several epochs; a task's score is the mean over them, as Inspect reduces it by itself."""
    scores: dict[Any, list[float]] = defaultdict(list)
    metric = ""
    for index, sample in enumerate(samples):
        found = mapping(sample, f"{source}: sample {index + 1}")
        marks = found.get("scores")
        if not isinstance(marks, Mapping) or not marks:
            raise MalformedError(f"{source}: sample {index + 1} has no score; score the log first")
        name, mark = next(iter(marks.items()))
        metric = metric or text(name, "?")
        value = mapping(mark, f"{source}: score of sample {index + 1}").get("value")
        scores[str(found.get("id", index))].append(_score(value, f"{source}: score of sample {index + 1}"))
    means = [sum(found) / len(found) for found in scores.values()]
    return len(means), sum(means), len(samples), metric


def _score(value: Any, what: str) -> float:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value in _LETTERS:
        return _LETTERS[value]
    return number(value, what, 0.0, 1.0)


def _by_share(document: Mapping[str, Any], source: str) -> tuple[int, float, int, str]:
    results = mapping(document.get("results"), f"{source}: results")
    scores = results.get("scores")
    if not isinstance(scores, Sequence) or not scores:
        raise MalformedError(f"{source} has neither samples nor scores; score the log first")
    score = mapping(scores[0], f"{source}: score")
    metrics = mapping(score.get("metrics"), f"{source}: metrics")
    name = next((name for name in _SHARES if name in metrics), None)
    if name is None:
        raise MalformedError(f"{source} has no {' or '.join(_SHARES)} among its metrics")
    share = number(mapping(metrics[name], f"{source}: {name}").get("value"), f"{source}: {name}", 0.0, 1.0)
    n_attempts = whole(results.get("completed_samples"), f"{source}: completed_samples", 1)
    told = document["eval"].get("config")
    epochs = whole(told.get("epochs") or 1, f"{source}: epochs", 1) if isinstance(told, Mapping) else 1
    n_tasks = max(1, n_attempts // epochs)
    return n_tasks, share * n_tasks, n_attempts, f"{text(score.get('name'), '?')} {name}"


def _usage(
    document: Mapping[str, Any], model: str, source: str
) -> tuple[float | None, float | None, float | None]:
    """Prompt tokens, output tokens and dollars of all attempts, of the evaluated model."""
    stats = document.get("stats")
    by_model = stats.get("model_usage") if isinstance(stats, Mapping) else None
    used = by_model.get(model) if isinstance(by_model, Mapping) else None
    if not isinstance(used, Mapping):
        return None, None, None
    prompt = optional(used.get("input_tokens"), f"{source}: input_tokens")
    output = optional(used.get("output_tokens"), f"{source}: output_tokens")
    cached = sum(
        optional(used.get(f"input_tokens_cache_{kind}"), f"{source}: cache tokens") or 0.0
        for kind in ("read", "write")
    )
    total = optional(used.get("total_tokens"), f"{source}: total_tokens")
    # Some providers count cached tokens beside the others, and then they are in the total once more.
    if prompt is not None and output is not None and total is not None and total == prompt + output + cached:
        prompt += cached
    return prompt, output, optional(used.get("total_cost"), f"{source}: total_cost")

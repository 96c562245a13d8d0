"""How many tasks a second a machine does: one call after the other, from the speeds of a fit."""

from planner.compare.month_load import SECONDS_PER_MONTH
from planner.estimate.term import Interval
from planner.workload.totals import TaskTotals


def sequential_tasks_per_s(
    task: TaskTotals,
    prefill_tokens_per_s: Interval,
    decode_tokens_per_s: Interval,
    decode_full_tokens_per_s: Interval,
    n_context_tokens: int,
) -> Interval:
    """Tasks a second of a machine that answers one call at a time and reads nothing twice.

    seconds of a task = fresh tokens / prefill rate + made tokens · seconds per token, which rise in a straight line from an
    empty to a full context; the mean context of a call is its prompt and half of its answer.
    """
    call = task.call
    depth = min(1.0, (call.prompt + call.generated / 2) / n_context_tokens)

    def seconds(end: str) -> float:
        prefill, empty, full = (
            float(getattr(rate, end))
            for rate in (prefill_tokens_per_s, decode_tokens_per_s, decode_full_tokens_per_s)
        )
        per_token = (1 - depth) / empty + depth / full
        return task.tokens.fresh / prefill + task.tokens.generated * per_token

    return Interval(
        low=1 / seconds("low"),
        expected=1 / seconds("expected"),
        high=1 / seconds("high"),
        basis=decode_tokens_per_s.basis,
        source="one call at a time: fresh prompt tokens over the prefill rate, and each made token at the mean depth",
    )


def capacity_tokens_per_month(task: TaskTotals, tasks_per_s: Interval) -> float:
    """Tokens, prompts and answers together, that a machine makes in a month if it never rests."""
    return tasks_per_s.expected * SECONDS_PER_MONTH * task.tokens.all

"""A workload that is nothing but tokens a month, some of them generated: what somebody knows who knows no more."""

from planner.compare.month_load import SECONDS_PER_MONTH
from planner.workload.lengths import Lengths
from planner.workload.workload import Traffic, Workload

_TASK_TOKENS = 1_000


def token_mix(tokens_per_month: float, output_fraction: float) -> Workload:
    """Tasks of 1,000 tokens, a share of them answer, as many as make up the month; nothing shared, nothing at a peak."""
    if tokens_per_month <= 0 or not 0 < output_fraction < 1:
        raise ValueError("a workload needs tokens and an output share between 0 and 1")
    output = min(_TASK_TOKENS - 1, max(1, round(_TASK_TOKENS * output_fraction)))
    return Workload(
        name="tokens a month",
        prompt=_exactly(_TASK_TOKENS - output),
        output=_exactly(output),
        traffic=Traffic(tasks_per_s=tokens_per_month / _TASK_TOKENS / SECONDS_PER_MONTH),
    )


def _exactly(n_tokens: int) -> Lengths:
    return Lengths(kind="uniform", low=n_tokens, high=n_tokens)

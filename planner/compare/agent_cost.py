"""What an agent's tasks cost: expected, at the worst, and under limits of steps, tokens and money.

A limit of money is checked before each call, as a caller can do no better: a task stops once it has spent that much, and can
exceed it by one call.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import numpy as np

from planner.compare.api_task import task_terms
from planner.errors import PriceError
from planner.estimate.term import total
from planner.prices.call import CallTokens, call_price
from planner.prices.price import ApiPrice
from planner.workload.draw import DrawnTask, draw_tasks
from planner.workload.totals import Tokens, worst_calls
from planner.workload.workload import Workload

DRAWN_TASKS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCost:
    """A task's cost in US dollars at one API. Quantiles are of drawn tasks, under the limit of money where there is one."""

    name: str
    n_calls: float  # expected, without a limit of money
    expected_usd: float  # by the formulas, without a limit of money
    mean_usd: float  # of drawn tasks, under it
    median_usd: float
    p95_usd: float
    p99_usd: float
    dearest_usd: float  # of all that were drawn
    worst_usd: float | None  # that no task exceeds; None where nothing bounds it
    spend_limit_usd: float | None
    stopped_fraction: float  # of the tasks, by the limit of money


def agent_cost(
    price: ApiPrice, workload: Workload, at: datetime, spend_limit_usd: float | None = None, *, seed: int = 0
) -> AgentCost:
    """The cost of one task of an agent at one API."""
    if spend_limit_usd is not None and spend_limit_usd <= 0:
        raise PriceError(f"a limit of ${spend_limit_usd:g} allows no call; give more than 0")
    tasks = list(islice(draw_tasks(workload, seed), DRAWN_TASKS))
    costs = [_call_costs(price, workload, task, at) for task in tasks]
    spent = np.array([_spent(calls, spend_limit_usd) for calls in costs])
    stopped = [
        spend_limit_usd is not None and _spent(calls, None) > paid
        for calls, paid in zip(costs, spent, strict=True)
    ]
    return AgentCost(
        name=f"{price.provider}/{price.model_id}",
        n_calls=sum(len(calls) for calls in costs) / len(costs),
        expected_usd=total(task_terms(price, workload, at)[0]),
        mean_usd=float(spent.mean()),
        median_usd=float(np.quantile(spent, 0.5)),
        p95_usd=float(np.quantile(spent, 0.95)),
        p99_usd=float(np.quantile(spent, 0.99)),
        dearest_usd=float(spent.max()),
        worst_usd=worst_usd(price, workload, at, spend_limit_usd),
        spend_limit_usd=spend_limit_usd,
        stopped_fraction=float(np.mean(stopped)),
    )


def worst_usd(
    price: ApiPrice, workload: Workload, at: datetime, spend_limit_usd: float | None = None
) -> float | None:
    """What no task exceeds: every length and step at its largest and nothing read from a cache, or the limit and one more call."""
    calls = worst_calls(workload)
    if calls is None:
        return None
    costs = [_dearest_usd(price, one, at) for one in calls]
    unlimited = sum(costs)
    if spend_limit_usd is None:
        return unlimited
    return min(unlimited, spend_limit_usd + max(costs, default=0.0))


def _dearest_usd(price: ApiPrice, call: Tokens, at: datetime) -> float:
    """A call that finds nothing in the cache, its prompt written to it or not, whichever is dearer."""
    usd = (
        call_price(
            price,
            CallTokens(prompt=call.prompt, output=call.output, thinking=call.thinking, cache_written=written),
            at,
        ).total_usd
        for written in (0.0, call.prompt)
    )
    return float(max(usd))


def _call_costs(price: ApiPrice, workload: Workload, task: DrawnTask, at: datetime) -> Any:
    prompt = np.array([call.n_prompt_tokens for call in task.calls], dtype=float)
    cached = np.array([call.n_known_tokens for call in task.calls], dtype=float)
    writes = workload.agent is not None
    call = call_price(
        price,
        CallTokens(
            prompt=prompt,
            output=np.array([one.n_output_tokens for one in task.calls], dtype=float) * workload.samples,
            cached=cached,
            cache_written=prompt - cached if writes else 0.0 * prompt,
            thinking=np.array([one.n_thinking_tokens for one in task.calls], dtype=float) * workload.samples,
        ),
        at,
    )
    return np.broadcast_to(call.total_usd, prompt.shape)


def _spent(calls: Any, limit: float | None) -> float:
    """What is spent: calls are made until the limit is reached."""
    if not len(calls):
        return 0.0
    so_far = np.cumsum(calls)
    if limit is None or so_far[-1] < limit:
        return float(so_far[-1])
    return float(so_far[int(np.argmax(so_far >= limit))])

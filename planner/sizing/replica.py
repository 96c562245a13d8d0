"""One replica under load: what the simulation sees of it, and the largest load at which the objectives hold."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from planner.simulate.policy import Policy
from planner.simulate.result import RequestTimes, SimulationResult
from planner.simulate.step_timer import StepTimer
from planner.sizing.ladder import largest_load
from planner.workload.workload import Objective

# Serves the workload at a load and at "all at once" (infinity). Lower loads are the same requests further apart, so that
# loads and layouts are compared on the same chances.
Serve = Callable[[Policy, StepTimer, float], SimulationResult]

# Requests at either end of a run that see an emptier replica than those between.
_LEFT_OUT_FIRST: Final = 0.2
_LEFT_OUT_LAST: Final = 0.1
LEAST: Final = 1 / 32  # of what a replica can do at all: one that carries less is not worth having
BUSIEST: Final = 0.95  # of what a replica can do at all: beyond it queues grow without end


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One layout as the simulation knows it. Attention replicas share the load evenly and run alike; one is simulated."""

    policy: Policy
    timer: StepTimer
    first_token_s: float = 0.0  # of the host, beside the steps that read a request's prompt
    n_attention_replicas: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a replica carries, and why it is not more."""

    load: float | None  # None: the objectives hold at no load
    broken: str  # the objective that is the first to break, or what else bounds the load
    n_runs: int


def percentile_s(result: SimulationResult, objective: Objective, first_token_s: float = 0.0) -> float:
    """A percentile over requests, those at the ends of the run left out; infinite where requests were turned away.

    The k-th smallest of n with k = ⌈q · n⌉: no request that it is said of takes longer. 0 where nothing was measured
    (times per token of answers of one token).
    """
    if any(times.rejected is not None for times in result.requests):
        return math.inf
    times = sorted(
        seconds
        for one in _middle(result.requests)
        if (seconds := _seconds(one, objective, first_token_s)) is not None
    )
    if not times:
        return 0.0
    return times[min(len(times), math.ceil(objective.quantile * len(times) - 1e-9)) - 1]


def _middle(requests: Sequence[RequestTimes]) -> Sequence[RequestTimes]:
    n = len(requests)
    return requests[int(n * _LEFT_OUT_FIRST) : n - int(n * _LEFT_OUT_LAST)]


def _seconds(times: RequestTimes, objective: Objective, first_token_s: float) -> float | None:
    if objective.measure == "tpot":
        return times.tpot_s
    seconds = times.ttft_s if objective.measure == "ttft" else times.e2e_s
    return None if seconds is None else seconds + first_token_s


def first_broken(
    result: SimulationResult, objectives: Sequence[Objective], first_token_s: float
) -> tuple[Objective, float] | None:
    """The first objective that does not hold, and the time seen."""
    for objective in objectives:
        seconds = percentile_s(result, objective, first_token_s)
        if seconds > objective.limit_s:
            return objective, seconds
    return None


def saturation(replica: Replica, serve: Serve, n_tasks_per_request: float = 1.0) -> float:
    """Tasks per second that the replica ends when all of them wait from the start, over the middle of the run."""
    result = serve(replica.policy, replica.timer, math.inf)
    ends = sorted(times.last_s for times in result.requests if times.last_s is not None)
    first, last = len(ends) // 5, len(ends) * 3 // 5
    if last <= first or ends[last] <= ends[first]:
        return 0.0
    return (last - first) / (ends[last] - ends[first]) * n_tasks_per_request * replica.n_attention_replicas


def capacity(
    replica: Replica, serve: Serve, objectives: Sequence[Objective], most: float, least: float = 0.0
) -> Capacity:
    """The largest load at which all objectives hold in the simulation.

    `most` is one that is surely not carried, `least` one below which a replica is not worth having.
    """
    runs: dict[float, tuple[Objective, float] | None] = {}

    def holds(load: float) -> bool:
        if load not in runs:
            result = serve(replica.policy, replica.timer, load / replica.n_attention_replicas)
            runs[load] = first_broken(result, objectives, replica.first_token_s)
        return runs[load] is None

    found = largest_load(holds, most, least)
    failed = sorted(load for load, broken in runs.items() if broken is not None)
    broken = runs[failed[0]] if failed else None
    if broken is None and found is None:
        words = "it carries next to nothing"
    elif broken is None:
        words = "its throughput"
    elif found is None:
        words = f"at the least load already, {broken[0]} is {broken[1]:.3g} s"
    else:
        words = str(broken[0])
    return Capacity(load=found, broken=words, n_runs=len(runs))

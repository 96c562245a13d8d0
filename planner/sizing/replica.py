"""One replica under load: what the simulation sees of it, and the largest load at which the objectives hold."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import Final

from planner.simulate.policy import Policy
from planner.simulate.result import RequestTimes, SimulationResult
from planner.simulate.step_timer import StepTimer
from planner.sizing.ladder import largest_load
from planner.workload.workload import Objective

# Serves the workload at a load and at "all at once" (infinity), over at least so many requests. Lower loads are the same
# requests further apart, so that loads and layouts are compared on the same chances.
Serve = Callable[[Policy, StepTimer, float, int], SimulationResult]

# Requests at either end of a run that see an emptier replica than those between.
_LEFT_OUT_FIRST: Final = 0.2
_LEFT_OUT_LAST: Final = 0.1
LEAST: Final = 1 / 32  # of what a replica can do at all: one that carries less is not worth having
BUSIEST: Final = 0.95  # of what a replica can do at all: beyond it queues grow without end

# Requests of a run that decides where a shorter one leaves doubt: from one seed to another capacities stray by 6 to 8 % with
# so many, by 11 to 15 % with 800 (standard deviation).
_ENOUGH: Final = 1600
_MOST: Final = 32 * _ENOUGH
# A run is filled up while as many requests come as are under way later, or twice as many: that much is left out at its begin.
_PER_IN_FLIGHT: Final = 2 / _LEFT_OUT_FIRST
# Requests for each place where all wait from the start: the first and the last generation do not count.
_PER_PLACE: Final = 4
# How far the odds of being late must be from what is allowed for a short run to decide.
_SURELY: Final = 3.0


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


def saturation(replica: Replica, serve: Serve, n_at_once: int, n_tasks_per_request: float = 1.0) -> float:
    """Tasks per second that the replica ends when all of them wait from the start, and `n_at_once` of them have places.

    Counted after the first generation, which starts in step, and before the last, which leaves places empty.
    """
    result = serve(replica.policy, replica.timer, math.inf, _PER_PLACE * n_at_once)
    ends = sorted(times.last_s for times in result.requests if times.last_s is not None)
    between = ends[n_at_once : len(ends) - n_at_once]
    if len(between) < 2 or between[0] == between[-1]:
        return 0.0
    # The slope of a line through all of them: where answers are alike, many end in one step.
    per_s = linear_regression(between, range(len(between))).slope
    return per_s * n_tasks_per_request * replica.n_attention_replicas


def long_run(
    replica: Replica,
    serve: Serve,
    load: float,
    n_at_least: int = _ENOUGH,
    is_over: Callable[[SimulationResult], bool] = lambda _: False,
) -> SimulationResult:
    """A run at a load over enough requests for its percentiles, and for the replica to be as full as that load makes it.

    Longer runs only fill it more; they are left out once what is asked `is_over`.
    """
    n = max(_ENOUGH, n_at_least)
    while True:
        result = serve(replica.policy, replica.timer, load / replica.n_attention_replicas, n)
        needed = _n_needed(result)
        if n >= min(needed, _MOST) or is_over(result):
            return result
        n = max(2 * n, needed)


def _n_needed(result: SimulationResult) -> int:
    """Requests of a run in which what is left out at the begin covers its filling up; Little's law gives those under way."""
    in_flight = sum(one.e2e_s or 0.0 for one in result.requests) / result.end_s if result.end_s else 0.0
    return math.ceil(_PER_IN_FLIGHT * in_flight)


def _odds_of_being_late(result: SimulationResult, objective: Objective, first_token_s: float) -> float:
    seconds = [
        found
        for one in _middle(result.requests)
        if (found := _seconds(one, objective, first_token_s)) is not None
    ]
    late = sum(1 for one in seconds if one > objective.limit_s)
    return late / (len(seconds) - late) if late < len(seconds) else math.inf


def capacity(
    replica: Replica, serve: Serve, objectives: Sequence[Objective], most: float, least: float = 0.0
) -> Capacity:
    """The largest load at which all objectives hold in the simulation.

    `most` is one that is surely not carried, `least` one below which a replica is not worth having. Loads that a short run
    finds far from every limit, or far beyond one, are not run at length.
    """
    runs: dict[float, tuple[Objective, float] | None] = {}

    def holds(load: float) -> bool:
        if load not in runs:
            runs[load] = _broken_at(load, replica, serve, objectives)
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


def _broken_at(
    load: float, replica: Replica, serve: Serve, objectives: Sequence[Objective]
) -> tuple[Objective, float] | None:
    """The first objective that does not hold at a load.

    Where a short run decides for an objective, it decides alike for every looser one.
    """
    short = serve(replica.policy, replica.timer, load / replica.n_attention_replicas, 0)
    broken = first_broken(short, objectives, replica.first_token_s)
    odds = [
        _odds_of_being_late(short, one, replica.first_token_s) * one.quantile / (1 - one.quantile)
        for one in objectives
    ]
    if broken is not None and max(odds) >= _SURELY:
        return broken
    needed = _n_needed(short)
    if all(one <= 1 / _SURELY for one in odds) and needed <= len(short.requests):
        return None

    def broken_in(result: SimulationResult) -> tuple[Objective, float] | None:
        return first_broken(result, objectives, replica.first_token_s)

    return broken_in(long_run(replica, serve, load, needed, lambda result: broken_in(result) is not None))

"""A sample of a workload, served by one simulated replica at any load: always the same tasks, closer or further apart."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from typing import Final

from planner.simulate.drawn_requests import DrawnRequests
from planner.simulate.policy import Policy
from planner.simulate.request_spec import RequestSpec
from planner.simulate.result import SimulationResult
from planner.simulate.simulator import simulate
from planner.simulate.step_timer import StepTimer
from planner.sizing.option import LoadUnit
from planner.workload.draw import DrawnCall, DrawnTask, draw_tasks, first_arrivals_s
from planner.workload.logged_request import RequestLog
from planner.workload.workload import Workload

_FEWEST_TASKS: Final = 50
_DRAWN_FOR_EACH: Final = 4  # tasks, of which one is taken
_ROUNDS: Final = (
    5  # of each user, the first of which is left out of percentiles with all that comes before all are there
)
_ALL_AT_ONCE: Final = 1e10  # tasks a second


@dataclass(frozen=True)
class SampledLoad:
    """Loads are tasks per second, or users who ask again when they were answered."""

    workload: Workload
    tasks: tuple[DrawnTask, ...]
    seed: int
    times: tuple[float, ...] = ()  # of the tasks at one per second, where a log has told them
    n_taken_tokens: int | None = None  # longer requests were turned away, and are not in it
    n_drawn_requests: int | None = None  # with those that were turned away; None for as many as there are
    _longer: "dict[int, SampledLoad]" = field(default_factory=dict, compare=False, repr=False)

    @property
    def unit(self) -> LoadUnit:
        """What its loads are counted in."""
        return "users" if self.workload.traffic.tasks_per_s is None else "tasks/s"

    @cached_property
    def requests(self) -> tuple[RequestSpec, ...]:
        """All of its requests for themselves; samples of a call find its prompt read."""
        return tuple(
            RequestSpec(
                arrival_s=0.0,
                n_prompt_tokens=call.n_prompt_tokens,
                n_output_tokens=call.n_generated_tokens,
                n_prefix_tokens=call.n_prompt_tokens if sample else call.n_known_tokens,
            )
            for task in self.tasks
            for call in task.calls
            for sample in range(self.workload.samples)
        )

    @property
    def n_longest_tokens(self) -> int:
        """Of one request, its answer included."""
        return max(one.n_prompt_tokens + one.n_output_tokens for one in self.requests)

    def within(self, n_tokens: int) -> "SampledLoad | None":
        """What an engine takes that turns longer requests away, and with them the rest of their tasks; None for nothing."""
        kept: list[DrawnTask] = []
        times: list[float] = []
        for index, task in enumerate(self.tasks):
            calls = _within(task, n_tokens)
            if calls:
                kept.append(DrawnTask(calls=calls))
                times += self.times[index : index + 1]
        if not kept:
            return None
        return SampledLoad(
            self.workload, tuple(kept), self.seed, tuple(times),
            n_taken_tokens=n_tokens, n_drawn_requests=self.n_drawn_requests or len(self.requests),
        )  # fmt: skip

    def longer(self, n_requests: int) -> "SampledLoad":
        """A sample of about so many requests or more, or this one: twice as long, or four times, and so on, and remembered.

        A log begins anew a mean gap after its end.
        """
        n_times = 1
        while n_times * len(self.requests) < n_requests:
            n_times *= 2
        if n_times == 1:
            return self
        if n_times not in self._longer:
            self._longer[n_times] = self._repeated(n_times) if self.times else self._drawn_anew(n_times)
        return self._longer[n_times]

    def enough(self, load: float, n_requests: int = 0) -> "SampledLoad":
        """At least so many requests, and some for every user."""
        if self.unit == "users" and not math.isinf(load):
            n_requests = max(n_requests, math.ceil(_ROUNDS * load / self.n_tasks_per_request))
        return self.longer(n_requests)

    def _repeated(self, n_times: int) -> "SampledLoad":
        period = self.times[-1] - self.times[0] + 1.0
        times = tuple(when + number * period for number in range(n_times) for when in self.times)
        return replace(self, tasks=self.tasks * n_times, times=times, _longer={})

    def _drawn_anew(self, n_times: int) -> "SampledLoad":
        n_drawn = n_times * (self.n_drawn_requests or len(self.requests))
        drawn = sampled_load(self.workload, n_drawn, self.seed)
        # Should none of the longer sample be taken, this one is what there is of requests that are.
        return drawn if self.n_taken_tokens is None else drawn.within(self.n_taken_tokens) or self

    @property
    def n_tasks_per_request(self) -> float:
        """How many tasks there are for each request."""
        return len(self.tasks) / len(self.requests)

    @property
    def idle_s_per_request(self) -> float:
        """Seconds in which a user thinks, or a task's tool works, for each request."""
        agent = self.workload.agent
        n_calls = sum(len(task.calls) for task in self.tasks)
        tools_s = 0.0 if agent is None else agent.tool_s * (n_calls - len(self.tasks))
        return (len(self.tasks) * self.workload.traffic.think_s + tools_s) / len(self.requests)

    def drawn(self, load: float) -> DrawnRequests:
        """The requests of one run; with an infinite load all tasks wait from the start."""
        users = max(1, round(load)) if self.unit == "users" and not math.isinf(load) else None
        rate = min(load, _ALL_AT_ONCE) if users is None else None
        return DrawnRequests(
            self.workload, self.tasks, tasks_per_s=rate, users=users, seed=self.seed, times=self._times
        )

    @cached_property
    def _times(self) -> tuple[float, ...]:
        """Of the tasks at one per second; drawn ones are stretched, so that the run has that rate in the mean."""
        if self.times:
            return self.times
        n = len(self.tasks)
        drawn = first_arrivals_s(self.workload.traffic, n, tasks_per_s=1.0, seed=self.seed)
        return tuple(when * n / drawn[-1] for when in drawn)

    def serve(self, policy: Policy, timer: StepTimer, load: float, n_requests: int = 0) -> SimulationResult:
        """The run of one replica, over at least so many requests."""
        drawn = self.enough(load, n_requests).drawn(load)
        return simulate(policy, timer, drawn.first(), next_requests=drawn.following)


def _within(task: DrawnTask, n_tokens: int) -> tuple[DrawnCall, ...]:
    """The calls of a task up to the first one that is longer."""
    return tuple(
        takewhile(lambda call: call.n_prompt_tokens + call.n_generated_tokens <= n_tokens, task.calls)
    )


def sampled_load(workload: Workload, n_requests: int, seed: int) -> SampledLoad:
    """Tasks of about so many requests, 50 at least; the same ones for the same seed.

    Several times as many are drawn, and of each so many of nearly equal length one is taken (systematic sampling), so that
    long and short ones have their shares in a small sample too.
    """
    drawn: list[DrawnTask] = []
    n = 0
    for task in draw_tasks(workload, seed):
        drawn.append(task)
        n += len(task.calls) * workload.samples
        if n >= _DRAWN_FOR_EACH * n_requests and len(drawn) >= _DRAWN_FOR_EACH * _FEWEST_TASKS:
            break
    by_length = sorted(range(len(drawn)), key=lambda index: _n_tokens(drawn[index]))
    # Of each four the second and the third in turn: neither the shorter nor the longer ones.
    middle = _DRAWN_FOR_EACH // 2
    taken = [
        by_length[first + middle - turn % 2]
        for turn, first in enumerate(range(0, len(drawn) - _DRAWN_FOR_EACH + 1, _DRAWN_FOR_EACH))
    ]
    return SampledLoad(workload, tuple(drawn[index] for index in sorted(taken)), seed)


def _n_tokens(task: DrawnTask) -> int:
    return sum(call.n_prompt_tokens - call.n_known_tokens + call.n_generated_tokens for call in task.calls)


def logged_load(workload: Workload, log: RequestLog) -> SampledLoad:
    """A log's own requests at their own times, each a task; the workload says its rate and what must be kept to.

    Which prompts begin alike is left out: each is read whole.
    """
    requests = log.requests
    first = requests[0].arrival_s
    per_s = (len(requests) - 1) / (requests[-1].arrival_s - first)
    tasks = tuple(
        DrawnTask(
            calls=(
                DrawnCall(
                    n_prompt_tokens=one.n_prompt_tokens,
                    n_known_tokens=0,
                    n_thinking_tokens=min(one.n_thinking_tokens or 0, one.n_output_tokens - 1),
                    n_output_tokens=one.n_output_tokens
                    - min(one.n_thinking_tokens or 0, one.n_output_tokens - 1),
                ),
            )
        )
        for one in requests
    )
    return SampledLoad(workload, tasks, 0, tuple((one.arrival_s - first) * per_s for one in requests))

"""A sample of a workload, served by one simulated replica at any load: always the same tasks, closer or further apart."""

import math
from dataclasses import dataclass
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
from planner.workload.draw import DrawnCall, DrawnTask, draw_tasks
from planner.workload.logged_request import RequestLog
from planner.workload.workload import Workload

_FEWEST_TASKS: Final = 50
_ALL_AT_ONCE: Final = 1e10  # tasks a second


@dataclass(frozen=True)
class SampledLoad:
    """Loads are tasks per second, or users who ask again when they were answered."""

    workload: Workload
    tasks: tuple[DrawnTask, ...]
    seed: int
    times: tuple[float, ...] = ()  # of the tasks at one per second, where a log has told them

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
            calls = tuple(
                takewhile(lambda call: call.n_prompt_tokens + call.n_generated_tokens <= n_tokens, task.calls)
            )
            if calls:
                kept.append(DrawnTask(calls=calls))
                times += self.times[index : index + 1]
        return SampledLoad(self.workload, tuple(kept), self.seed, tuple(times)) if kept else None

    @property
    def n_tasks_per_request(self) -> float:
        """How many tasks there are for each request."""
        return len(self.tasks) / len(self.requests)

    def drawn(self, load: float) -> DrawnRequests:
        """The requests of one run; with an infinite load all tasks wait from the start."""
        users = max(1, round(load)) if self.unit == "users" and not math.isinf(load) else None
        rate = min(load, _ALL_AT_ONCE) if users is None else None
        return DrawnRequests(
            self.workload, self.tasks, tasks_per_s=rate, users=users, seed=self.seed, times=self.times
        )

    def serve(self, policy: Policy, timer: StepTimer, load: float) -> SimulationResult:
        """The run of one replica."""
        drawn = self.drawn(load)
        return simulate(policy, timer, drawn.first(), next_requests=drawn.following)


def sampled_load(workload: Workload, n_requests: int, seed: int) -> SampledLoad:
    """Tasks of about so many requests, 50 at least; the same ones for the same seed."""
    tasks: list[DrawnTask] = []
    n = 0
    for task in draw_tasks(workload, seed):
        tasks.append(task)
        n += len(task.calls) * workload.samples
        if n >= n_requests and len(tasks) >= _FEWEST_TASKS:
            break
    return SampledLoad(workload, tuple(tasks), seed)


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

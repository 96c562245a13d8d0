"""Requests of a workload for a simulation: its tasks, each call after the other, samples side by side.

With a prefix cache, tasks find what all of them share, and an agent's call what the calls before left.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from planner.simulate.policy import Policy
from planner.simulate.request_spec import RequestSpec
from planner.simulate.result import SimulationResult
from planner.simulate.simulator import simulate
from planner.simulate.step_timer import StepTimer
from planner.workload.draw import DrawnTask, arrivals_s, draw_tasks, pauses_s
from planner.workload.workload import Workload

_SHARED = 0  # the conversation of the shared beginning; those of tasks follow


def simulate_workload(
    policy: Policy,
    timer: StepTimer,
    workload: Workload,
    *,
    n_tasks: int,
    tasks_per_s: float | None = None,
    users: int | None = None,
    seed: int = 0,
) -> SimulationResult:
    """Serves so many tasks of a workload on one replica, at a rate or for users; the workload's own when left out."""
    requests = DrawnRequests(
        workload, draw_plan(workload, n_tasks, seed), tasks_per_s=tasks_per_s, users=users, seed=seed
    )
    return simulate(policy, timer, requests.first(), next_requests=requests.following)


def draw_plan(workload: Workload, n_tasks: int, seed: int = 0) -> tuple[DrawnTask, ...]:
    """So many tasks, to be drawn once and served at many loads."""
    return tuple(islice(draw_tasks(workload, seed), n_tasks))


@dataclass
class _Task:
    """A task under way."""

    drawn: DrawnTask
    conversation: int
    call: int = 0
    n_pending: int = 0  # samples of the call that are not answered yet
    is_lost: bool = False  # a sample was refused


@dataclass
class DrawnRequests:
    """The requests of one run, for one run only: `first` starts it, `following` goes on with it."""

    workload: Workload
    plan: tuple[DrawnTask, ...]
    tasks_per_s: float | None = None
    users: int | None = None
    seed: int = 0
    times: tuple[float, ...] = ()  # of the tasks at one per second, in the place of drawn ones
    _begun: int = 0
    _tasks: dict[int, _Task] = field(default_factory=dict)
    _pauses: Iterator[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        traffic = self.workload.traffic
        if self.tasks_per_s is None and self.users is None:
            self.tasks_per_s, self.users = traffic.tasks_per_s, traffic.concurrency
        if (self.tasks_per_s is None) == (self.users is None):
            raise ValueError("tasks come at a rate or from users, not both")
        self._pauses = pauses_s(traffic, self.seed)

    def first(self) -> Iterator[RequestSpec]:
        """First calls of all tasks at their times, or of one task for each user."""
        if self.tasks_per_s is None:
            n = min(self.users or 0, len(self.plan))
            for user in range(n):  # those who think were not all answered at the same time before
                yield from self._begin(self.workload.traffic.think_s * user / n)
            return
        rate = self.tasks_per_s
        times: Iterable[float] = (when / rate for when in self.times)
        if not self.times:
            times = arrivals_s(self.workload.traffic, tasks_per_s=rate, seed=self.seed)
        for _, arrival_s in zip(self.plan, times, strict=False):
            yield from self._begin(arrival_s)

    def following(self, ended: RequestSpec, now_s: float, is_served: bool) -> Iterable[RequestSpec]:
        """What is asked when a request has ended: its task's next call, or a user's next task."""
        number = ended.task
        if number is None:
            return ()
        task = self._tasks[number]
        task.n_pending -= 1
        task.is_lost |= not is_served
        if task.n_pending:
            return ()
        task.call += 1
        if task.call < len(task.drawn.calls) and not task.is_lost:
            agent = self.workload.agent
            return self._call(task, now_s + (0.0 if agent is None else agent.tool_s))
        del self._tasks[number]
        if self.users is None or self._begun >= len(self.plan):
            return ()
        return self._begin(now_s + next(self._pauses))

    def _begin(self, arrival_s: float) -> Iterable[RequestSpec]:
        task = _Task(self.plan[self._begun], _SHARED + 1 + self._begun)
        self._begun += 1
        self._tasks[task.conversation] = task
        return self._call(task, arrival_s)

    def _call(self, task: _Task, arrival_s: float) -> Iterable[RequestSpec]:
        call = task.drawn.calls[task.call]
        samples = self.workload.samples
        task.n_pending = samples
        shared = self.workload.shared_prefix_tokens
        if len(task.drawn.calls) == 1 and samples == 1:
            return (
                RequestSpec(
                    arrival_s=arrival_s,
                    n_prompt_tokens=call.n_prompt_tokens,
                    n_output_tokens=call.n_generated_tokens,
                    conversation=_SHARED if shared else None,
                    n_prefix_tokens=call.n_known_tokens,
                    n_kept_tokens=call.n_known_tokens,
                    task=task.conversation,
                ),
            )
        first = RequestSpec(
            arrival_s=arrival_s,
            n_prompt_tokens=call.n_prompt_tokens,
            n_output_tokens=call.n_generated_tokens,
            conversation=task.conversation,
            n_prefix_tokens=call.n_known_tokens if task.call else 0,
            shared_conversation=_SHARED if shared else None,
            n_shared_tokens=min(shared, call.n_prompt_tokens),
            task=task.conversation,
        )
        if samples == 1:
            return (first,)
        # The others find the whole prompt, once the first one has its place.
        n_prompt = call.n_prompt_tokens
        other = replace(first, n_prefix_tokens=n_prompt, n_kept_tokens=n_prompt)
        return (first, *(other for _ in range(samples - 1)))

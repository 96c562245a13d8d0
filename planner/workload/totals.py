"""What a workload comes to: tokens of a call, of a task and of a month, and calls per second.

Cached tokens are those that a prefix cache finds when it holds all that came before: the beginning that all tasks
share, and what an agent's own earlier calls left. A real cache finds at most these.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hardware.units import DAYS_PER_MONTH, SECONDS_PER_DAY
from planner.errors import MissingFactError
from planner.workload.lengths import Lengths
from planner.workload.traffic_growth import growth_factor
from planner.workload.workload import AgentLoop, Workload

_PROMPTS: Final = 64  # equally likely prompt lengths that stand for all where a budget cuts tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Token counts, of whatever they are said to be of."""

    prompt: float  # all that is sent, cached or not
    cached: float  # of the prompt
    thinking: float
    output: float  # what is seen

    @property
    def fresh(self) -> float:
        """Prompt tokens that have to be read."""
        return self.prompt - self.cached

    @property
    def generated(self) -> float:
        """Tokens that are made one after the other."""
        return self.thinking + self.output

    @property
    def all(self) -> float:
        """Every token that is sent or made."""
        return self.prompt + self.generated

    def times(self, factor: float) -> "Tokens":
        """As many times as much."""
        return Tokens(
            prompt=self.prompt * factor,
            cached=self.cached * factor,
            thinking=self.thinking * factor,
            output=self.output * factor,
        )

    def plus(self, other: "Tokens") -> "Tokens":
        """Both together."""
        return Tokens(
            prompt=self.prompt + other.prompt,
            cached=self.cached + other.cached,
            thinking=self.thinking + other.thinking,
            output=self.output + other.output,
        )


NO_TOKENS: Final = Tokens(prompt=0.0, cached=0.0, thinking=0.0, output=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTotals:
    """What a task takes, expected."""

    n_calls: float
    tokens: Tokens

    @property
    def call(self) -> Tokens:
        """The mean call: a task's tokens over its calls."""
        return self.tokens.times(1 / self.n_calls)


def expected_task(workload: Workload) -> TaskTotals:
    """The expected task; all lengths are independent of each other.

    An agent's call k sends P + (k − 1)·g tokens, with the growth g = output + thinking (where it is kept) + tool, so
    n calls send n·P + n(n − 1)/2·g: exact with the expected n and n(n − 1)/2 of the steps. Where a token budget can
    cut tasks, the sum goes over 64 prompt lengths and all numbers of steps, with what each call adds at its mean.
    """
    agent = workload.agent
    if agent is None:
        return TaskTotals(n_calls=1.0, tokens=_single(workload))
    if agent.token_budget is not None:
        uncut = worst_task(workload, with_budget=False)
        if uncut is None or uncut.all > agent.token_budget:
            return _budgeted(workload, agent, agent.token_budget)
    above = [agent.steps.share_above(step) for step in range(agent.max_steps)]
    n_calls = sum(above)
    n_pairs = sum(step * share for step, share in enumerate(above))  # n(n − 1)/2
    call = _means(workload)
    growth = call.growth(agent)
    prompt = n_calls * workload.prompt.mean + n_pairs * growth
    later = (n_calls - 1) * workload.prompt.mean + n_pairs * growth
    return TaskTotals(
        n_calls=n_calls,
        tokens=Tokens(
            prompt=prompt,
            cached=workload.prompt.mean_up_to(workload.shared_prefix_tokens)
            + later
            - (n_calls - 1) * call.unseen(agent),
            thinking=n_calls * workload.samples * call.thinking,
            output=n_calls * workload.samples * call.output,
        ),
    )


def worst_task(workload: Workload, *, with_budget: bool = True) -> Tokens | None:
    """The task whose lengths are all as long as they can be; None where nothing bounds one of them."""
    calls = worst_calls(workload, with_budget=with_budget)
    if calls is None:
        return None
    total = NO_TOKENS
    for tokens in calls:
        total = total.plus(tokens)
    return total


def worst_calls(workload: Workload, *, with_budget: bool = True) -> tuple[Tokens, ...] | None:
    """The calls of that task, one after the other; None where nothing bounds a length."""
    largest = [lengths.largest for lengths in _all_lengths(workload)]
    if None in largest:
        return None
    prompt, output, thinking, tool = (float(length or 0) for length in largest)
    call = _Call(output=output, thinking=thinking, tool=tool)
    agent = workload.agent
    if agent is None:
        return (_walk_one(workload, prompt, call),)
    budget = agent.token_budget if with_budget else None
    n_steps = min(agent.max_steps, agent.steps.largest or agent.max_steps)
    return tuple(_walk(workload, agent, prompt, call, n_steps, budget))


def most_task_tokens(workload: Workload) -> float | None:
    """The tokens that no task exceeds, by its limits; None where nothing bounds it."""
    worst = worst_task(workload)
    budget = None if workload.agent is None else workload.agent.token_budget
    bounds = [bound for bound in (None if worst is None else worst.all, budget) if bound is not None]
    return min(bounds) if bounds else None


def largest_call_tokens(workload: Workload) -> float | None:
    """The longest context of a call, prompt and one answer: what a server must be able to hold; None if unbounded."""
    largest = [lengths.largest for lengths in _all_lengths(workload)]
    if None in largest:
        return None
    prompt, output, thinking, tool = (float(length or 0) for length in largest)
    agent = workload.agent
    if agent is None:
        return prompt + thinking + output
    n_steps = min(agent.max_steps, agent.steps.largest or agent.max_steps)
    growth = _Call(output=output, thinking=thinking, tool=tool).growth(agent)
    longest = prompt + (n_steps - 1) * growth + thinking + output
    return longest if agent.token_budget is None else min(longest, agent.token_budget)


def tasks_per_s(workload: Workload, *, at_peak: bool = False, years: float = 0.0) -> float:
    """Tasks per second: the mean over a week, or those of its busiest hour; after years of growth.

    Raises MissingFactError for a workload of users: how often they ask depends on how fast they are answered.
    """
    traffic = workload.traffic
    if traffic.tasks_per_s is None:
        raise MissingFactError(
            f"the workload {workload.name!r} says users, not tasks per second, which depend on how fast answers "
            "come; give a rate with --rps"
        )
    peak = traffic.peak_to_average if at_peak else 1.0
    return traffic.tasks_per_s * peak * growth_factor(traffic.growth_per_year, years)


def calls_per_s(workload: Workload, *, at_peak: bool = False, years: float = 0.0) -> float:
    """Calls of the model per second, those of agents included."""
    return tasks_per_s(workload, at_peak=at_peak, years=years) * expected_task(workload).n_calls


def month_tokens(workload: Workload, *, years: float = 0.0) -> Tokens:
    """Tokens of a mean month, after years of growth."""
    n_tasks = tasks_per_s(workload, years=years) * SECONDS_PER_DAY * DAYS_PER_MONTH
    return expected_task(workload).tokens.times(n_tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """What one call makes, and what a tool adds after it."""

    output: float
    thinking: float
    tool: float

    def growth(self, agent: AgentLoop) -> float:
        """Tokens by which the next prompt is longer."""
        return self.output + self.tool + (self.thinking if agent.keeps_thinking else 0.0)

    def unseen(self, agent: AgentLoop) -> float:
        """Tokens of the next prompt that no cache holds yet.

        An answer behind thinking that is dropped has to be read again: it stands elsewhere in the context.
        """
        return self.tool if agent.keeps_thinking or self.thinking == 0 else self.tool + self.output


def _all_lengths(workload: Workload) -> tuple[Lengths, ...]:
    tool = () if workload.agent is None else (workload.agent.tool_tokens,)
    lengths = (workload.prompt, workload.output, workload.thinking, *tool)
    return lengths if tool else (*lengths, Lengths(kind="uniform", low=0, high=0))


def _means(workload: Workload) -> _Call:
    tool = 0.0 if workload.agent is None else workload.agent.tool_tokens.mean
    return _Call(output=workload.output.mean, thinking=workload.thinking.mean, tool=tool)


def _single(workload: Workload) -> Tokens:
    return Tokens(
        prompt=workload.prompt.mean,
        cached=workload.prompt.mean_up_to(workload.shared_prefix_tokens),
        thinking=workload.samples * workload.thinking.mean,
        output=workload.samples * workload.output.mean,
    )


def _walk_one(workload: Workload, prompt: float, call: _Call) -> Tokens:
    return Tokens(
        prompt=prompt,
        cached=min(prompt, workload.shared_prefix_tokens),
        thinking=workload.samples * call.thinking,
        output=workload.samples * call.output,
    )


def _walk(
    workload: Workload, agent: AgentLoop, prompt: float, call: _Call, n_steps: int, budget: float | None
) -> Iterator[Tokens]:
    """The calls of one task, until its steps or its budget are used up.

    A call whose prompt leaves nothing of the budget is not made; an answer is cut where the budget ends.
    """
    growth, unseen = call.growth(agent), call.unseen(agent)
    thinking, output = workload.samples * call.thinking, workload.samples * call.output
    left = budget
    for step in range(n_steps):
        cached = min(prompt, workload.shared_prefix_tokens) if step == 0 else prompt - unseen
        made = thinking + output
        if left is not None:
            if prompt >= left:
                return
            made = min(made, left - prompt)
            left -= prompt + made
        thought = min(thinking, made)
        yield Tokens(prompt=prompt, cached=cached, thinking=thought, output=made - thought)
        prompt += growth


def _budgeted(workload: Workload, agent: AgentLoop, budget: int) -> TaskTotals:
    above = [agent.steps.share_above(step) for step in range(agent.max_steps)]
    call = _means(workload)
    n_calls, total = 0.0, NO_TOKENS
    for index in range(_PROMPTS):
        prompt = workload.prompt.quantile((index + 0.5) / _PROMPTS)
        for share, tokens in zip(
            above, _walk(workload, agent, prompt, call, agent.max_steps, budget), strict=False
        ):
            n_calls += share / _PROMPTS
            total = total.plus(tokens.times(share / _PROMPTS))
    if n_calls == 0:
        raise MissingFactError(
            f"no task of the workload {workload.name!r} makes a single call: its prompts are longer than the budget of "
            f"{budget:,} tokens"
        )
    return TaskTotals(n_calls=n_calls, tokens=total)

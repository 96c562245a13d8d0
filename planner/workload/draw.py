"""Tasks drawn from a workload, and when they come: the same ones for the same seed, at whatever rate.

Lengths and times have their own chance, so that a workload with other traffic asks the same questions, and one at half
the rate asks them twice as far apart: two machines, or two rates, are compared on the same draws.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Final

from planner.workload.workload import Traffic, Workload

_TIMES: Final = 0x7157
_PAUSES: Final = 0x9A5E


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnCall:
    """One call: its prompt, how much of it came before in the same task or is shared by all, and its answers."""

    n_prompt_tokens: int
    n_known_tokens: int  # at the prompt's beginning: the shared beginning, or the context of the call before
    n_thinking_tokens: int  # of each sample
    n_output_tokens: int

    @property
    def n_generated_tokens(self) -> int:
        """Tokens of one answer with its thinking."""
        return self.n_thinking_tokens + self.n_output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnTask:
    """One task: its calls, each made `samples` times."""

    calls: tuple[DrawnCall, ...]


def draw_tasks(workload: Workload, seed: int = 0) -> Iterator[DrawnTask]:
    """Tasks without end."""
    chance = random.Random(seed)  # noqa: S311 (lengths, not secrets)
    while True:
        yield DrawnTask(calls=tuple(_calls(workload, chance)))


def arrivals_s(traffic: Traffic, *, tasks_per_s: float, seed: int = 0) -> Iterator[float]:
    """Times of tasks without end, at a mean rate; gaps are exponential, gamma (bursty) or all alike (steady).

    A gamma distribution of shape 1/b has the squared coefficient of variation b.
    """
    chance = random.Random(seed ^ _TIMES)  # noqa: S311
    return accumulate(gap / tasks_per_s for gap in _unit_gaps(traffic, chance))


def first_arrivals_s(traffic: Traffic, n: int, *, tasks_per_s: float, seed: int = 0) -> tuple[float, ...]:
    """The first so many of them."""
    return tuple(islice(arrivals_s(traffic, tasks_per_s=tasks_per_s, seed=seed), n))


def pauses_s(traffic: Traffic, seed: int = 0) -> Iterator[float]:
    """How long users think, without end: of the pattern that the traffic has."""
    chance = random.Random(seed ^ _PAUSES)  # noqa: S311
    return (gap * traffic.think_s for gap in _unit_gaps(traffic, chance))


def _unit_gaps(traffic: Traffic, chance: random.Random) -> Iterator[float]:
    while True:
        if traffic.pattern == "steady":
            yield 1.0
        elif traffic.pattern == "bursty":
            yield chance.gammavariate(1 / traffic.burstiness, traffic.burstiness)
        else:
            yield chance.expovariate(1.0)


def _calls(workload: Workload, chance: random.Random) -> Iterator[DrawnCall]:
    agent = workload.agent
    n_steps = 1 if agent is None else min(agent.max_steps, agent.steps.draw(chance))
    left = None if agent is None else agent.token_budget
    prompt = workload.prompt.draw(chance)
    known = min(prompt, workload.shared_prefix_tokens)
    for _ in range(n_steps):
        thinking = workload.thinking.draw(chance)
        output = workload.output.draw(chance)
        made = workload.samples * (thinking + output)
        if left is not None:
            if prompt >= left:
                return
            if prompt + made > left:
                each = max(1, (left - prompt) // workload.samples)
                thinking = min(thinking, each - 1)
                output = each - thinking
                made = left - prompt
            left -= prompt + made
        yield DrawnCall(
            n_prompt_tokens=prompt,
            n_known_tokens=known,
            n_thinking_tokens=thinking,
            n_output_tokens=output,
        )
        if agent is None:
            return
        kept = output + (thinking if agent.keeps_thinking else 0)
        # An answer behind thinking that is dropped stands elsewhere in the next prompt, so no cache helps with it.
        known = prompt + kept if agent.keeps_thinking or thinking == 0 else prompt
        prompt += kept + agent.tool_tokens.draw(chance)

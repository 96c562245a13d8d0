"""A serving engine under a fixed number of requests at a time, step by step on the fitted step times.

It answers the same question as the closed form of `planner.estimate.serving_speed.latency`, with the same seconds of each
step: what the closed form says of queues and bursts, the scheduler shows. `validate speed` uses the closed form;
`simulation_scores` holds both against the same measurements.
"""

import math
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from planner.errors import MissingFactError
from planner.estimate.serving_speed.deployment import Deployment, batch
from planner.estimate.serving_speed.latency import compiled_late_s, held_back_s
from planner.estimate.serving_speed.served_latency import ServingFacts
from planner.estimate.serving_speed.step_time import tokens_of_a_step
from planner.estimate.serving_speed.step_timer import Bound, ServingStepTimer, serving_step_timer
from planner.simulate.policy import Policy
from planner.simulate.request_spec import RequestSpec
from planner.simulate.simulator import simulate

_MOST_REQUESTS: Final = 4000  # of one run: beyond it more rounds change nothing
_SHORTEST, _LONGEST = 8 / 9, 10 / 9  # of lengths that are drawn, as shares of their mean
_TURNAROUND_S: Final = 0.002  # of a client, from an answer's end to the next question, in the mean


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedLoop:
    """Means over all requests of a run."""

    ttft_s: float
    tpot_s: float
    answered_tokens_per_s: float  # of the whole replica, all of its attention replicas together


def serving_policy(one: Deployment) -> Policy:
    """How a deployment's engine fills its steps; the limits of one replica of the attention."""
    told = one.schedule.most_running
    whole = one.n_prompt_tokens + one.n_output_tokens
    # What an engine is told is made to hold so many tokens of prompts and those that decode beside them.
    beside = 0 if one.schedule.step_tokens is None else _slots(one) * (1 + one.schedule.draft_tokens)
    return Policy(
        max_sequences=told or max(1, math.ceil(one.n_requests)),
        max_batched_tokens=one.step_tokens + beside,
        kv_tokens=max(pool_tokens(one), 2 * whole),
        mixing="prompts_first" if one.prompts_first else "mixed",
    )


def _slots(one: Deployment) -> int:
    """Requests in flight on one replica of the attention."""
    return max(1, round(one.n_requests / one.load.ranks.attention_replicas))


def pool_tokens(one: Deployment) -> int:
    """Tokens that the pool of one rank holds, at the deployment's lengths."""
    middle = one.n_prompt_tokens + one.n_output_tokens // 2
    bytes_per_token = float(one.load.cache_elements(middle)) * one.cache_element_bytes / middle
    if one.pool_bytes is None or bytes_per_token <= 0:
        return sys.maxsize
    return int(one.pool_bytes / bytes_per_token)


def simulated_loop(
    one: Deployment, facts: ServingFacts, *, bound: Bound = "expected", seed: int = 0
) -> SimulatedLoop:
    """A closed loop on one replica of the attention, from the burst at its start to the last answer.

    Raises MissingFactError for GPUs whose rates nobody knows.
    """
    policy = serving_policy(one)
    n_slots = _slots(one)
    timer = serving_step_timer(
        one, facts, max_sequences=min(policy.max_sequences, n_slots),
        max_batched_tokens=policy.max_batched_tokens, bound=bound,
    )  # fmt: skip
    n_requests = max(n_slots, min(_MOST_REQUESTS, round(n_slots * one.schedule.n_rounds)))
    questions = _Questions(one, n_requests, seed)
    found = simulate(
        policy, timer, questions.first(n_slots), next_requests=lambda _, now_s, __: questions.after(now_s)
    )
    answered = [times for times in found.requests if times.ttft_s is not None and times.tpot_s is not None]
    if not answered:
        raise MissingFactError("no request of this length fits the pool of caches")
    ttft_s = math.fsum(times.ttft_s or 0.0 for times in answered) / len(answered)
    tpot_s = math.fsum(times.tpot_s or 0.0 for times in answered) / len(answered)
    return SimulatedLoop(
        ttft_s=ttft_s + _beside_steps_s(one, timer, n_slots, facts),
        tpot_s=tpot_s,
        answered_tokens_per_s=found.n_output_tokens * one.load.ranks.attention_replicas / found.end_s,
    )


def _beside_steps_s(one: Deployment, timer: ServingStepTimer, n_slots: int, facts: ServingFacts) -> float:
    """What a first token waits for besides the steps that read its prompt: the host, and an engine that holds back."""
    import numpy as np

    n = min(n_slots, len(timer.empty_s) - 1)
    empty_s, cached_token_s = timer.decode(n)
    step_s = empty_s + cached_token_s * n * (one.n_prompt_tokens + one.n_output_tokens // 2)
    q = batch([one])
    yielded = tokens_of_a_step(q, facts.rates)
    held = held_back_s(q, yielded * step_s, yielded * n / one.n_output_tokens)
    # The simulation knows one step that is under way; what else passes before a token is sent was fitted.
    more_steps = (facts.rates.value("first_token_steps", q) - 1.0) * yielded
    # A step that checks drafted tokens is played as one for each token that it yields. Whoever asks while others decode
    # waits for all of it, and for all of those that read the prompt beside them.
    if n > 1:
        n_beside = 0.0 if one.prompts_first else max(1.0, one.n_prompt_tokens / one.step_tokens)
        more_steps = more_steps + (yielded - 1.0) * (1.0 + n_beside)
    late = compiled_late_s(q, facts.rates, np.array([float(n)]))
    return timer.first_token_s + float((held + more_steps * step_s + late)[0])


class _Questions:
    """Requests of a closed loop: as many as asked for, of lengths around their mean or all alike."""

    def __init__(self, one: Deployment, n_requests: int, seed: int) -> None:
        self._one = one
        self._left = n_requests
        self._random = random.Random(seed)  # noqa: S311 (lengths, not secrets)

    def first(self, n_slots: int) -> Iterator[RequestSpec]:
        """One for each slot, all at once."""
        for _ in range(n_slots):
            yield from self._next(0.0)

    def after(self, now_s: float) -> Iterable[RequestSpec]:
        """The next one of a slot whose last one ended now."""
        return tuple(self._next(now_s + self._random.expovariate(1 / _TURNAROUND_S)))

    def _next(self, arrival_s: float) -> Iterator[RequestSpec]:
        if self._left > 0:
            self._left -= 1
            yield RequestSpec(
                arrival_s=arrival_s,
                n_prompt_tokens=self._length(self._one.n_prompt_tokens),
                n_output_tokens=max(2, self._length(self._one.n_output_tokens)),
            )

    def _length(self, mean: int) -> int:
        if self._one.schedule.has_like_lengths:
            return mean
        return max(1, round(self._random.uniform(_SHORTEST, _LONGEST) * mean))


def simulated_loops(deployments: Sequence[Deployment], facts: ServingFacts) -> tuple[SimulatedLoop, ...]:
    """One run for each deployment."""
    return tuple(simulated_loop(one, facts) for one in deployments)

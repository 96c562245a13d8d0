"""The requests of a load test: their lengths, and when they come."""

import random
from collections.abc import Iterator

from planner.errors import BenchError
from planner.load.request_record import RequestPlan
from planner.workload.lengths import Lengths


def endless_plans(prompt: Lengths, output: Lengths, seed: int) -> Iterator[RequestPlan]:
    """Requests for a closed loop, the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 (lengths, not secrets)
    while True:
        yield RequestPlan(n_prompt_tokens=prompt.draw(chance), n_output_tokens=output.draw(chance))


def poisson_plans(
    prompt: Lengths, output: Lengths, *, rate_per_s: float, duration_s: float, seed: int
) -> tuple[RequestPlan, ...]:
    """Requests that come independently of each other at a mean rate, for a duration.

    Raises BenchError for a rate that would give none.
    """
    chance = random.Random(seed)  # noqa: S311
    plans: list[RequestPlan] = []
    now = chance.expovariate(rate_per_s)
    while now < duration_s:
        plans.append(
            RequestPlan(
                n_prompt_tokens=prompt.draw(chance), n_output_tokens=output.draw(chance), arrival_s=now
            )
        )
        now += chance.expovariate(rate_per_s)
    if not plans:
        raise BenchError(
            f"{rate_per_s:g} requests per second gave none in {duration_s:g} s; allow more time with --budget"
        )
    return tuple(plans)

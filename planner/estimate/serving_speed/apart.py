"""Times where prompts are read on GPUs of their own, and the answers decoded on others.

With p for reading one prompt on one of P attention replicas of the prefill workers, d for a step of decoding on one of the
decode workers, which yields a tokens, C requests in flight, O tokens answered to each:

    tpot_s = d / a                                    no prompt is read in between
    alone  = host time + p + cache of the prompt / link + steps of decoding before the first token is sent
    queue  = C / P · p − O · tpot_s                   where prompts come faster than they are read, all wait for them
    ttft_s = (alone³ + queue³)^(1/3), and the burst of the first of r rounds: C / (2 · P · r) · p
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from planner.engines.sharding import Parallel
from planner.estimate.serving_speed.deployment import Deployment, batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.step_rates import StepRates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

_ORDER: Final = 3.0  # of the norm that stands for the larger of two times


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Like workers: how many, and over which ranks each is spread."""

    count: int
    ranks: Parallel


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Workers that read prompts and workers that decode; each deployment is one worker with its share of the load."""

    prefill: Deployment
    decode: Deployment
    n_prefill: int
    n_decode: int
    n_requests: float  # over all of them


@dataclass(frozen=True, kw_only=True)
class ApartTimes:
    """Seconds, one array entry for each."""

    tpot_s: "Floats"
    ttft_s: "Floats"
    host_s: "Floats"  # parts of the time to the first token of a prompt that waits for no other
    prompt_s: "Floats"
    moving_s: "Floats"
    first_steps_s: "Floats"
    queue_s: "Floats"  # and what it waits where prompts come faster than they are read


def apart_times(ones: Sequence[Apart], rates: StepRates) -> ApartTimes:
    """Times of all of them; raises MissingFactError for a GPU whose rates or link nobody knows."""
    import numpy as np

    prefill, decode = batch([one.prefill for one in ones]), batch([one.decode for one in ones])
    reading, decoding = latency(prefill, rates), latency(decode, rates)
    asked = np.array([one.n_requests for one in ones])
    readers = np.array([one.n_prefill for one in ones]) * prefill.replicas
    # What a worker decodes without prompts between: its time per token less that of the prompts.
    tpot = decoding.decode_step_s / decoding.tokens_per_step
    whole = prefill.n_prompt + prefill.n_cached
    moved = prefill.cache_bytes * whole / (whole + prefill.n_output / 2)
    link = np.array([_link_bytes_per_s(one) for one in ones])
    host, prompt = rates.value("first_token_s", prefill), reading.prompt_step_s + reading.filling_s
    first_steps = rates.value("first_token_steps", decode) * decoding.decode_step_s
    alone = host + prompt + moved / link + first_steps
    queue = np.maximum(asked / readers * reading.prompt_step_s - decode.n_output * tpot, 0.0)
    burst = asked / readers / 2 * reading.prompt_step_s / prefill.n_rounds
    return ApartTimes(
        tpot_s=tpot, ttft_s=(alone**_ORDER + queue**_ORDER) ** (1 / _ORDER) + burst, host_s=host, prompt_s=prompt,
        moving_s=moved / link, first_steps_s=first_steps, queue_s=queue,
    )  # fmt: skip


def _link_bytes_per_s(one: Apart) -> float:
    """What a rank of the readers sends to the decoding ranks: over the network where they are on other machines."""
    fabric, ranks = one.prefill.fabric, one.prefill.load.ranks
    n_gpus = one.n_prefill * ranks.n_devices + one.n_decode * one.decode.load.ranks.n_devices
    if fabric is not None and n_gpus > fabric.gpus_per_machine:
        return fabric.bytes_per_s
    return one.prefill.accelerator.link_bytes_per_s or math.inf

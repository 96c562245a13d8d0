"""Time per output token and time to the first one, when a fixed number of requests is always in flight.

With p for reading one prompt, d for a step of decoding, b prompts in one step at most, and C requests that run on one
replica of the attention, O tokens answered to each, of which a step yields a:

    tpot_s  = (d + C / (O / a) · p · i) / a
    burst   = (C + b) / 2 · p_b                 + C / (2 · b) · d where an engine decodes while it reads prompts
    wait    = d + ν' · p                        or e^(−ν) · d + ν · p where prompts have steps of their own
    steady  = s · wait + (1 + ν) · p            + d in every step that reads, where an engine decodes beside it
    ttft_s  = host time + held back · d + w · burst + (1 − w) · steady + waiting for a place

All slots ask at once in the beginning; in the mean over r rounds that burst counts w = 1/r, and p_b is a prompt's share
of a step that reads b of them. Afterwards each question comes when another ends, just after the next step has begun, so
that it waits for that one: ν = C / (O / a) prompts come with every step, and those of the step before are in its way.
Requests of like lengths end one step after the other, so that at least one prompt is (ν' ≥ 1); where prompts are read
before all decoding, they even stay together, and a share of rounds is a burst, of which half of the prompts are read
before the answers begin. An engine that collects questions for up to T steps makes the first of them wait for all of T,
and those that come meanwhile for the rest of it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.pipeline import decode_period_s, filling_s
from planner.estimate.serving_speed.step_rates import StepRates
from planner.estimate.serving_speed.step_time import prompt_step_s, tokens_of_a_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

_SPREAD_INTERFERENCE: Final = 0.94  # of the prompts of a round fall into a request's own decoding


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds, one array entry for each deployment."""

    decode_step_s: "Floats"  # between two steps of the same requests
    prompt_step_s: "Floats"  # on the fullest stage of a pipeline
    filling_s: "Floats"  # more, that a prompt alone takes through all stages
    tokens_per_step: "Floats"  # that a step yields for each request: more than 1 where drafted ones are taken
    tpot_s: "Floats"
    ttft_s: "Floats"


def latency(questions: Batch, rates: StepRates) -> Latency:
    """Times of all deployments; see the module's head for the formulas."""
    import numpy as np

    q = questions
    asked = q.n_requests / q.replicas
    running = np.minimum(asked, q.most_running)
    decode_step, whole_prompt = decode_period_s(q, rates, running), prompt_step_s(q, rates)
    prompt_step = whole_prompt * q.stage_share  # on the fullest stage
    prompts_first = q.prompts_first
    chunks = np.maximum(q.n_prompt / q.step_tokens, 1.0)
    filling = filling_s(q, rates, whole_prompt, chunks)
    in_step = np.minimum(np.maximum(1.0, q.step_tokens / q.n_prompt), np.maximum(running, 1.0))
    pooled = prompt_step_s(q, rates, in_step) * q.stage_share / in_step
    in_waves = prompts_first * q.has_like_lengths * rates.value("kept_waves", q)
    interference = rates.value("prompt_interference", q)

    yielded = tokens_of_a_step(q, rates)
    met = in_waves * 0.5 * running / (running + in_step) + (1 - in_waves) * _SPREAD_INTERFERENCE
    stalls = running / q.n_output * prompt_step * met * interference
    tpot = decode_step / yielded + stalls

    # Prompts that come with each step of decoding, and those in the step that a new one has to wait for.
    coming = np.minimum(running / (q.n_output / yielded), in_step)
    chained = np.minimum(rates.value("chained_prompts", q), running)
    before = np.where(q.has_like_lengths > 0, np.maximum(coming, chained), coming)
    mixed = 1 - prompts_first
    burst = (running + in_step) / 2 * pooled + mixed * running / in_step / 2 * decode_step
    wait = mixed * (decode_step + before * prompt_step) + prompts_first * (
        np.exp(-coming) * decode_step + coming * prompt_step
    )
    steady = (
        rates.value("first_token_steps", q) * wait + (1 + coming) * prompt_step + mixed * chunks * decode_step
    )
    first_rounds = in_waves + (1 - in_waves) / q.n_rounds
    served = (
        rates.value("first_token_s", q)
        + filling
        + held_back_s(q, decode_step, coming)
        + first_rounds * burst
        + (1 - first_rounds) * steady
    )
    waited = (asked / running - 1) * (served + q.n_output * tpot)
    ttft = served + waited + compiled_late_s(q, rates, running)
    return Latency(
        decode_step_s=decode_step,
        prompt_step_s=prompt_step,
        filling_s=filling,
        tokens_per_step=yielded,
        tpot_s=tpot,
        ttft_s=ttft,
    )


def held_back_s(q: Batch, decode_step_s: "Floats", coming: "Floats") -> "Floats":
    """Seconds that an engine keeps a new request waiting, of which so many come with each step of decoding.

    Whoever comes while others are being collected waits for the rest of that time.
    """
    met = q.collect_steps * coming * q.replicas
    found: Floats = (q.held_steps + q.collect_steps * (1 + met / 2) / (1 + met)) * decode_step_s
    return found


def compiled_late_s(q: Batch, rates: StepRates, running: "Floats") -> "Floats":
    """Seconds of compilation while the first requests wait, in the mean over all rounds.

    What is compiled late is what goes on with a prompt that a step has cut off.
    """
    cuts = running * q.n_prompt > q.step_tokens
    found: Floats = q.is_cold * cuts * rates.value("cold_s", q) / q.n_rounds
    return found

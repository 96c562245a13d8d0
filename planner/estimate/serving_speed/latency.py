"""Time per output token and time to the first one, when a fixed number of requests is always in flight.

With p(g) for one of g prompts that a step reads, d for a step of decoding, b prompts in one step at most, and C requests
that run on one replica of the attention, O tokens answered to each, of which a step yields a:

    p(g)    = (max(work of g prompts + d', host's launches) − d') / g       d' = d where an engine decodes beside, else 0
    tpot_s  = (d + (C − g) / (O / a) · p(g) · i) / a
    burst   = (C + b) / 2 · p(b)                + C / (2 · b) · d where an engine decodes while it reads prompts
    wait    = d + ν' · p                        or e^(−ν) · d + ν · p where prompts have steps of their own
    steady  = s · wait + max(1 + ν, g) · p      + d in every step that reads, where an engine decodes beside it
    ttft_s  = host time + held back · d + w · burst + (1 − w) · steady + waiting for a place

Steps with prompts run without graphs: the host launches their kernels while the GPU reads and decodes, so that where
prompts are short, the decoding beside them costs nothing more. The own prompt of a request stalls only the others.

All slots ask at once in the beginning; in the mean over r rounds that burst counts w = 1/r. Afterwards each question
comes when another ends, just after the next step has begun, so that it waits for that one: ν = C / (O / a) prompts come
with every step, and those of the step before are in its way (a request alone waits for nobody). Requests of like lengths
end one step after the other, so that at least one prompt is (ν' ≥ 1), and a share of those that were read in one step
stay together, at least as many as come with a step: g = max(1, ν) + share · (b − max(1, ν)). Where prompts are read before all decoding, a share of rounds is even a burst, of
which half of the prompts are read before the answers begin. An engine that collects questions for up to T steps makes the first of them wait for all
of T, and those that come meanwhile for the rest of it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.pipeline import decode_period_s, filling_s
from planner.estimate.serving_speed.step_rates import StepRates
from planner.estimate.serving_speed.step_time import prompt_step_s, tokens_of_a_step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds, one array entry for each deployment."""

    decode_step_s: "Floats"  # between two steps of the same requests
    prompt_step_s: "Floats"  # on the fullest stage of a pipeline
    filling_s: "Floats"  # more, that a prompt alone takes through all stages
    added_prompt_s: "Floats"  # that one of many prompts adds, once requests come and go
    tokens_per_step: "Floats"  # that a step yields for each request: more than 1 where drafted ones are taken
    tpot_s: "Floats"
    ttft_s: "Floats"


def latency(questions: Batch, rates: StepRates) -> Latency:
    """Times of all deployments; see the module's head for the formulas."""
    import numpy as np

    q = questions
    asked = q.n_requests / q.replicas
    running = np.minimum(asked, q.most_running)
    decode_step = decode_period_s(q, rates, running)
    prompts_first, mixed = q.prompts_first, 1 - q.prompts_first
    chunks = np.maximum(q.n_prompt / q.step_tokens, 1.0)
    filling = filling_s(q, rates, prompt_step_s(q, rates), chunks)
    in_step = np.minimum(np.maximum(1.0, q.step_tokens / q.n_prompt), np.maximum(running, 1.0))
    yielded = tokens_of_a_step(q, rates)
    coming = np.minimum(running / (q.n_output / yielded), in_step)

    # Of like lengths: rounds that stay a burst.
    in_waves = prompts_first * q.has_like_lengths * rates.value("kept_waves", q)
    # As many prompts share a step as come with it; of like lengths, a share of those that fit into one more.
    at_least = np.maximum(coming, 1.0)
    together = at_least + (in_step - at_least) * mixed * q.has_like_lengths * rates.value("kept_clusters", q)
    prompt_step = each_prompt_s(q, rates, together, mixed * decode_step)
    pooled = each_prompt_s(q, rates, in_step, mixed * decode_step)

    others = np.maximum(running - together, 0.0) / np.maximum(running, 1.0)
    met = in_waves * 0.5 * np.maximum(1 - in_step / running, 0.0) + (1 - in_waves) * others
    stalls = running / q.n_output * prompt_step * met * rates.value("prompt_interference", q)
    tpot = decode_step / yielded + stalls

    # Prompts in the step that a new one has to wait for, and in its own.
    chained = np.minimum(rates.value("chained_prompts", q), running)
    in_the_way = chained * together * np.where(mixed > 0, others, 1.0)
    before = np.where(q.has_like_lengths > 0, np.maximum(coming, in_the_way), coming)
    wait = mixed * (decode_step + before * prompt_step) + prompts_first * (
        np.exp(-coming) * decode_step + coming * prompt_step
    )
    is_met = np.clip(running - 1, 0.0, 1.0)  # a request alone finds no step under way
    steady = (
        rates.value("first_token_steps", q) * is_met * wait
        + np.maximum(1 + coming, together) * prompt_step
        + mixed * chunks * decode_step
    )
    burst = (running + in_step) / 2 * pooled + mixed * running / in_step / 2 * decode_step
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
        prompt_step_s=prompt_step_s(q, rates) * q.stage_share,
        filling_s=filling,
        added_prompt_s=prompt_step,
        tokens_per_step=yielded,
        tpot_s=tpot,
        ttft_s=ttft,
    )


def each_prompt_s(q: Batch, rates: StepRates, n_prompts: "Floats", decoding_s: "Floats") -> "Floats":
    """What one of so many prompts adds to a step that decodes for so long, on the fullest stage of a pipeline."""
    added = prompt_step_s(q, rates, n_prompts, decoding_s) - decoding_s
    found: Floats = added * q.stage_share / n_prompts
    return found


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

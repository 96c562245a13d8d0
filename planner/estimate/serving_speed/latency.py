"""Time per output token and time to the first one, when a fixed number of requests is always in flight.

    step       = Σ parts max(bytes / (bandwidth · e), FLOP / (peak · e)) + cache + collectives + launches + per request
    tpot_s     = decode step + requests / output tokens · prompt step · interference
    ttft_s     = host time + steps waited for + prompt step · (1 + prompts queued before it)

The maximum is smooth (a norm of order 3), because reading and computing overlap less than wholly. In a closed loop
every request that ends is replaced, so each decode step carries requests / output-tokens prompts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.step_rates import StepRates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

_ORDER: Final = 3.0  # of the norm that stands for a maximum
_HALF_OF_LAUNCHES: Final = 0.5  # of a prompt's step hide behind its arithmetic
_BYTES_OF_ACTIVATION: Final = 2
_REDUCTIONS_PER_LAYER: Final = 2  # after attention and after the feed-forward block
_EXPERT_FLOP_SHARE: Final = 0.7  # grouped matrix products reach less than plain ones
_MIXING_FLOP_SHARE: Final = 0.6  # and so does attention


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds, one array entry for each deployment."""

    decode_step_s: "Floats"
    prompt_step_s: "Floats"
    tpot_s: "Floats"
    ttft_s: "Floats"


def latency(questions: Batch, rates: StepRates) -> Latency:
    """Times of all deployments; see the module's head for the formulas."""
    import numpy as np

    def rate(name: str) -> "Floats":
        return rates.value(name, questions)

    q = questions
    per_replica = q.n_requests / q.replicas
    launches = (
        q.counts["layer"] * rate("layer_s")
        + q.counts["moe"] * rate("moe_layer_s")
        + q.counts["latent"] * rate("latent_layer_s")
        + q.counts["indexed"] * rate("indexed_layer_s")
        + q.counts["recurrent"] * rate("recurrent_layer_s")
    )
    prompt_flop = rate("prompt_flop_fraction")
    decode_step = (
        _step(
            q, rates, flop_fraction=prompt_flop * rate("decode_flop_fraction"),
            n_tokens=q.n_requests, n_attention_tokens=per_replica, n_sampled=q.n_requests,
            moved_bytes=per_replica * (q.cache_bytes + q.state_bytes), mixing_flop=per_replica * q.mixing_flop,
            mixing_fraction=prompt_flop,
        )
        + launches
        + rate("step_s")
        + q.n_requests * rate("request_s")
    )  # fmt: skip
    prompt_step = (
        _step(
            q, rates, flop_fraction=prompt_flop, n_tokens=q.n_prompt, n_attention_tokens=q.n_prompt,
            n_sampled=np.ones(len(q)), moved_bytes=np.zeros(len(q)), mixing_flop=q.prompt_mixing_flop,
            mixing_fraction=prompt_flop,
        )
        + _HALF_OF_LAUNCHES * launches
    )  # fmt: skip
    tpot = decode_step + per_replica / q.n_output * prompt_step * rate("prompt_interference")
    # Prompts that arrive together are read together, up to what one step takes.
    in_a_step = np.maximum(1.0, rate("batched_prompt_tokens") / q.n_prompt)
    waiting = 1 / (1 / per_replica + 1 / in_a_step)
    queued = rate("queued_prompts") * np.maximum(waiting - 0.5, 0.0) ** rate("queue_growth")
    ttft = rate("first_token_s") + decode_step * rate("first_token_steps") + prompt_step * (1 + queued)
    return Latency(decode_step_s=decode_step, prompt_step_s=prompt_step, tpot_s=tpot, ttft_s=ttft)


def _step(
    q: Batch,
    rates: StepRates,
    *,
    flop_fraction: "Floats",
    n_tokens: "Floats",
    n_attention_tokens: "Floats",
    n_sampled: "Floats",
    moved_bytes: "Floats",
    mixing_flop: "Floats",
    mixing_fraction: "Floats",
) -> "Floats":
    """Seconds of one pass through the network, what is added per launch and per request left out."""
    import numpy as np

    read = rates.value("matrix_read_fraction", q) * q.memory_bytes_per_s
    read_experts = rates.value("expert_read_fraction", q) * q.memory_bytes_per_s
    read_cache = rates.value("cache_read_fraction", q) * q.memory_bytes_per_s

    def part(name: str, n: "Floats") -> "Floats":
        flop = 2 * q.part_elements[name] * n
        return _larger(q.part_bytes[name] / read, flop / (q.part_flop_per_s[name] * flop_fraction))

    picked = 1.0 - (1.0 - q.active_fraction) ** n_tokens
    experts = _larger(
        q.part_bytes["experts"] * picked / read_experts,
        2 * q.part_elements["experts"] * q.active_fraction * n_tokens
        / (q.part_flop_per_s["experts"] * flop_fraction * _EXPERT_FLOP_SHARE),
    )  # fmt: skip
    mixing = _larger(
        moved_bytes / read_cache, mixing_flop / (q.fp16_flop_per_s * mixing_fraction * _MIXING_FLOP_SHARE)
    )
    reduced = n_tokens * q.hidden * _BYTES_OF_ACTIVATION * 2 * (q.tensor - 1) / q.tensor
    collectives = _REDUCTIONS_PER_LAYER * q.counts["layer"] * (
        rates.value("collective_s", q) * np.log2(np.maximum(q.tensor, 2.0))
        + reduced / (rates.value("link_fraction", q) * q.link_bytes_per_s)
    )  # fmt: skip
    return (
        part("attention", n_attention_tokens)
        + part("dense", n_tokens)
        + experts
        + part("head", n_sampled)
        + mixing
        + np.where(q.tensor > 1, collectives, 0.0)
    )


def _larger(a: "Floats", b: "Floats") -> "Floats":
    return (a**_ORDER + b**_ORDER) ** (1 / _ORDER)

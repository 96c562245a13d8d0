"""Seconds of one pass of the network over a batch: prompts that are read, or one more token for every request.

    part = max(bytes / (bandwidth · e), FLOP / (peak · e))            attention, feed-forward, experts, head
    step = Σ parts + caches and states + collectives

The maximum is smooth (a norm of order 3), because reading and computing overlap less than wholly.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from planner.estimate.serving_speed.collectives import ACTIVATION_BYTES, layer_collectives_s
from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.rank_load import LAYERS
from planner.estimate.serving_speed.step_rates import StepRates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

_Number = TypeVar("_Number", float, "Floats")
_ORDER: Final = 3.0  # of the norm that stands for a maximum
_EXPERT_ORDER: Final = 1.5  # experts with few tokens read while others compute, so their times rather add up
_PASSES_OVER_ACTIVATIONS: Final = (
    10  # of norms, rotations, activations and conversions, over one layer's tokens
)


def decode_step_s(
    q: Batch, rates: StepRates, n_running: "Floats", cache_share: "float | Floats" = 1.0
) -> "Floats":
    """One step of decoding with so many requests on one replica of the attention; drafted tokens are checked in it.

    `cache_share` is what lies in the caches, as a share of what lies there half-way through the answers.
    """
    n_checked = n_running * (1 + q.draft_tokens)
    n_everywhere = n_checked * q.replicas
    share = rates.value("decode_mixing_share", q)
    layers, head = _step(
        q, rates, n_tokens=n_everywhere, n_attention_tokens=n_checked, n_sampled=n_everywhere,
        moved_bytes=n_running * (q.cache_bytes * cache_share + q.state_bytes),
        mixing_flop={
            kind: n_checked * flop * (1.0 if kind == "recurrent" else cache_share / share)
            for kind, flop in q.mixing_flop.items()
        },
    )  # fmt: skip
    launches = _launches_s(q, rates)
    # Every drafted token runs through one layer more and through the head.
    drafts = q.draft_tokens * ((layers + launches) / q.counts["layer"] + head)
    beside = rates.value("step_s", q) + n_running * rates.value(
        "request_s", q
    )  # each replica has its own host
    total: Floats = layers + head + launches + drafts + beside
    return total


def tokens_of_a_step(q: Batch, rates: StepRates) -> "Floats":
    """Tokens that one step of decoding yields to each request: 1, and those of its drafts that are accepted."""
    import numpy as np

    accepted = rates.value("draft_acceptance", q)
    found: Floats = np.where(q.draft_tokens > 0, (1 - accepted ** (q.draft_tokens + 1)) / (1 - accepted), 1.0)
    return found


def prompt_step_s(
    q: Batch, rates: StepRates, n_prompts: "float | Floats" = 1.0, decoding_s: "float | Floats" = 0.0
) -> "Floats":
    """A step that reads so many prompts on every replica of the attention, and decodes for so long.

    The host launches all of it while the GPU works, whichever takes longer.
    """
    work = prompt_work_s(
        q,
        rates,
        n_prompts * q.n_prompt,
        {kind: n_prompts * flop for kind, flop in q.prompt_mixing_flop.items()},
        n_prompts * q.prompt_cache_bytes,
    )
    return larger(work + decoding_s, prompt_host_s(q, rates))


def prompt_work_s(
    q: Batch,
    rates: StepRates,
    n_tokens: "Floats",
    mixing_flop: Mapping[str, "Floats"],
    cached_bytes: "float | Floats" = 0.0,
) -> "Floats":
    """What the GPU takes to read so many tokens of prompts on every replica of the attention, and what they attend to."""
    import numpy as np

    layers, head = _step(
        q, rates, n_tokens=n_tokens * q.replicas, n_attention_tokens=n_tokens, n_sampled=np.ones(len(q)),
        moved_bytes=np.zeros(len(q)) + cached_bytes, mixing_flop=mixing_flop,
    )  # fmt: skip
    return layers + head


def prompt_host_s(q: Batch, rates: StepRates) -> "Floats":
    """Prompts run without graphs: the host launches every kernel, while the GPU works on those before."""
    return _of_layers(q, rates, "host_")


def _launches_s(q: Batch, rates: StepRates) -> "Floats":
    return _of_layers(q, rates, "")


def _of_layers(q: Batch, rates: StepRates, prefix: str) -> "Floats":
    """Seconds of every layer, and more for those that launch more."""
    total: Floats = sum(
        q.counts[kind] * rates.value(f"{prefix}layer_s" if kind == "layer" else f"{prefix}{kind}_layer_s", q)
        for kind in LAYERS
    )
    return total


def _step(
    q: Batch,
    rates: StepRates,
    *,
    n_tokens: "Floats",
    n_attention_tokens: "Floats",
    n_sampled: "Floats",
    moved_bytes: "Floats",
    mixing_flop: Mapping[str, "Floats"],
) -> tuple["Floats", "Floats"]:
    """Seconds in the layers and in the head, what is added per launch and per request left out."""
    import numpy as np

    read = rates.value("matrix_read_fraction", q) * q.memory_bytes_per_s
    read_experts = rates.value("expert_read_fraction", q) * q.memory_bytes_per_s
    read_cache = rates.value("cache_read_fraction", q) * q.memory_bytes_per_s
    flop_fraction = rates.value("prompt_flop_fraction", q)

    def part(name: str, n: "Floats") -> "Floats":
        flop = 2 * q.part_elements[name] * n
        return larger(q.part_bytes[name] / read, flop / (q.part_flop_per_s[name] * flop_fraction))

    # Tokens of one text pick alike: of n tokens, 1 + (n - 1) · e pick as if they knew nothing of each other.
    apart = 1.0 + np.maximum(n_tokens - 1.0, 0.0) * rates.value("routing_evenness", q)
    picked = 1.0 - (1.0 - q.active_fraction) ** apart
    # Products over few rows fill the matrix units badly, as if there were more: an expert that is picked has its share
    # of the tokens as rows.
    rows = n_tokens * q.active_fraction / picked + rates.value("expert_half_rows", q)
    # The fullest of the ranks that share the experts out has more of those that are picked than the mean.
    of_rank = np.maximum(q.experts_per_token * picked / q.active_fraction / q.expert_ranks, 1e-9)
    uneven = 1 + rates.value("expert_unevenness", q) * np.sqrt(2 * np.log(q.expert_ranks) / of_rank)
    experts = uneven * larger(
        q.part_bytes["experts"] * np.maximum(picked, q.pads_experts) / read_experts,
        2 * q.part_elements["experts"] * picked * rows
        / (q.part_flop_per_s["experts"] * rates.value("expert_flop_fraction", q)),
        _EXPERT_ORDER,
    )  # fmt: skip
    mixing = larger(
        moved_bytes / read_cache,
        mixing_flop["attended"] / (q.fp16_flop_per_s * rates.value("mixing_flop_fraction", q)),
    )
    for kind in ("indexed", "recurrent"):
        mixing = mixing + mixing_flop[kind] / (q.fp16_flop_per_s * rates.value(f"{kind}_flop_fraction", q))
    activations = q.counts["layer"] * n_attention_tokens * q.hidden * ACTIVATION_BYTES / read
    collectives = q.counts["layer"] * layer_collectives_s(q, rates, n_tokens, n_attention_tokens)
    layers = (
        part("attention", n_attention_tokens)
        + part("dense", n_tokens)
        + experts
        + mixing
        + _PASSES_OVER_ACTIVATIONS * activations
        + collectives
    )
    return layers, part("head", n_sampled)


def larger(a: _Number, b: _Number, order: float = _ORDER) -> _Number:
    """The larger of two times that overlap, but not wholly."""
    total: _Number = (a**order + b**order) ** (1 / order)
    return total

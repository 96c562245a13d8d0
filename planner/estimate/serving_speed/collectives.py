"""Seconds that the ranks of a step spend on telling each other: sums over ranks, and tokens on their way to experts.

A layer sums over the ranks after the attention and after the feed-forward block. Of S bytes over t ranks, g of them in
each of m machines:

    within a machine   2 · S · (g − 1) / g over the link        ring: reduce-scatter and all-gather
    between machines   2 · S / g · (m − 1) / m over the network, each rank its part
    latency            c · log₂ g, and 2 · log₂ m · 5 µs        tree over the machines

The volumes are those of bandwidth-optimal all-reduce (Patarasuk and Yuan 2009; "bus bandwidth" of nccl-tests, which a
one-shot sum of small messages undercuts in latency, so c is fitted); the last line is NCCL's own model (src/graph/
tuning.cc: 2 · log2i(nNodes) · interLat, 5.0 µs for LL over the network).

Where the attention has replicas, each sends its tokens to the ranks of their k experts and gets them back, if that takes
less time than to gather the tokens of all and to scatter the sums. A token goes once to every other machine that has one
of its experts (DeepEP's dispatch), of which (m − 1) · (1 − (1 − 1/m)^k) are expected, and from there over the link.
"""

from typing import TYPE_CHECKING, Any, Final

from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.step_rates import StepRates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

ACTIVATION_BYTES: Final = 2
_REDUCTIONS_PER_LAYER: Final = 2  # after attention and after the feed-forward block
NETWORK_LATENCY_S: Final = 5e-6


def layer_collectives_s(
    q: Batch, rates: StepRates, n_tokens: "Floats", n_attention_tokens: "Floats"
) -> "Floats":
    """Of one layer, for so many tokens over all replicas of the attention, and on one of them; 0 on a single rank."""
    import numpy as np

    near, machines = q.tensor / q.machines, q.machines
    one = q.hidden * ACTIVATION_BYTES
    of_attention = np.minimum(q.attention, near)
    attention_machines = q.attention / of_attention
    summed = seconds_over(
        q, rates,
        near_bytes=n_attention_tokens * one * 2 * (of_attention - 1) / of_attention,
        far_bytes=n_attention_tokens * one * 2 * (attention_machines - 1) / attention_machines / of_attention,
    )  # fmt: skip
    gathered = seconds_over(
        q, rates,
        near_bytes=n_tokens * one * 2 * (near - 1) / near,
        far_bytes=n_tokens * one * 2 * (machines - 1) / machines / near,
    )  # fmt: skip
    k = q.experts_per_token
    sent = seconds_over(
        q, rates,
        near_bytes=n_attention_tokens * one * k * 2 * (near - 1) / near,
        far_bytes=n_attention_tokens * one * 2 * (machines - 1) * (1 - (1 - 1 / machines) ** k),
    )  # fmt: skip
    can_send = (q.replicas > 1) & (k > 0)
    latency = rates.value("collective_s", q) * np.log2(np.maximum(near, 2.0))
    latency = latency + 2 * np.log2(machines) * NETWORK_LATENCY_S
    total = (
        _REDUCTIONS_PER_LAYER * latency + summed + np.where(can_send, np.minimum(gathered, sent), gathered)
    )
    found: Floats = np.where(q.tensor > 1, total, 0.0)
    return found


def seconds_over(q: Batch, rates: StepRates, *, near_bytes: "Floats", far_bytes: "Floats") -> "Floats":
    """Bytes over a rank's link and over its share of the network, one after the other.

    Of both the share is reached that was fitted to links: of networks nothing was measured.
    """
    share = rates.value("link_fraction", q)
    found: Floats = near_bytes / (share * q.link_bytes_per_s) + far_bytes / (share * q.network_bytes_per_s)
    return found

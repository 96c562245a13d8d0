"""What crosses a network when layers lie on machines that llama.cpp reaches by RPC.

ggml-rpc.cpp: tensors are set and graphs started without an answer (a graph that was sent before is named by 16
bytes), and a result is asked for and waited for, one round trip. So every stretch of layers on one remote device
costs a round trip a micro-batch, and for each token the hidden vector there and back (f32) and the row of the
attention mask (f16). The devices of RPC servers come first in the engine's list, so embeddings go there from main memory.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from hardware.interconnect import NetworkLink
from planner.speed.operator_time import OperatorTime
from planner.speed.operators import Layout

_F32_BYTES = 4.0
_MASK_BYTES = 2.0


def network_times(
    layout: Layout,
    links: Sequence[NetworkLink | None],
    hidden_size: int,
    n_tokens: Any,
    n_cached_tokens: Any,
    n_batches: float = 1.0,
) -> Iterator[OperatorTime]:
    """Seconds over the network for each remote device; `links` are those of the layout's GPUs, None for local
    ones; without any all are local.
    """
    for home, _ in groupby((*layout.layers, layout.head)):
        link = links[home] if 0 <= home < len(links) else None
        if link is None:
            continue
        moved = n_tokens * (2 * hidden_size * _F32_BYTES + _MASK_BYTES * n_cached_tokens)
        yield OperatorTime(
            device=home, operator="network_wait", type_class="", ideal_s=link.round_trip_s * n_batches
        )
        yield OperatorTime(device=home, operator="network", type_class="", ideal_s=moved / link.bytes_per_s)

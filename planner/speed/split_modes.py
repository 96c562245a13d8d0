"""Row and tensor split: what each of several GPUs does of a step at the same time, and what crosses between them.

`-sm row` divides the rows of dense matrices alone; every product sends its input to the other GPUs and gathers their
rows, and experts, caches and all else stay with their layers, one GPU after another (docs/multi-gpu.md of llama.cpp).
`-sm tensor`, and `-sm graph` of ik_llama.cpp, divide heads, caches, experts and the vocabulary too; each layer adds up
partial sums twice, after attention and after the feed-forward block (llama.cpp #19378, ik_llama.cpp #1018).
The GPU that takes longest with its share decides, so only its operators are timed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from planner.speed.device import SpeedDevice
from planner.speed.operator_time import F16_BYTES, LAUNCH_S, OperatorTime
from planner.speed.operators import Layout, decode_operators, layout_on_one, prefill_operators
from planner.speed.setting import CURRENT, Setting
from planner.speed.work import ClassWeights, LayerWork, ModelWork

SplitMode = Literal["row", "tensor"]
_F32_BYTES = 4.0
_Q8_1_BYTES = 1.125  # of an activation that a quantized product sends
_SUMS_IN_LAYER = 2
# Of a product in a row split: synchronizing takes as long as so many copies to one other GPU. From two RTX 3090
# (ik_llama.cpp #1107) and eight P40 (llama.cpp #6814).
_PRODUCT_WAITS = 3.5
WAITS = frozenset(("reduce", "reduce_linked", "exchange"))
# What a tensor split divides beside weights: heads, and with them caches and states.
_BY_HEADS = frozenset(("cache", "cache_again", "batch_cache", "state", "attention", "scores", "scan"))


def split_decode(
    model: ModelWork,
    layout: Layout,
    depth_tokens: Any,
    n_sequences: Any = 1,
    n_new_tokens: Any = 1,
    *,
    kv_bytes_per_element: float = F16_BYTES,
) -> tuple[tuple[OperatorTime, ...], Layout]:
    """A decode step as `decode_operators` has it, of the GPU that takes longest, and the layout to read it by."""
    share, one = _slowest(layout)
    times = decode_operators(
        _shared(model, share, layout.mode), one, depth_tokens, n_sequences, n_new_tokens,
        kv_bytes_per_element=kv_bytes_per_element,
    )  # fmt: skip
    crossing = _crossings(model, layout, share, n_sequences * n_new_tokens, 1.0)
    return (*_by_heads(times, share, layout.mode), *crossing), one


def split_prefill(
    model: ModelWork, layout: Layout, n_tokens: int, *, n_ubatch: int = 512, setting: Setting = CURRENT
) -> tuple[tuple[OperatorTime, ...], Layout]:
    """A prompt as `prefill_operators` has it, of the GPU that takes longest, and the layout to read it by."""
    share, one = _slowest(layout)
    times = prefill_operators(
        _shared(model, share, layout.mode), one, n_tokens, n_ubatch=n_ubatch, setting=setting
    )
    crossing = _crossings(model, layout, share, n_tokens, max(1.0, n_tokens / n_ubatch))
    return (*_by_heads(times, share, layout.mode), *crossing), one


def _slowest(layout: Layout) -> tuple[float, Layout]:
    """The share of the GPU that reads its part longest, and a layout of it alone."""
    share, device = max(
        zip(layout.shares, layout.gpus, strict=True), key=lambda pair: pair[0] / pair[1].memory_bytes_per_s
    )
    return share, layout_on_one(device, len(layout.layers))


def _shared(model: ModelWork, share: float, mode: str) -> ModelWork:
    """The part of the weights that one GPU multiplies with; layers that are one object stay one."""
    made: dict[int, LayerWork] = {}
    layers = []
    for layer in model.layers:
        if id(layer) not in made:
            weights = tuple(_part(weight, share, mode) for weight in layer.weights)
            made[id(layer)] = replace(layer, weights=weights)
        layers.append(made[id(layer)])
    return replace(
        model, layers=tuple(layers), head=tuple(_part(weight, share, mode) for weight in model.head)
    )


def _part(weight: ClassWeights, share: float, mode: str) -> ClassWeights:
    if mode == "row" and (weight.is_expert or not weight.n_elements):
        return weight
    return replace(
        weight,
        n_bytes=share * weight.n_bytes,
        n_elements=share * weight.n_elements,
        n_rows=share * weight.n_rows,
    )


def _by_heads(times: tuple[OperatorTime, ...], share: float, mode: str) -> tuple[OperatorTime, ...]:
    if mode == "row":
        return times
    return tuple(
        replace(time, ideal_s=share * time.ideal_s) if time.operator in _BY_HEADS else time for time in times
    )


def _crossings(
    model: ModelWork, layout: Layout, share: float, n_tokens: Any, n_batches: float
) -> tuple[OperatorTime, ...]:
    """Waits for other GPUs in units of a microsecond, and bytes over the link between them."""
    n_gpus = len(layout.gpus)
    if layout.mode == "row":
        n_products, n_bytes = 0.0, 0.0
        for weight in (*(weight for layer in model.layers for weight in layer.weights), *model.head):
            if weight.is_expert or not weight.n_elements:
                continue
            n_products += weight.n_matrices
            n_bytes += weight.n_matrices * model.hidden_size * _Q8_1_BYTES * (n_gpus - 1)
            n_bytes += weight.n_elements / model.hidden_size * _F32_BYTES * (1 - share)
        name, n_waits = "exchange", n_products * (_PRODUCT_WAITS + n_gpus - 1)
    else:
        n_sums = _SUMS_IN_LAYER * len(model.layers)
        # A ring sends and receives (t − 1) / t of the vector twice.
        n_bytes = n_sums * 2 * (n_gpus - 1) / n_gpus * model.hidden_size * _F32_BYTES
        name, n_waits = ("reduce_linked" if layout.has_peer_link else "reduce"), float(n_sums)
    found = [OperatorTime(device=0, operator=name, type_class="", ideal_s=LAUNCH_S * n_waits * n_batches)]
    if layout.peer_bytes_per_s:
        ideal_s = n_bytes * n_tokens / layout.peer_bytes_per_s
        over = "between_linked" if layout.has_peer_link else "between_gpus"
        found.append(OperatorTime(device=0, operator=over, type_class="", ideal_s=ideal_s))
    return tuple(found)


def peer_rate(devices: tuple[SpeedDevice, ...], linked_bytes_per_s: float | None) -> float | None:
    """Bytes per second one way between two GPUs: their own link, or PCI Express at its slowest end."""
    if linked_bytes_per_s is not None:
        return linked_bytes_per_s
    rates: Mapping[int, float] = {
        i: gpu.link_bytes_per_s for i, gpu in enumerate(devices) if gpu.link_bytes_per_s is not None
    }
    return min(rates.values()) if len(rates) == len(devices) else None

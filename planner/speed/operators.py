"""The operators of one step in ideal seconds: bytes over bandwidth, FLOP over peak, launches in microseconds.

Nothing here is fitted. `effects` says by which factors each operator is slower than ideal, `calibration` holds
them. Arguments may be NumPy arrays of depths, prompts or batches; every ideal time then is an array.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hardware.interconnect import NetworkLink
from planner.model.network import Mixer
from planner.model.weight import uneven_read_share
from planner.speed.batched import VECTOR_TOKENS, step_products
from planner.speed.device import SpeedDevice
from planner.speed.kernels import attention_flop_per_s, expert_columns, has_experts_for_vectors
from planner.speed.operator_time import F16_BYTES, LAUNCH_S, OperatorTime, Sums
from planner.speed.pipeline import overlapped
from planner.speed.processor_attention import cache_class, processor_attention
from planner.speed.processor_steps import has_own_products
from planner.speed.products import add_product
from planner.speed.setting import CURRENT, Setting
from planner.speed.work import ClassWeights, LayerWork, ModelWork

_F32_BYTES = 4.0
# Kernels of a layer beside one for each tensor: rotation, cache writes, attention, activation, additions.
_OTHER_KERNELS = 8
# A router's: logits, soft-max, top k, gathering, weighting, summing (build_moe_ffn in llama-graph.cpp).
_ROUTER_KERNELS = 12
_STATE_KERNELS = 12  # convolution, gates, norms, scan of a recurrent layer
_STEP_KERNELS = 10  # embedding, head, sampling, synchronization
# Times that a token's hidden vector is written to or read from memory in a layer, f32.
_ACTIVATION_PASSES = 12
_TILE_TOKENS = 64  # that share a reading of keys and values in a prompt
_SCORE_BYTES = 16  # scores written, read, normalized, read again, without a fused attention kernel
# From here on weights in RAM are copied to the GPU (GGML_OP_OFFLOAD_MIN_BATCH, op_offload in llama-context.cpp).
OFFLOAD_TOKENS = 32

# Backends that signal each other by events, which overlapping micro-batches needs.
_PIPELINED = frozenset(("cuda", "rocm"))

HOST = -1  # index of main memory among the devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which device holds each layer, its experts, and the head: indices into `gpus`, or HOST."""

    gpus: tuple[SpeedDevice, ...]
    host: SpeedDevice | None
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    head: int
    # Row and tensor split (`split_modes`): the GPUs work at once, each on its share.
    mode: Literal["layer", "row", "tensor"] = "layer"
    shares: tuple[float, ...] = ()
    peer_bytes_per_s: float | None = None  # one way between two GPUs
    has_peer_link: bool = False  # other than PCI Express
    networks: tuple[NetworkLink | None, ...] = ()  # to the machine of each GPU; none where all are local

    def device(self, index: int) -> SpeedDevice:
        """A device by its index."""
        if index == HOST:
            assert self.host is not None, "a layout that uses main memory has a host"
            return self.host
        return self.gpus[index]

    @property
    def n_crossings(self) -> int:
        """Times that a token's vector changes devices on its way through the layers."""
        between = sum(a != b for a, b in zip(self.layers, self.layers[1:], strict=False))
        return between + 2 * sum(a != b for a, b in zip(self.layers, self.experts, strict=True))

    @property
    def is_split_with_host(self) -> bool:
        """Whether main memory holds a part of what a GPU would run."""
        return bool(self.gpus) and HOST in (*self.layers, *self.experts)

    @property
    def is_pipeline(self) -> bool:
        """Whether the engine works on several micro-batches at once: not with tensors in main memory."""
        several = len(set(self.layers)) > 1 and not self.is_split_with_host
        return several and all(gpu.backend in _PIPELINED for gpu in self.gpus)


def layout_on_one(device: SpeedDevice, n_layers: int) -> Layout:
    """Everything on one device."""
    home = HOST if device.kind == "cpu" else 0
    gpus = () if device.kind == "cpu" else (device,)
    host = device if device.kind == "cpu" else None
    return Layout(gpus=gpus, host=host, layers=(home,) * n_layers, experts=(home,) * n_layers, head=home)


def decode_operators(
    model: ModelWork,
    layout: Layout,
    depth_tokens: Any,
    n_sequences: Any = 1,
    n_new_tokens: Any = 1,
    *,
    kv_bytes_per_element: float = F16_BYTES,
    cache_type: str = "F16",
    setting: Setting = CURRENT,
) -> tuple[OperatorTime, ...]:
    """`n_new_tokens` for each sequence at a depth of cached tokens; seconds of the whole step.

    Reading: bytes / bandwidth, experts that any of the tokens picks once. What more tokens cost is in `batched`.
    Caches once per sequence, whose new tokens share them, as drafted tokens that are verified do; states are
    read and written once per token.
    """
    n_tokens = n_sequences * n_new_tokens
    sums = Sums()
    for place, weights in _placed_weights(model, layout):
        device = layout.device(place)
        for weight in weights:
            share = uneven_read_share(weight.active_fraction, n_tokens) if weight.is_expert else 1.0
            name = "read_experts" if weight.is_expert else "read"
            sums.add(place, name, weight.type_class, weight.n_bytes * share / device.memory_bytes_per_s)
            for operator, ideal_s in step_products(weight, device, setting, n_tokens):
                sums.add(place, operator, weight.type_class, ideal_s)
            if not has_experts_for_vectors(weight, device):
                few = n_tokens <= VECTOR_TOKENS
                flop = 2 * weight.n_elements * share * expert_columns(device, setting, 1)
                sums.add(place, "tile_experts", weight.type_class, few * flop / device.vector_flop_per_s)
    for (home, _), layer, n in _alike(layout, model):
        device = layout.device(home)
        sums.add(home, "launch", "", LAUNCH_S * n * (layer.n_tensors + _OTHER_KERNELS))
        if layer.has_experts:
            sums.add(home, "launch_router", "", LAUNCH_S * n * _ROUTER_KERNELS)
        if layer.mixer is None:
            continue
        cached = sum(
            cache.entries_read(depth_tokens) * cache.elements_per_entry for cache in layer.mixer.token_caches
        )
        rate = device.memory_bytes_per_s / n
        if layer.mixer.token_caches and has_own_products(device, setting):
            for operator, ideal_s in processor_attention(
                layer.mixer, device, depth_tokens, n_sequences, n_new_tokens, kv_bytes_per_element
            ):
                sums.add(home, operator, cache_class(cache_type), n * ideal_s)
        elif layer.mixer.token_caches:
            reading = cached * (kv_bytes_per_element / rate) * n_sequences
            sums.add(home, "cache", "", reading)
            sums.add(home, "cache_again", "", reading * (_readings(layer.mixer) - 1))
            if not isinstance(n_new_tokens, int) or n_new_tokens > 1:  # they read what one of them has read
                flop = layer.mixer.decode_flop(depth_tokens) * n_sequences * (n_new_tokens - 1)
                sums.add(home, "attention", "", n * flop / device.fp16_flop_per_s)
        if layer.mixer.state_elements:
            moved = 2 * layer.mixer.state_elements * _F32_BYTES * n_tokens
            sums.add(home, "state", "", moved / rate)
            sums.add(home, "launch_state", "", LAUNCH_S * n * _STATE_KERNELS)
    if layout.n_crossings:
        sums.add(0 if layout.gpus else HOST, "crossing", "", LAUNCH_S * layout.n_crossings)
    sums.add(layout.head, "step", "", LAUNCH_S * _STEP_KERNELS)
    return sums.times()


def prefill_operators(
    model: ModelWork,
    layout: Layout,
    n_tokens: int,
    n_past_tokens: Any = 0,
    *,
    n_ubatch: int = 512,
    setting: Setting = CURRENT,
) -> tuple[OperatorTime, ...]:
    """A prompt of `n_tokens` behind `n_past_tokens`, in micro-batches; seconds of the whole prompt.

    Every micro-batch reads the weights (experts that any of its tokens picks) and launches the kernels again.
    Weights in RAM are copied to the first GPU where the engine does so, from 32 tokens on.
    """
    n_batches = max(1.0, n_tokens / n_ubatch)
    in_batch = min(n_tokens, n_ubatch)
    small = n_tokens <= VECTOR_TOKENS
    sums = Sums()
    for place, weights in _placed_weights(model, layout, with_head=False):
        copied = bool(place == HOST and layout.gpus and n_tokens >= OFFLOAD_TOKENS)
        for weight in weights:
            share = uneven_read_share(weight.active_fraction, in_batch) if weight.is_expert else 1.0
            moved = weight.n_bytes * share * n_batches
            runs_on = place
            if copied and (setting.copies_weights or not weight.is_expert):
                runs_on = 0
                link = layout.gpus[0].link_bytes_per_s
                if link is not None:
                    sums.add(0, "copy_weights", "", moved / link)
            add_product(sums, layout.device(runs_on), runs_on, weight, moved, n_tokens, n_batches, setting)
    for weight in model.head:
        moved = weight.n_bytes * n_batches  # one token of each micro-batch is projected at least
        rate = layout.device(layout.head).memory_bytes_per_s
        sums.add(layout.head, "vector_read" if small else "batch_read", weight.type_class, moved / rate)
    for home, layer in zip(layout.layers, model.layers, strict=True):
        _add_mixing(
            sums, layout.device(home), home, model.hidden_size, layer, n_tokens, n_past_tokens,
            n_batches, setting,
        )  # fmt: skip
    if layout.n_crossings:
        moved = layout.n_crossings * n_tokens * model.hidden_size * _F32_BYTES
        link = next((gpu.link_bytes_per_s for gpu in layout.gpus if gpu.link_bytes_per_s), None)
        copies = moved / link if link else 0.0
        place = 0 if layout.gpus else HOST
        sums.add(place, "batch_crossing", "", LAUNCH_S * layout.n_crossings * n_batches + copies)
    return overlapped(sums.times(), n_batches) if layout.is_pipeline else sums.times()


def _add_mixing(
    sums: Sums,
    device: SpeedDevice,
    home: int,
    hidden_size: int,
    layer: LayerWork,
    n_tokens: int,
    n_past_tokens: Any,
    n_batches: float,
    setting: Setting,
) -> None:
    rate = device.memory_bytes_per_s
    passes = _ACTIVATION_PASSES * (2 if layer.has_experts else 1)
    sums.add(home, "activations", "", n_tokens * hidden_size * _F32_BYTES * passes / rate)
    kernels = layer.n_tensors + _OTHER_KERNELS + (_ROUTER_KERNELS if layer.has_experts else 0)
    sums.add(home, "batch_launch", "", LAUNCH_S * kernels * n_batches)
    mixer = layer.mixer
    if mixer is None:
        return
    sums.add(
        home,
        "attention",
        "",
        mixer.prefill_flop(n_tokens, n_past_tokens) / attention_flop_per_s(device, setting),
    )
    if mixer.token_caches:
        halfway = n_past_tokens + n_tokens / 2
        read = sum(cache.entries_read(halfway) * cache.elements_per_entry for cache in mixer.token_caches)
        sums.add(home, "batch_cache", "", read * F16_BYTES * (n_tokens / _TILE_TOKENS) / rate)
    if setting.flash_attention is not True and mixer.token_caches:
        n_scores = n_tokens * (n_past_tokens + n_tokens / 2) * getattr(mixer, "n_heads", 1)
        sums.add(home, "scores", "", n_scores * _SCORE_BYTES / rate)
    if mixer.state_elements:
        sums.add(home, "scan", "", LAUNCH_S * n_tokens / 100)


def _readings(mixer: Mixer) -> float:
    """How often an entry's elements are multiplied with: once for every head that it serves."""
    elements = sum(cache.elements_per_entry for cache in mixer.token_caches)
    return max(1.0, mixer.score_flop_per_cached_token / (2 * elements))


def _alike(layout: Layout, model: ModelWork) -> Iterator[tuple[tuple[int, int], LayerWork, int]]:
    """Layers that are the very same and lie alike: the devices of them and their experts, one, how many."""
    counts: dict[tuple[int, int, int], int] = {}
    seen: dict[int, LayerWork] = {}
    for home, experts, layer in zip(layout.layers, layout.experts, model.layers, strict=True):
        key = (home, experts, id(layer))
        counts[key] = counts.get(key, 0) + 1
        seen[key[2]] = layer
    for (home, experts, which), n in counts.items():
        yield (home, experts), seen[which], n


def _placed_weights(
    model: ModelWork, layout: Layout, *, with_head: bool = True
) -> Sequence[tuple[int, Sequence[ClassWeights]]]:
    """Weights by the device that reads them, those alike added up so that a sweep has few terms."""
    sums: dict[tuple[int, str, bool, float], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 1.0, 0.0])
    for (home, experts), layer, n in _alike(layout, model):
        for weight in layer.weights:
            place = experts if weight.is_expert else home
            entry = sums[place, weight.type_class, weight.is_expert, weight.active_fraction]
            entry[0] += n * weight.n_bytes
            entry[1] += n * weight.n_elements
            entry[2] += n * weight.n_matrices
            entry[3] = max(entry[3], weight.n_experts)
            entry[4] += n * weight.n_rows
    if with_head:
        for weight in model.head:
            entry = sums[layout.head, weight.type_class, False, 1.0]
            entry[0] += weight.n_bytes
            entry[1] += weight.n_elements
            entry[2] += weight.n_matrices
            entry[3] = max(entry[3], weight.n_experts)
    found: dict[int, list[ClassWeights]] = defaultdict(list)
    for (place, name, is_expert, fraction), counted in sums.items():
        n_bytes, n_elements, n_matrices, n_experts, n_rows = counted
        found[place].append(
            ClassWeights(
                type_class=name,
                is_expert=is_expert,
                active_fraction=fraction,
                n_bytes=n_bytes,
                n_elements=n_elements,
                n_matrices=n_matrices,
                n_experts=round(n_experts),
                n_rows=n_rows,
            )
        )
    return tuple(found.items())

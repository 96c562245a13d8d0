"""Compute buffers: llama.cpp's graphs, scheduled and allocated as ggml does it, on shapes alone."""

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from math import prod

from planner.engines.ggml.allocator import GPU_ALIGNMENT, IN_PLACE_OPS, AllocatorRules, gpu_bytes
from planner.engines.ggml.scheduler import compute_buffers
from planner.engines.ggml.tensor import Tensor
from planner.engines.llama_cpp.cache import F16_BYTES
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.graph.context import GraphContext, is_recent
from planner.engines.llama_cpp.graph.network import build
from planner.engines.llama_cpp.graph.plan import GraphLayer, GraphPlan
from planner.engines.llama_cpp.layout import ComputeBuffers, Layout
from planner.engines.llama_cpp.weights import CUDA_KINDS
from planner.model.network import Network
from planner.model.storage import Storage

_OFFLOAD_BATCH = 32  # op_offload_min_batch_size in ggml-cuda.cu, ggml-vulkan.cpp
# What llama.cpp writes over a source beside the common operations (ggml_op_can_inplace in ggml-alloc.c).
IN_PLACE = IN_PLACE_OPS | frozenset(("FILL", "ADD_ID", "CLAMP", "ROPE_BACK", "SILU_BACK"))


def _cuda_bytes(tensor: Tensor) -> int:
    """Bytes of a result on CUDA: an attention over another type than f16 has room for f16 copies of K and V.

    ggml_cuda_flash_attn_ext_get_alloc_size in fattn.cu; values that are a view of the keys (MLA) need none.
    """
    if tensor.op != "FLASH_ATTN_EXT":
        return gpu_bytes(tensor)
    size = tensor.n_bytes
    key, value = tensor.src[1], tensor.src[2]
    copied = [source for source in (key, value) if source.type_name != "F16"]
    if value.root is not None and value.root is key.root:
        copied = copied[:1]
    for source in copied:
        size = -(-size // GPU_ALIGNMENT) * GPU_ALIGNMENT + F16_BYTES * prod(source.ne)
    return size


# Views are never marked as allocated (ggml_gallocr_is_own), so nothing is written over them.
_RULES = AllocatorRules(in_place=IN_PLACE, over_views=False)
_CUDA_RULES = replace(_RULES, gpu_bytes=_cuda_bytes)
PIPELINE_COPIES = 4  # GGML_SCHED_MAX_COPIES
# Layers of one kind on one device repeat each other's use of memory; so many of each kind show it.
_LAYERS_THAT_SHOW_ALL = 3
_REPETITIONS_THAT_SHOW_ALL = 2


class _Same:
    """A model by identity: two readings of one file are two models, and comparing them would take long.

    Where no weight is copied to another device, its types decide nothing: then one network at two presets is the same.
    """

    __slots__ = ("network", "storage", "whatever_types")

    def __init__(self, network: Network, storage: Storage, *, whatever_types: bool) -> None:
        self.network = network
        self.storage = storage
        self.whatever_types = whatever_types

    def __hash__(self) -> int:
        return hash((id(self.network), None if self.whatever_types else id(self.storage)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same) or self.network is not other.network:
            return False
        return self.storage is other.storage or (self.whatever_types and other.whatever_types)


def replayed(
    network: Network, storage: Storage, flags: LlamaCppFlags, layout: Layout, *, pins: bool = True
) -> ComputeBuffers:
    """Bytes on each GPU and in main memory for the largest prompt batch (llama_context::graph_reserve).

    Layers that only repeat others are left out, so that plans of one model that differ in how many layers lie
    where are quick to compare.
    """
    if layout.only_gpu is not None and layout.n_gpus > 1:
        return _on_one(network, storage, flags, layout, layout.only_gpu, pins=pins)
    copies_weights = layout.n_gpus > 0 and (None in (*layout.layers, layout.head) or bool(layout.homes))
    plan = GraphPlan(
        flags=flags,
        layers=_shown_layers(network, storage if copies_weights else None, layout),
        head=layout.head,
        n_gpus=layout.n_gpus,
        gpu_kinds=layout.gpu_kinds,
        whole=all(gpu is not None for gpu in (*layout.layers, layout.head)),
        pipelined=pipelined(flags, layout),
        pins=pins,
    )
    # Presets keep all of a network's tensors; files may have others.
    same = _Same(network, storage, whatever_types=storage.predicted and not copies_weights)
    return _replay(same, plan)


def _on_one(
    network: Network, storage: Storage, flags: LlamaCppFlags, layout: Layout, gpu: int, *, pins: bool
) -> ComputeBuffers:
    """The same with all GPUs but one left out, and their buffers empty."""

    def renamed(old: int | None) -> int | None:
        return None if old is None else 0

    alone = replace(
        layout,
        layers=tuple(map(renamed, layout.layers)),
        head=renamed(layout.head),
        n_gpus=1,
        gpu_kinds=layout.gpu_kinds[gpu : gpu + 1],
        homes=tuple((layer, role, renamed(home)) for layer, role, home in layout.homes),
        only_gpu=None,
    )
    found = replayed(network, storage, flags, alone, pins=pins)
    gpus = tuple(found.gpu_bytes[0] if i == gpu else 0 for i in range(layout.n_gpus))
    return ComputeBuffers(gpu_bytes=gpus, host_bytes=found.host_bytes)


@lru_cache(maxsize=512)
def _replay(model: _Same, plan: GraphPlan) -> ComputeBuffers:
    found = compute_buffers(
        build(GraphContext(model.network, model.storage, plan)),
        plan.n_gpus,
        supports=lambda _device, _node: True,
        offloads=lambda node: plan.flags.op_offload and batch_size(node) >= _OFFLOAD_BATCH,
        rules=_CUDA_RULES if CUDA_KINDS.intersection(plan.gpu_kinds) and is_recent(plan.flags) else _RULES,
        n_copies=PIPELINE_COPIES if plan.pipelined else 1,
    )
    return ComputeBuffers(gpu_bytes=found[:-1], host_bytes=found[-1])


def _shown_layers(network: Network, storage: Storage | None, layout: Layout) -> tuple[GraphLayer, ...]:
    """Of layers that follow each other on one device, the first that show every kind, and the last.

    Each is described by the largest of its kind in `storage`, since copies of weights take the most there; without
    it by the first.
    """
    sizes = {} if storage is None else storage.bytes_by_layer
    largest: dict[int, int] = {}
    kinds: dict[int, int] = {}
    for kind, group in enumerate(network.groups):
        largest[kind] = max(group.layers, key=lambda layer: sizes.get(layer, 0))
        kinds |= dict.fromkeys(group.layers, kind)
    moved: dict[int, tuple[tuple[str, int | None], ...]] = {}
    for layer, role, gpu in layout.homes:
        moved[layer] = (*moved.get(layer, ()), (role, gpu))
    found: list[GraphLayer] = []
    for (gpu, homes), segment in groupby(
        range(network.n_layers), key=lambda i: (layout.layers[i], moved.get(i, ()))
    ):
        shown = _first_and_last(tuple(segment), kinds)
        found += [GraphLayer(largest[kinds[layer]], gpu, homes) for layer in shown]
    return tuple(found)


def _first_and_last(segment: tuple[int, ...], kinds: dict[int, int]) -> tuple[int, ...]:
    """A segment's layers up to where every kind has shown itself, in their own order, and its last ones.

    What is free moves to and fro between one layer and the next, so an even number of layers is left out, and of
    a pattern of kinds whole repetitions.
    """
    row = [kinds[layer] for layer in segment]
    period = _period(row[row.index(row[-1]) :])
    most = _LAYERS_THAT_SHOW_ALL if period == 1 else _REPETITIONS_THAT_SHOW_ALL
    left = {kind: min(most, n) for kind, n in Counter(row).items()}
    shown = 0
    while any(n > 0 for n in left.values()):
        left[row[shown]] -= 1
        shown += 1
    step = 2 * period
    skipped = max(0, len(segment) - shown - 1) // step * step
    return (*segment[:shown], *segment[shown + skipped :])


def _period(row: list[int]) -> int:
    """After how many layers the kinds repeat themselves; all of them where they do not."""
    return next(p for p in range(1, len(row) + 1) if all(a == b for a, b in zip(row, row[p:], strict=False)))


def pipelined(flags: LlamaCppFlags, layout: Layout) -> bool:
    """Whether several GPUs work on successive batches at once, which takes copies of every input.

    llama-context.cpp: more than one device, everything offloaded, split by layers, no tensor overrides.
    """
    whole = all(gpu is not None for gpu in (*layout.layers, layout.head))
    return layout.n_gpus > 1 and whole and flags.kv_offload and not layout.overridden


def batch_size(node: Tensor) -> int:
    """Tokens that an operation works on at once, as GPU backends count them (get_op_batch_size)."""
    if node.op == "GET_ROWS":
        return 0
    if node.op == "MUL_MAT":
        return node.ne[1]
    if node.op in ("MUL_MAT_ID", "ROPE"):
        return node.ne[2]
    return node.ne[1] * node.ne[2] * node.ne[3]

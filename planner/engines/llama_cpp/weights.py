"""Where each tensor lies and how much room it takes there.

llama-model.cpp (load_tensors), llama-model-loader.cpp (create_tensor): a layer's tensors lie with the layer, the
input table in main memory, the head and the final norm with the last share; overrides (-ot, --n-cpu-moe) go
before. A tied head that computes on a GPU has a copy of the table there. Every tensor starts on a multiple of
the buffer's alignment, and CUDA reads quantized rows to a multiple of 512 elements.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from planner.engines.llama_cpp.layout import Layout
from planner.engines.llama_cpp.split import Split
from planner.model.ggml_types import type_by_name
from planner.model.storage import Storage, StoredWeight

HOST_ALIGNMENT = 32  # TENSOR_ALIGNMENT in ggml.c
# get_alignment of each backend's buffers; Vulkan's is the driver's, 16 on current NVIDIA and AMD.
GPU_ALIGNMENTS = {"cuda": 128, "rocm": 128, "vulkan": 16, "metal": 32}
ROW_PADDING = 512  # MATRIX_ROW_PADDING in ggml-cuda/common.cuh
CUDA_KINDS = frozenset(("cuda", "rocm"))
_INPUT_ROLES = (
    "token_embd",
    "position_embd",
    "token_types",
    "per_layer_token_embd",
)  # LLM_TENSOR_LAYER_INPUT


@dataclass(slots=True)
class DeviceWeights:
    """Bytes of the weights on one device."""

    fixed_bytes: int = 0
    expert_bytes: int = 0
    input_bytes: int = 0  # the token table and its like


def tensor_name(weight: StoredWeight) -> str:
    """The tensor's name as the engine matches it against patterns."""
    name = weight.role if weight.role.endswith((".bias", "ssm_a", ".scale")) else f"{weight.role}.weight"
    return name if weight.layer is None else f"blk.{weight.layer}.{name}"


def is_routed(weight: StoredWeight) -> bool:
    """Whether a tensor is one that --n-cpu-moe moves (LLM_FFN_EXPS_REGEX in common.h), all experts used or not."""
    return weight.role.split(".")[0].endswith("exps")


def n_layers_stored(storage: Storage) -> int:
    """Layers in the file, extra prediction layers included: llama.cpp divides over all of them."""
    return 1 + max((layer for layer in storage.weights_by_layer if layer is not None), default=-1)


def plan_layout(
    storage: Storage, where: Sequence[int | None], split: Split, gpu_kinds: Sequence[str],
    gpu_names: Sequence[str] = (),
) -> Layout:  # fmt: skip
    """The layout of a split: layers and head by device, and every tensor that lies elsewhere."""
    homes: list[tuple[int, str, int | None]] = []
    layers = where[:-1]
    if split.n_cpu_moe:
        homes += [
            (weight.layer, weight.role, None)
            for weight in storage.weights
            if is_routed(weight)
            and weight.layer is not None
            and weight.layer < min(split.n_cpu_moe, len(layers))
        ]
    if split.overrides:
        devices: dict[str, int | None] = {name: index for index, name in enumerate(gpu_names)}
        patterns = [(re.compile(o.pattern), devices.get(o.device)) for o in split.overrides]
        moved = {(layer, role): gpu for layer, role, gpu in homes}
        for weight in storage.weights:
            if weight.layer is None or weight.layer >= len(layers):
                continue
            name = tensor_name(weight)
            found = next(((gpu,) for pattern, gpu in patterns if pattern.search(name)), None)
            if found is not None:
                moved[weight.layer, weight.role] = found[0]
        homes = [(layer, role, gpu) for (layer, role), gpu in moved.items()]
    return Layout(
        layers=tuple(layers), head=where[-1], n_gpus=len(gpu_kinds), gpu_kinds=tuple(gpu_kinds),
        homes=tuple(home for home in homes if home[2] != layers[home[0]]),
        overridden=bool(split.overrides or split.n_cpu_moe) or split.mode != "layer",
        only_gpu=split.main_gpu if split.mode == "none" and gpu_kinds else None,
    )  # fmt: skip


def gpu_tensor_bytes(weight: StoredWeight, kind: str) -> int:
    """Bytes of a tensor in a GPU's buffer."""
    n_bytes = weight.n_bytes
    if kind in CUDA_KINDS and weight.shape[0] % ROW_PADDING:
        ggml_type = type_by_name(weight.type_name)
        if ggml_type.block_elements > 1:
            n_bytes += ggml_type.row_bytes(ROW_PADDING - weight.shape[0] % ROW_PADDING)
    alignment = GPU_ALIGNMENTS.get(kind, HOST_ALIGNMENT)
    return -(-n_bytes // alignment) * alignment


def host_tensor_bytes(weight: StoredWeight) -> int:
    """Bytes of a tensor in main memory."""
    return -(-weight.n_bytes // HOST_ALIGNMENT) * HOST_ALIGNMENT


def place_weights(
    storage: Storage,
    layout: Layout,
    *,
    loads_extra_layers: bool = False,
    tables_with_head: tuple[str, ...] = (),
) -> list[DeviceWeights]:
    """Weights on each GPU and, last, in main memory; tables that lie with the head are named by their roles."""
    found = [DeviceWeights() for _ in range(layout.n_gpus + 1)]
    sums = {kind: WeightSums.of(storage, kind) for kind in {None, *layout.gpu_kinds}}
    kinds: list[str | None] = [*layout.gpu_kinds, None]
    moved: dict[int, dict[str, int | None]] = {}
    for layer, role, gpu in layout.homes:
        moved.setdefault(layer, {})[role] = gpu
    last = n_layers_stored(storage) if loads_extra_layers else len(layout.layers)
    for layer in range(last):
        gpu = layout.layers[layer] if layer < len(layout.layers) else layout.head
        own = -1 if gpu is None else gpu
        if layer not in moved:
            fixed, experts = sums[kinds[own]].layers.get(layer, (0, 0))
            found[own].fixed_bytes += fixed
            found[own].expert_bytes += experts
            continue
        for weight in storage.weights_by_layer.get(layer, ()):
            target = moved[layer].get(weight.role, gpu)
            where = -1 if target is None else target
            n_bytes = _tensor_bytes(weight, kinds[where])
            if is_routed(weight):
                found[where].expert_bytes += n_bytes
            else:
                found[where].fixed_bytes += n_bytes
    head = -1 if layout.head is None else layout.head
    found[head].fixed_bytes += sums[kinds[head]].head_bytes
    if layout.head is not None and not storage.has_output_head:
        found[head].fixed_bytes += sums[kinds[head]].table_bytes
    found[-1].input_bytes += sums[None].input_bytes
    for weight in storage.weights_by_layer.get(None, ()):
        if layout.head is not None and weight.role in tables_with_head:
            found[-1].input_bytes -= host_tensor_bytes(weight)
            found[head].fixed_bytes += _tensor_bytes(weight, kinds[head])
    return found


def _tensor_bytes(weight: StoredWeight, kind: str | None) -> int:
    return host_tensor_bytes(weight) if kind is None else gpu_tensor_bytes(weight, kind)


@dataclass(frozen=True, slots=True)
class WeightSums:
    """A file's tensors added up as one kind of memory would hold them."""

    layers: dict[int, tuple[int, int]]  # beside the experts, and the experts
    head_bytes: int  # output head and final norm
    table_bytes: int  # the token table alone
    input_bytes: int  # all tables

    @classmethod
    def of(cls, storage: Storage, kind: str | None) -> "WeightSums":
        """The sums, kept for as long as the storage is in use."""
        return _sums(_Same(storage), kind)


class _Same:
    """A storage by identity: comparing a thousand tensors would take longer than adding them up."""

    __slots__ = ("storage",)

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def __hash__(self) -> int:
        return id(self.storage)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.storage is other.storage


@lru_cache(maxsize=16)
def _sums(same: _Same, kind: str | None) -> WeightSums:
    layers: dict[int, tuple[int, int]] = {}
    head = table = tables = 0
    for layer, weights in same.storage.weights_by_layer.items():
        sizes = [(weight, _tensor_bytes(weight, kind)) for weight in weights]
        if layer is not None:
            experts = sum(n_bytes for weight, n_bytes in sizes if is_routed(weight))
            layers[layer] = (sum(n_bytes for _, n_bytes in sizes) - experts, experts)
            continue
        tables = sum(n_bytes for weight, n_bytes in sizes if weight.role in _INPUT_ROLES)
        table = sum(n_bytes for weight, n_bytes in sizes if weight.role == "token_embd")
        head = sum(n_bytes for _, n_bytes in sizes) - tables
    return WeightSums(layers=layers, head_bytes=head, table_bytes=table, input_bytes=tables)

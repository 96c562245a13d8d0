"""What a model needs on each device of a machine, term by term, against what the device has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hardware.spec import Basis, Gpu, Machine
from hardware.units import MIB
from planner.engines.llama_cpp import MAINLINE, Layout, LlamaCppFlags, Rules, Split, layer_gpus
from planner.engines.llama_cpp.cache import padding_bytes
from planner.engines.llama_cpp.weights import (
    CUDA_KINDS,
    DeviceWeights,
    n_layers_stored,
    place_weights,
    plan_layout,
)
from planner.estimate.described_model import DescribedModel
from planner.estimate.tensor_memory import divided, shares_of
from planner.estimate.term import Term, total

# Context, libraries and pools of the driver, which the engine does not report. One measured card showed
# 150 MiB, others 0.3 to 1 GiB; the middle is assumed until a benchmark on the device says otherwise.
DRIVER_BYTES = 512 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Something that memory is allocated on: a GPU or main memory."""

    name: str
    is_gpu: bool
    capacity_bytes: int  # what is free now, or all of it on a machine that is only described
    gpu: Gpu | None = None
    shares_ram: bool = False  # unified memory: GPU and RAM are one pool
    kind: str = "cpu"  # "cuda", "rocm", "vulkan", "metal": the backend; its rules of alignment differ


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLoad:
    """One device and what would lie on it."""

    device: Device
    terms: tuple[Term, ...]

    @property
    def needed_bytes(self) -> int:
        """Sum of the terms."""
        return round(total(self.terms))

    @property
    def free_bytes(self) -> int:
        """What would be left; negative when it does not fit."""
        return self.device.capacity_bytes - self.needed_bytes

    @property
    def fits(self) -> bool:
        """Whether the device holds it."""
        return self.free_bytes >= 0

    def term_bytes(self, name: str) -> int:
        """Sum of the terms of one name."""
        return round(sum(term.value for term in self.terms if term.name == name))


def devices(machine: Machine) -> tuple[tuple[Device, ...], Device | None]:
    """The GPUs whose memory is known, and main memory (None when nobody said how much there is)."""
    gpus = tuple(
        Device(
            name=f"GPU {gpu.index}" if gpu.network is None else f"RPC {gpu.index}",
            is_gpu=True,
            capacity_bytes=gpu.memory_bytes if gpu.free_bytes is None else gpu.free_bytes,
            gpu=gpu,
            kind=gpu.backend,
            shares_ram=gpu.accelerator is not None and gpu.accelerator.unified_memory,
        )
        for gpu in machine.gpus
        if gpu.memory_bytes is not None
    )
    memory = machine.memory
    if memory is None:
        return gpus, None
    free = memory.available_bytes if not machine.described else memory.total_bytes
    ram = Device(name="RAM", is_gpu=False, capacity_bytes=min(free, memory.usable_bytes))
    return gpus, ram


def layer_devices(
    n_layers: int, split: Split, gpus: Sequence[Device], n_extra_layers: int = 0
) -> tuple[int | None, ...]:
    """For each layer and then the head, the index of its GPU, or None for RAM."""
    return layer_gpus(n_layers, split, [gpu.capacity_bytes for gpu in gpus], n_extra_layers)


def memory_loads(
    model: DescribedModel,
    flags: LlamaCppFlags,
    split: Split,
    gpus: Sequence[Device],
    ram: Device | None,
    rules: Rules = MAINLINE,
) -> tuple[DeviceLoad, ...]:
    """What lies on each GPU and in RAM for a split; devices that hold nothing are listed too."""
    network, storage = model.network, model.storage
    n_extra = max(0, n_layers_stored(storage) - network.n_layers)
    free = [gpu.capacity_bytes for gpu in gpus]
    where = rules.layer_gpus(network.n_layers, split, free, n_extra)
    layout = plan_layout(storage, where, split, [gpu.kind for gpu in gpus], [gpu.name for gpu in gpus])
    weights = place_weights(
        storage,
        layout,
        loads_extra_layers=flags.loads_extra_layers,
        tables_with_head=rules.tables_with_head(flags),
    )
    caches = _caches(model, flags, rules, layout)
    buffers = rules.compute_buffers(network, storage, flags, layout)
    used = {gpu for gpu in where if gpu is not None}
    loads = []
    for index, device in enumerate(gpus):
        terms: list[Term] = []
        # Prompts are computed on a GPU even if it holds none of the weights.
        if index in used or buffers.gpu_bytes[index]:
            terms = [term for term in _weight_terms(model, weights[index]) if term.value]
            terms += _cache_terms(caches[index], flags)
            terms.append(_compute_term(buffers.gpu_bytes[index]))
            terms.append(
                Term(name="engine and driver", value=DRIVER_BYTES, unit="bytes", basis=Basis.ASSUMED,
                     source="driver context; 0.15 to 1 GiB seen, 0.5 assumed")
            )  # fmt: skip
        loads.append(DeviceLoad(device=device, terms=tuple(terms)))
    if split.mode == "tensor" and len(gpus) > 1:
        by_gpu = divided([load.terms for load in loads], shares_of(free, split.tensor_split))
        loads = [replace(load, terms=terms) for load, terms in zip(loads, by_gpu, strict=True)]
    if ram is not None:
        terms = _weight_terms(model, weights[-1])
        terms += _cache_terms(caches[-1], flags)
        terms.append(_compute_term(buffers.host_bytes))
        terms.append(
            Term(name="output", value=rules.output_bytes(network, flags), unit="bytes", basis=Basis.DERIVED,
                 source="logits of one position per sequence, f32")
        )  # fmt: skip
        ram_terms = tuple(term for term in terms if term.value)
        shared = next((i for i, gpu in enumerate(gpus) if gpu.shares_ram), None)
        if shared is not None:  # one pool: what the host side needs is taken from the same memory
            loads[shared] = DeviceLoad(device=gpus[shared], terms=(*loads[shared].terms, *ram_terms))
        else:
            loads.append(DeviceLoad(device=ram, terms=ram_terms))
    return tuple(loads)


def cache_by_layer(model: DescribedModel, flags: LlamaCppFlags, rules: Rules) -> tuple[list[int], list[int]]:
    """KV cache and recurrent state of each layer, in bytes."""
    network = rules.as_run(model.network)
    kv = [0] * network.n_layers
    state = [0] * network.n_layers
    for group in network.groups:
        group_kv = rules.layer_kv_bytes(group, flags)
        group_state = rules.layer_state_bytes(group, flags)
        for layer in group.layers:
            kv[layer] = group_kv
            state[layer] = group_state
    return kv, state


@dataclass(slots=True)
class _Caches:
    """Cache and state of the layers on one device."""

    kv_bytes: int = 0
    n_kv_layers: int = 0
    state_bytes: int = 0
    n_state_layers: int = 0


def _caches(model: DescribedModel, flags: LlamaCppFlags, rules: Rules, layout: Layout) -> list[_Caches]:
    found = [_Caches() for _ in range(layout.n_gpus + 1)]
    for group in rules.as_run(model.network).groups:
        kv = rules.layer_kv_bytes(group, flags)
        state = rules.layer_state_bytes(group, flags)
        padding = padding_bytes(group, flags)
        for layer in group.layers:
            gpu = layout.layers[layer] if flags.kv_offload else None
            device = found[-1 if gpu is None else gpu]
            device.kv_bytes += kv
            if gpu is not None and layout.gpu_kinds[gpu] in CUDA_KINDS:
                device.kv_bytes += padding
            device.n_kv_layers += kv > 0
            device.state_bytes += state
            device.n_state_layers += state > 0
    return found


def _weight_terms(model: DescribedModel, weights: DeviceWeights) -> list[Term]:
    source = f"{'quantizer rules' if model.storage.predicted else 'tensor table'}, {model.storage.label}"
    basis = Basis.DERIVED if model.storage.predicted else Basis.MEASURED
    terms = [Term(name="weights", value=weights.fixed_bytes, unit="bytes", basis=basis, source=source)]
    if weights.expert_bytes:
        terms.append(
            Term(name="experts", value=weights.expert_bytes, unit="bytes", basis=basis, source=source)
        )
    if weights.input_bytes:
        terms.append(
            Term(name="embedding", value=weights.input_bytes, unit="bytes", basis=basis,
                 source="llama.cpp keeps the token table in RAM")
        )  # fmt: skip
    return terms


def _cache_terms(caches: _Caches, flags: LlamaCppFlags) -> list[Term]:
    terms = []
    if caches.kv_bytes:
        source = f"{caches.n_kv_layers} layers, {flags.k_type} K and {flags.v_type} V"
        terms.append(
            Term(name="KV cache", value=caches.kv_bytes, unit="bytes", basis=Basis.DERIVED, source=source)
        )
    if caches.state_bytes:
        terms.append(
            Term(name="state", value=caches.state_bytes, unit="bytes", basis=Basis.DERIVED,
                 source=f"{caches.n_state_layers} layers, f32")
        )  # fmt: skip
    return terms


def _compute_term(n_bytes: int) -> Term:
    source = "llama.cpp's graph, as its allocator lays it out"
    return Term(name="compute", value=n_bytes, unit="bytes", basis=Basis.DERIVED, source=source)

"""What a model needs on each device of a machine, term by term, against what the device has."""

from collections.abc import Sequence
from dataclasses import dataclass

from hardware.spec import Basis, Gpu, Machine
from hardware.units import MIB
from planner.engines.llama_cpp import MAINLINE, Layout, LlamaCppFlags, Rules, Split, layer_gpus
from planner.estimate.described_model import DescribedModel
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
            name=f"GPU {gpu.index}",
            is_gpu=True,
            capacity_bytes=gpu.memory_bytes if gpu.free_bytes is None else gpu.free_bytes,
            gpu=gpu,
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


def layer_devices(n_layers: int, split: Split, gpus: Sequence[Device]) -> tuple[int | None, ...]:
    """For each layer and then the head, the index of its GPU, or None for RAM."""
    return layer_gpus(n_layers, split, [gpu.capacity_bytes for gpu in gpus])


def memory_loads(
    model: DescribedModel,
    flags: LlamaCppFlags,
    split: Split,
    gpus: Sequence[Device],
    ram: Device | None,
    rules: Rules = MAINLINE,
) -> tuple[DeviceLoad, ...]:
    """What lies on each GPU and in RAM for a split; devices that hold nothing are listed too."""
    network = model.network
    where = layer_devices(network.n_layers, split, gpus)
    kv, state = cache_by_layer(model, flags, rules)
    layout = Layout(layers=where[:-1], head=where[-1], n_gpus=len(gpus))
    buffers = rules.compute_buffers(network, model.storage, flags, layout)
    loads = []
    for index, device in enumerate(gpus):
        layers = [i for i, gpu in enumerate(where[:-1]) if gpu == index]
        has_head = where[-1] == index
        terms = []
        if layers or has_head:
            terms = _weight_terms(model, layers, split, on_gpu=True, has_head=has_head)
            terms += _cache_terms([kv[i] for i in layers], [state[i] for i in layers], flags)
            terms.append(_compute_term(buffers.gpu_bytes[index], has_head=has_head))
            terms.append(
                Term(name="engine and driver", value=DRIVER_BYTES, unit="bytes", basis=Basis.ASSUMED,
                     source="driver context; 0.15 to 1 GiB seen, 0.5 assumed")
            )  # fmt: skip
        loads.append(DeviceLoad(device=device, terms=tuple(terms)))
    if ram is not None:
        layers = [i for i, gpu in enumerate(where[:-1]) if gpu is None]
        ram_terms = _ram_terms(
            model, flags, split, layers, where, kv, state, buffers.host_bytes,
            rules.output_bytes(network, flags),
        )  # fmt: skip
        shared = next((i for i, gpu in enumerate(gpus) if gpu.shares_ram), None)
        if shared is not None:  # one pool: what the host side needs is taken from the same memory
            loads[shared] = DeviceLoad(device=gpus[shared], terms=(*loads[shared].terms, *ram_terms))
        else:
            loads.append(DeviceLoad(device=ram, terms=tuple(ram_terms)))
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


def _weight_terms(
    model: DescribedModel, layers: Sequence[int], split: Split, *, on_gpu: bool, has_head: bool
) -> list[Term]:
    fixed = sum(model.layers[i].fixed_bytes for i in layers)
    source = f"{'quantizer rules' if model.storage.predicted else 'tensor table'}, {model.storage.label}"
    basis = Basis.DERIVED if model.storage.predicted else Basis.MEASURED
    here = [i for i in layers if not (on_gpu and i < split.n_cpu_moe)]
    if not on_gpu:
        here = list(layers)
    experts = sum(model.layers[i].expert_bytes for i in here)
    if has_head:
        # A tied head is the embedding table itself in RAM, and a copy of it on a GPU.
        head_is_here = on_gpu or model.storage.has_output_head
        fixed += model.head_bytes if head_is_here else model.head_bytes - model.embedding_bytes
        fixed += model.extra_bytes
    terms = [Term(name="weights", value=fixed, unit="bytes", basis=basis, source=source)]
    if experts:
        terms.append(Term(name="experts", value=experts, unit="bytes", basis=basis, source=source))
    return terms


def _cache_terms(kv: Sequence[int], state: Sequence[int], flags: LlamaCppFlags) -> list[Term]:
    terms = []
    if sum(kv):
        source = f"{len([b for b in kv if b])} layers, {flags.k_type} K and {flags.v_type} V"
        terms.append(Term(name="KV cache", value=sum(kv), unit="bytes", basis=Basis.DERIVED, source=source))
    if sum(state):
        n = len([b for b in state if b])
        terms.append(
            Term(name="state", value=sum(state), unit="bytes", basis=Basis.DERIVED, source=f"{n} layers, f32")
        )
    return terms


def _compute_term(n_bytes: int, *, has_head: bool) -> Term:
    source = "llama.cpp rule, logits or attention" if has_head else "llama.cpp rule, mask and activations"
    return Term(name="compute", value=n_bytes, unit="bytes", basis=Basis.DERIVED, source=source)


def _ram_terms(
    model: DescribedModel,
    flags: LlamaCppFlags,
    split: Split,
    layers: Sequence[int],
    where: Sequence[int | None],
    kv: Sequence[int],
    state: Sequence[int],
    host_compute_bytes: int,
    output_bytes: int,
) -> list[Term]:
    has_head = where[-1] is None
    terms = _weight_terms(model, layers, split, on_gpu=False, has_head=has_head)
    moved = [i for i, gpu in enumerate(where[:-1]) if gpu is not None and i < split.n_cpu_moe]
    experts = sum(model.layers[i].expert_bytes for i in moved)
    basis = terms[0].basis
    if experts:
        source = f"{len(moved)} of {model.network.n_layers} layers keep their experts in RAM"
        terms.append(Term(name="experts", value=experts, unit="bytes", basis=basis, source=source))
    terms.append(
        Term(name="embedding", value=model.embedding_bytes, unit="bytes", basis=basis,
             source="llama.cpp keeps the token table in RAM")
    )  # fmt: skip
    terms += _cache_terms([kv[i] for i in layers], [state[i] for i in layers], flags)
    terms.append(_compute_term(host_compute_bytes, has_head=has_head))
    terms.append(
        Term(name="output", value=output_bytes, unit="bytes",
             basis=Basis.DERIVED, source="logits of one position per sequence, f32")
    )  # fmt: skip
    return [term for term in terms if term.value]

"""Speeds of a placed model by the operator-level model (`planner.speed`): its terms, interval and what limits it."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hardware.spec import Basis, Cpu, Gpu, Machine
from hardware.units import TERA, format_rate_bytes_per_s
from planner.engines.llama_cpp import LlamaCppFlags, Split
from planner.errors import MissingFactError
from planner.estimate.memory import Device, layer_devices
from planner.estimate.peer_links import peer_link_bytes_per_s
from planner.estimate.placement import Placement
from planner.estimate.tensor_memory import shares_of
from planner.estimate.term import Interval, Term, total_basis
from planner.model.ggml_types import type_by_name
from planner.speed.device import SpeedDevice, cpu_device, gpu_device
from planner.speed.effects import Phase, least_factor
from planner.speed.factors import Case, Factors, seen_together
from planner.speed.intervals import Knowledge, Spread, choose_spread
from planner.speed.knowing import bounds_of, outer, states_of
from planner.speed.network import network_times
from planner.speed.operator_time import OperatorTime
from planner.speed.operators import (
    HOST,
    Layout,
    decode_operators,
    prefill_operators,
)
from planner.speed.processor_steps import PRODUCTS
from planner.speed.setting import Setting
from planner.speed.split_modes import WAITS, peer_rate, split_decode, split_prefill
from planner.speed.work import ModelWork

__all__ = [
    "ModelledSpeed",
    "Rates",
    "case_rates",
    "decode_case",
    "machine_layout",
    "modelled_decode",
    "modelled_prefill",
    "peak_s",
    "placed_layout",
    "prefill_case",
    "working_threads",
]

_NOMINAL_THREADS = 8  # of a host whose processor nobody named, as in the measurements
# What an operator's time is shown as.
_SHOWN: Mapping[str, str] = {
    "read": "read weights", "read_experts": "read experts", "cache": "read cache", "cache_again": "read cache", "batch_cache": "read cache", "state": "read cache",
    "vector_read": "read weights", "vector_read_experts": "read experts", "batch_read": "read weights",
    "batch_read_experts": "read experts", "multiply": "multiply", "multiply_experts": "multiply",
    "rescale": "multiply", "multiply_library": "multiply", "multiply_library_experts": "multiply",
    "multiply_padding": "multiply", "write_out": "multiply", "call_library": "multiply",
    "vector_multiply": "multiply", "vector_multiply_experts": "multiply", **dict.fromkeys(PRODUCTS, "multiply"),
    "columns": "multiply", "columns_experts": "multiply", "tile_experts": "multiply",
    "find_rows": "multiply", "multiply_idle": "multiply",
    "attend_pairs": "attention", "attend": "attention", "cache_near": "read cache", "attention": "attention", "scores": "attention", "copy_weights": "copy weights", "crossing": "change devices",
    "batch_crossing": "change devices", "reduce": "wait for other GPUs", "reduce_linked": "wait for other GPUs",
    "network": "send over the network", "network_wait": "wait for the network",
    "exchange": "wait for other GPUs", "between_gpus": "wait for other GPUs",
    "between_linked": "wait for other GPUs",
}  # fmt: skip
_LAUNCHES = "launch kernels"
_READING = frozenset(("read weights", "read experts", "read cache"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelledSpeed:
    """Terms in seconds, the interval of the rate, and what takes longest, in words."""

    interval: Interval
    terms: tuple[Term, ...]
    limited_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Tokens per second with bounds; arrays where depths or batches are."""

    low: Any
    expected: Any
    high: Any
    seconds: tuple[Any, ...]  # of each operator
    state: Knowledge
    spread: Spread


def case_rates(
    case: Case, factors: Factors, spreads: Sequence[Spread], n_tokens: Any, *, has_experts: bool
) -> Rates:
    """Rates of `n_tokens` in a step; raises MissingFactError for a kind of step that nobody measured.

    Decoding several tokens in one step is as unsure as decoding one, and as such steps are.
    """
    seconds = factors.seconds(case)
    kind = "offload" if case.layout.is_split_with_host else "moe" if has_experts else "dense"
    bounds = bounds_of(spreads, f"{kind}_{case.phase}", factors, case, seconds)
    if bounds is None:
        raise MissingFactError(f"no {kind} {case.phase} was measured yet; `planner bench` measures this one")
    states = states_of(factors, case)
    batches = choose_spread(spreads, f"{'moe' if has_experts else 'dense'}_batch", *states)
    if any(time.operator in WAITS for time in case.operators):
        # The waits were set by the few splits that are published: no surer than batches, which a fit had not seen.
        bounds = outer(outer(bounds, choose_spread(spreads, f"split_{case.phase}", *states)), batches)
    if any(time.operator == "network_wait" for time in case.operators):
        bounds = outer(bounds, batches)  # nothing published says how far a network's rates are missed
    rate = n_tokens / sum(seconds)
    low, high, spread = bounds.low_ratio, bounds.high_ratio, bounds.spread
    if case.phase == "decode":
        several = n_tokens > 1
        wide = outer(bounds, batches)
        low = low + (wide.low_ratio - low) * several
        high = high + (wide.high_ratio - high) * several
        spread = wide.spread if several is True else spread
    state = spread.knowledge
    # What refits missed by is a ratio; what memory and arithmetic allow is not, and bounds it.
    hoped, fastest = rate * high, n_tokens / peak_s(case)
    fastest = (hoped + fastest - abs(hoped - fastest)) / 2  # the smaller, of arrays too
    return Rates(low=rate * low, expected=rate, high=fastest, seconds=seconds, state=state, spread=spread)


def peak_s(case: Case) -> Any:
    """Seconds of a case at its devices' peaks."""
    peaks = [
        time.ideal_s * least_factor(time.operator, case.layout.device(time.device)) for time in case.operators
    ]
    return sum(seen_together(case.operators, peaks))


def decode_case(
    work: ModelWork,
    layout: Layout,
    flags: LlamaCppFlags,
    depth_tokens: Any,
    n_sequences: Any,
    n_new_tokens: Any = 1,
) -> Case:
    """A step of decoding: `n_sequences`, each with new tokens at a depth of cached ones; all may be arrays."""
    element_bytes = (_element_bytes(flags.k_type) + _element_bytes(flags.v_type)) / 2
    if layout.mode != "layer":
        operators, layout = split_decode(
            work, layout, depth_tokens, n_sequences, n_new_tokens, kv_bytes_per_element=element_bytes
        )
        return _case("decode", operators, layout, work, flags)
    operators = decode_operators(
        work,
        layout,
        depth_tokens,
        n_sequences,
        n_new_tokens,
        kv_bytes_per_element=element_bytes,
        cache_type=flags.k_type,
    )
    n_tokens = n_sequences * n_new_tokens
    crossing = network_times(layout, layout.networks, work.hidden_size, n_tokens, depth_tokens)
    return _case("decode", (*operators, *crossing), layout, work, flags)


def prefill_case(
    work: ModelWork, layout: Layout, flags: LlamaCppFlags, n_prompt_tokens: int, n_past_tokens: int = 0
) -> Case:
    """A whole prompt behind what is cached already, in micro-batches."""
    setting = Setting(flash_attention=flags.flash_attention)
    if layout.mode != "layer":
        operators, layout = split_prefill(
            work, layout, n_prompt_tokens, n_ubatch=flags.n_ubatch, setting=setting
        )
        return _case("prefill", operators, layout, work, flags)
    operators = prefill_operators(
        work, layout, n_prompt_tokens, n_past_tokens, n_ubatch=flags.n_ubatch, setting=setting
    )
    crossing = network_times(
        layout, layout.networks, work.hidden_size, n_prompt_tokens, n_past_tokens + n_prompt_tokens / 2,
        max(1.0, n_prompt_tokens / flags.n_ubatch),
    )  # fmt: skip
    return _case("prefill", (*operators, *crossing), layout, work, flags)


def modelled_decode(
    work: ModelWork,
    placement: Placement,
    machine: Machine,
    factors: Factors,
    spreads: Sequence[Spread],
    depth_tokens: int,
    n_sequences: int = 1,
    n_new_tokens: int = 1,
) -> ModelledSpeed:
    """Decoding new tokens for `n_sequences` together, each at a depth; all tokens of the step count.

    Raises MissingFactError for a device that nothing is known of.
    """
    layout = placed_layout(placement, machine)
    case = decode_case(work, layout, placement.flags, depth_tokens, n_sequences, n_new_tokens)
    return _modelled(case, work, placement, factors, spreads, n_sequences * n_new_tokens)


def modelled_prefill(
    work: ModelWork,
    placement: Placement,
    machine: Machine,
    factors: Factors,
    spreads: Sequence[Spread],
    n_prompt_tokens: int,
) -> ModelledSpeed:
    """A prompt from an empty cache; raises MissingFactError for a device that nothing is known of."""
    layout = placed_layout(placement, machine)
    case = prefill_case(work, layout, placement.flags, n_prompt_tokens)
    return _modelled(case, work, placement, factors, spreads, n_prompt_tokens)


def _element_bytes(type_name: str) -> float:
    return type_by_name(type_name).bits_per_weight / 8


def _case(
    phase: Phase,
    operators: tuple[OperatorTime, ...],
    layout: Layout,
    work: ModelWork,
    flags: LlamaCppFlags,
) -> Case:
    return Case(
        phase=phase,
        operators=operators,
        layout=layout,
        setting=Setting(flash_attention=flags.flash_attention),
        model_key=work.key,
        architecture=work.architecture,
    )


def _modelled(
    case: Case,
    work: ModelWork,
    placement: Placement,
    factors: Factors,
    spreads: Sequence[Spread],
    n_tokens: int,
) -> ModelledSpeed:
    rates = case_rates(case, factors, spreads, n_tokens, has_experts=work.has_experts)
    names = [load.device.name for load in placement.loads if load.device.is_gpu]
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for time, took in zip(case.operators, rates.seconds, strict=True):
        where = "RAM" if time.device == HOST else names[time.device]
        entry = sums[_SHOWN.get(time.operator, _LAUNCHES), where]
        entry[0] += float(took)
        entry[1] += float(time.ideal_s)
    fitted = factors.description or f"operators fitted on {factors.date}"
    source = f"{fitted}; measured before: {_STATES[rates.state]}"
    terms = tuple(
        Term(
            name=f"{what} on {where}",
            value=took,
            unit="s",
            basis=Basis.DERIVED,
            source=_source(what, took, ideal),
        )
        for (what, where), (took, ideal) in sums.items()
    )
    interval = Interval(
        low=float(rates.low),
        expected=float(rates.expected),
        high=float(rates.high),
        basis=total_basis(terms),
        source=f"{source}; {rates.spread.n_groups} groups of measurements that fits had not seen",
    )
    what, where = max(sums, key=lambda key: sums[key][0])
    index = HOST if where == "RAM" else names.index(where)
    limited_by = _limit(what, where, case.layout.device(index))
    return ModelledSpeed(interval=interval, terms=terms, limited_by=limited_by)


def _limit(what: str, where: str, device: SpeedDevice) -> str:
    """What a step waits for longest, as an engineer would say it: "memory bandwidth of GPU 0 (936.2 GB/s)"."""
    if what in _READING:
        said = format_rate_bytes_per_s(device.memory_bytes_per_s)
        return f"RAM bandwidth ({said})" if where == "RAM" else f"memory bandwidth of {where} ({said})"
    processor = "the CPU" if where == "RAM" else where
    if what in ("multiply", "attention"):
        flop_per_s = device.matrix_flop_per_s if what == "multiply" else device.fp16_flop_per_s
        of = "matrix" if what == "multiply" else "attention"
        return f"{of} arithmetic on {processor} ({flop_per_s / TERA:,.1f} TFLOP/s)"
    if what == "copy weights" and device.link_bytes_per_s is not None:
        return f"copying weights from RAM to {where} ({format_rate_bytes_per_s(device.link_bytes_per_s)})"
    if what in ("send over the network", "wait for the network"):
        return f"the network to {where}"
    if what == "wait for other GPUs":
        return "waiting for the other GPUs"
    if what == "change devices":
        return "passing activations between devices"
    return f"kernel launches on {processor}" if device.kind == "gpu" else f"starting operators on {processor}"


_STATES = {
    "both": "device and model",
    "device": "the device, not the model",
    "model": "the model, not the device",
    "neither": "neither device nor model",
    "bench": "this machine with another model, and the model elsewhere",
    "bench_new": "this machine with another model",
}


def _source(what: str, took: float, ideal: float) -> str:
    if what == _LAUNCHES:
        return "kernels started one after another, and element-wise work"
    return f"{ideal / took:.0%} of the stated peak" if took else what


def placed_layout(placement: Placement, machine: Machine) -> Layout:
    """Devices and layers of a placement; raises MissingFactError for a rate that nobody knows."""
    loads = [load.device for load in placement.loads if load.device.is_gpu]
    where = layer_devices(placement.n_layers, placement.split, loads)
    layers = tuple(HOST if gpu is None else gpu for gpu in where[:-1])
    n_cpu_moe = placement.split.n_cpu_moe
    experts = tuple(
        _experts_home(i, HOST if i < n_cpu_moe else home, placement.split, loads)
        for i, home in enumerate(layers)
    )
    head = HOST if where[-1] is None else where[-1]
    needs_host = HOST in (*layers, *experts, head)
    used = {*layers, *experts, head}
    if used == {HOST}:  # a processor alone, whatever else the machine has
        alone = _host(machine, beside_gpu=False)
        return Layout(gpus=(), host=alone, layers=layers, experts=experts, head=head)
    gpus = tuple(_gpu(device) if i in used else _unused(device) for i, device in enumerate(loads))
    layout = Layout(
        gpus=gpus,
        host=_host(machine, beside_gpu=True) if needs_host else None,
        layers=layers,
        experts=experts,
        head=head,
        networks=tuple(device.gpu.network if device.gpu else None for device in loads),
    )
    if placement.split.mode not in ("row", "tensor") or len(gpus) < 2:
        return layout
    return _split_layout(layout, placement, machine, loads)


def _split_layout(
    layout: Layout, placement: Placement, machine: Machine, devices: Sequence[Device]
) -> Layout:
    """The layout of GPUs that work at once; raises MissingFactError with a part in RAM, which nobody measured so."""
    mode = placement.split.mode
    if any(layout.networks):
        raise MissingFactError(f"how fast -sm {mode} is over a network is not modelled; take -sm layer")
    if HOST in (*layout.layers, *layout.experts, layout.head):
        raise MissingFactError(f"how fast -sm {mode} is with a part in RAM is not modelled; take -sm layer")
    if any(gpu.kind == "cpu" for gpu in layout.gpus):
        raise MissingFactError(
            f"-sm {mode} with a GPU that holds no layer is not modelled; leave that GPU out"
        )
    linked = peer_link_bytes_per_s(machine)
    return replace(
        layout,
        mode="row" if mode == "row" else "tensor",
        shares=shares_of([device.capacity_bytes for device in devices], placement.split.tensor_split),
        peer_bytes_per_s=peer_rate(layout.gpus, linked),
        has_peer_link=linked is not None,
    )


def _experts_home(layer: int, home: int, split: Split, gpus: Sequence[Device]) -> int:
    """Where a layer's experts lie once overrides have moved them; the first pattern that matches decides."""
    name = f"blk.{layer}.ffn_up_exps.weight"
    override = next((one for one in split.overrides if re.search(one.pattern, name)), None)
    if override is None:
        return home
    if override.device == "CPU":
        return HOST
    return next((i for i, gpu in enumerate(gpus) if gpu.name == override.device), home)


def machine_layout(machine: Machine, *, on_gpu: bool) -> Layout:
    """A machine's GPUs, or its processor alone, without layers: what names the effects of a step that it ran.

    Raises MissingFactError for a rate that nobody knows.
    """
    if not on_gpu:
        host = _host(machine, beside_gpu=False)
        return Layout(gpus=(), host=host, layers=(), experts=(), head=HOST)
    gpus = tuple(_profiled(gpu, gpu.name) for gpu in machine.gpus)
    return Layout(gpus=gpus, host=None, layers=(), experts=(), head=0)


def _gpu(device: Device) -> SpeedDevice:
    return _profiled(device.gpu, device.name)


def _profiled(gpu: Gpu | None, name: str) -> SpeedDevice:
    accelerator = gpu.accelerator if gpu else None
    name = gpu.name if gpu else name
    if accelerator is None or gpu is None:
        raise MissingFactError(
            f"the memory bandwidth of {name!r} is unknown; `planner bench` measures its effect"
        )
    found = gpu_device(accelerator, gpu.backend)
    if found is None:
        raise MissingFactError(f"the matrix rate of {name!r} is unknown; `planner bench` measures its effect")
    return found


def _unused(device: Device) -> SpeedDevice:
    """A GPU that holds nothing, whose rates do not matter."""
    return cpu_device(device.name, 1.0, 1, beside_gpu=True)


def working_threads(cpu: Cpu) -> int:
    """llama.cpp's own choice: a thread for each physical core that this process may use."""
    return max(1, min(cpu.n_physical_cores or cpu.n_usable_threads, cpu.n_usable_threads))


def _host(machine: Machine, *, beside_gpu: bool) -> SpeedDevice:
    rate = (
        machine.memory_bandwidth.per_s
        if machine.memory_bandwidth is not None
        else machine.cpu_memory_bytes_per_s
    )
    if rate is None:
        what = (
            "the RAM's bandwidth is unknown; add its type, for example DDR5-5600"
            if machine.described
            else "this CPU's memory bandwidth is unknown; measure it once with `planner hardware --measure`"
        )
        raise MissingFactError(what)
    cpu = machine.cpu
    cores = _NOMINAL_THREADS if cpu is None else working_threads(cpu)
    name = cpu.model if cpu else "unnamed"
    known = cpu.instruction_sets if cpu else ()
    return cpu_device(name, rate, cores, beside_gpu=beside_gpu, instruction_sets=known)

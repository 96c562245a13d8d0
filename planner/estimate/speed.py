"""How fast a placed model decodes and reads prompts: a roofline per device, with fitted efficiencies.

Decoding one token reads the weights it uses and the cache so far:
    seconds = Σ devices  read_bytes / (memory_bytes_per_s · e) + overhead_s
Reading n prompt tokens multiplies each with the weights it uses:
    seconds = Σ devices  flop / (flop_per_s · e) + overhead_s
Vendor facts and efficiencies e stay apart: e comes from measurements (`calibration`), or from benchmarks on
this very machine (`local`), which then replace both. Layers on several devices run one after another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hardware.spec import Basis, Machine
from hardware.units import GB, TERA, format_rate_bytes_per_s
from planner.engines import llama_cpp
from planner.engines.llama_cpp.weights import plan_layout
from planner.errors import MissingFactError
from planner.estimate.calibration import (
    Efficiency,
    ModelClass,
    choose_efficiency,
    decode_s_per_token,
    matrix_flop_per_s,
    prefill_s,
)
from planner.estimate.described_model import DescribedModel, LayerWeights
from planner.estimate.local import Correction, LocalRates
from planner.estimate.measurement import BenchRun, Measurement, Phase
from planner.estimate.memory import Device, layer_devices
from planner.estimate.modelled_speed import (
    case_rates,
    decode_case,
    modelled_decode,
    modelled_prefill,
    placed_layout,
)
from planner.estimate.placement import Placement
from planner.estimate.several_tokens import Bounds, several_tokens, tied
from planner.estimate.term import Interval, Term, total, total_basis
from planner.model.network import LayerGroup, Network
from planner.speed.factors import Factors
from planner.speed.intervals import Spread
from planner.speed.power import PowerShare
from planner.speed.work import ModelWork

_FLOP_PER_PARAMETER = 2  # one multiplication and one addition


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedEstimate:
    """A speed with its interval and the seconds it is made of; or the one fact that is missing."""

    tokens_per_s: Interval | None
    terms: tuple[Term, ...]
    limited_by: str | None
    missing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedFacts:
    """What is known about speed: efficiencies fitted on others' machines, and benchmarks on this one."""

    efficiencies: tuple[Efficiency, ...]
    local: LocalRates | None = None
    factors: Factors | None = None  # of every operator, for GPUs and what runs beside them
    spreads: tuple[Spread, ...] = ()
    power: tuple[PowerShare, ...] = ()  # of a GPU's limit, by what it does


@dataclass(frozen=True, slots=True)
class _Part:
    """One device's share: its time with bounds, and how to say it."""

    term: Term
    low_ratio: float
    high_ratio: float
    rate_text: str


class ReadModel(Protocol):
    """What decoding reads of a model; bytes may be arrays, of one network at several quantizations."""

    @property
    def network(self) -> Network:
        """The network."""

    @property
    def layers(self) -> Sequence[LayerWeights]:
        """Bytes of each layer."""

    @property
    def head_bytes(self) -> Any:
        """Bytes of the output head and final norm."""

    @property
    def work(self) -> ModelWork:
        """Its layers as the speed model needs them."""


def decode_read_bytes(model: ReadModel, placement: Placement, depth_tokens: Any) -> tuple[Any, ...]:
    """Bytes one token reads on each of the placement's GPUs and then in RAM, at a depth of cached tokens."""
    gpus = [load.device for load in placement.loads if load.device.is_gpu]
    where = layer_devices(placement.n_layers, placement.split, gpus)
    ram = len(gpus)
    reads: list[Any] = [0.0] * (ram + 1)
    for layer, gpu in enumerate(where[:-1]):
        home = ram if gpu is None else gpu
        reads[home] = reads[home] + model.layers[layer].fixed_read_bytes
        experts_home = ram if layer < placement.split.n_cpu_moe else home
        reads[experts_home] = reads[experts_home] + model.layers[layer].expert_read_bytes
    if placement.split.overrides and isinstance(model, DescribedModel):
        _move_overridden(reads, model, placement.split, where, gpus)
    for group in llama_cpp.as_run(model.network).groups:
        per_layer = _cache_read_bytes(group, placement.flags, depth_tokens)
        for layer in group.layers:
            gpu = where[layer]
            home = ram if gpu is None else gpu
            reads[home] = reads[home] + per_layer
    head = where[-1]
    home = ram if head is None else head
    reads[home] = reads[home] + model.head_bytes
    return tuple(reads)


def _move_overridden(
    reads: list[float],
    model: DescribedModel,
    split: llama_cpp.Split,
    where: Sequence[int | None],
    gpus: Sequence[Device],
) -> None:
    """Tensors that patterns put elsewhere are read there."""
    layout = plan_layout(model.storage, where, split, [gpu.kind for gpu in gpus], [gpu.name for gpu in gpus])
    for layer, role, gpu in layout.homes:
        for weight in model.storage.weights_by_layer.get(layer, ()):
            if weight.role != role or (weight.is_expert and layer < split.n_cpu_moe):
                continue
            home = where[layer]
            reads[len(gpus) if home is None else home] -= weight.read_bytes_per_token
            reads[len(gpus) if gpu is None else gpu] += weight.read_bytes_per_token


def _cache_read_bytes(group: LayerGroup, flags: llama_cpp.LlamaCppFlags, depth_tokens: Any) -> Any:
    """Bytes of caches and state that one token moves in one layer, for one sequence."""
    mixer = group.mixer
    if mixer is None:
        return 0.0
    cached = sum(
        cache.entries_read(depth_tokens) * llama_cpp.entry_bytes(cache, flags) for cache in mixer.token_caches
    )
    # A recurrent state is read and written once per token.
    return cached + 2 * llama_cpp.layer_state_bytes(group, flags)


def decode_speed(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    depth_tokens: int = 0,
    n_sequences: int = 1,
    n_new_tokens: int = 1,
) -> SpeedEstimate:
    """Tokens per second of sequences decoded together, all of them, each at a depth of cached tokens.

    More than one new token for each is what verifying drafted ones takes; all of them count.
    """
    if n_sequences * n_new_tokens > 1:
        return _decode_several(model, placement, machine, facts, depth_tokens, n_sequences, n_new_tokens)
    reads = decode_read_bytes(model, placement, depth_tokens)
    local = facts.local
    if local is not None:

        def read_bytes_at(depth: int) -> float:
            return float(sum(decode_read_bytes(model, placement, depth)))

        marginal = _marginal_bytes_per_s(model, placement, machine, facts)
        known = local.decode(model, placement, read_bytes_at, depth_tokens, marginal)
        if known is not None:
            return _from_local(known, 1)
    gpus = [load.device for load in placement.loads if load.device.is_gpu]
    if facts.factors is not None and _main_gpu(placement) is not None:
        return _decode_by_operators(model, placement, machine, facts, facts.factors, depth_tokens)
    parts = []
    try:
        for device, read_bytes in zip([*gpus, None], reads, strict=True):
            if read_bytes:
                share = read_bytes / sum(reads)
                parts.append(_decode_part(device, machine, facts, model, read_bytes, share))
    except MissingFactError as error:
        by_rate = local.decode_by_rate(placement, sum(reads)) if local else None
        return _missing(error) if by_rate is None else _from_local(by_rate, 1)
    estimate = _summed(parts, 1)
    if local is None:
        return estimate
    expected_s = _expected_decode_s(machine, facts, _main_gpu(placement))
    return _corrected(estimate, local.correction("decode", placement, expected_s), 1)


def _expected_decode_s(
    machine: Machine, facts: SpeedFacts, gpu: Device | None
) -> Callable[[BenchRun, Measurement], float | None]:
    """What a benchmark's decode test would have been expected to take here."""

    def expected_s(run: BenchRun, measured: Measurement) -> float | None:
        if run.read_bytes_per_token is None or measured.n_depth_tokens:
            return None
        efficiency = _efficiency_of(facts, "decode", "moe" if run.is_mixture else "dense", gpu)
        bytes_per_s, _, _ = _bandwidth(gpu, machine)
        per_token = decode_s_per_token(
            run.read_bytes_per_token, bytes_per_s, efficiency.fraction, efficiency.overhead_s
        )
        return per_token * measured.n_tokens

    return expected_s


def decode_rates(
    model: ReadModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    gpu: Device | None,
    depth_tokens: Any,
    n_sequences: Any = 1,
) -> Bounds:
    """The numbers of `decode_speed` for arrays of depths and batches, of a model that lies whole on `gpu` or in RAM.

    Rates are of all sequences together. Raises MissingFactError where a fact is missing.
    """
    local = facts.local
    if facts.factors is not None and gpu is not None and local is not None:
        raise MissingFactError("benchmarks of a GPU correct one model at a time")

    def modelled(n: Any) -> Bounds:
        if facts.factors is None:
            raise MissingFactError("no calibration of llama.cpp's operators is installed")
        case = decode_case(model.work, placed_layout(placement, machine), placement.flags, depth_tokens, n)
        return Bounds.of(
            case_rates(case, facts.factors, facts.spreads, n, has_experts=model.work.has_experts)
        )

    if facts.factors is not None and gpu is not None:
        return modelled(n_sequences)
    single = _processor_rates(model, placement, machine, facts, gpu, depth_tokens)
    if isinstance(n_sequences, int) and n_sequences == 1:
        return single
    return tied(single, modelled(1), modelled(n_sequences), n_sequences)


def _processor_rates(
    model: ReadModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    gpu: Device | None,
    depth_tokens: Any,
) -> Bounds:
    """One sequence at a time by bytes over bandwidth."""
    local = facts.local
    reads = sum(decode_read_bytes(model, placement, depth_tokens))
    kind: ModelClass = "moe" if model.network.is_mixture_of_experts() else "dense"
    try:
        efficiency = _efficiency_of(facts, "decode", kind, gpu)
        bytes_per_s, _, _ = _bandwidth(gpu, machine)
    except MissingFactError:
        by_rate = local.decode_by_rate(placement, reads) if local else None
        if by_rate is None:
            raise
        return Bounds(by_rate.low, by_rate.expected, by_rate.high)
    seconds = decode_s_per_token(reads, bytes_per_s, efficiency.fraction, efficiency.overhead_s)
    found = Bounds(efficiency.low_ratio / seconds, 1 / seconds, efficiency.high_ratio / seconds)
    if local is None:
        return found
    return found.corrected(local.correction("decode", placement, _expected_decode_s(machine, facts, gpu)))


def _decode_several(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    depth_tokens: int,
    n_sequences: int,
    n_new_tokens: int,
) -> SpeedEstimate:
    """Several tokens in one step, of which the operator-level model alone knows what they cost."""
    single = decode_speed(model, placement, machine, facts, depth_tokens)
    if single.tokens_per_s is None:
        return single
    try:
        interval, step = several_tokens(
            model.work, placement, machine, facts.factors, facts.spreads, single.tokens_per_s, depth_tokens,
            n_sequences, n_new_tokens,
        )  # fmt: skip
    except MissingFactError as error:
        return _missing(error)
    stretch = n_sequences * n_new_tokens / interval.expected / total(step.terms)
    terms = tuple(replace(term, value=term.value * stretch) for term in step.terms)
    return SpeedEstimate(tokens_per_s=interval, terms=terms, limited_by=step.limited_by)


def _main_gpu(placement: Placement) -> Device | None:
    return next((load.device for load in placement.loads if load.device.is_gpu and load.terms), None)


def _missing(error: MissingFactError) -> SpeedEstimate:
    return SpeedEstimate(tokens_per_s=None, terms=(), limited_by=None, missing=str(error))


def _corrected(estimate: SpeedEstimate, correction: Correction | None, n_tokens: int) -> SpeedEstimate:
    """The estimate times what benchmarks here ran faster than theirs, with the bounds that this carries."""
    found = estimate.tokens_per_s
    if correction is None or found is None:
        return estimate
    expected = found.expected * correction.factor
    source = (
        f"{correction.n_runs} benchmark{'s' if correction.n_runs > 1 else ''} of other models here ran "
        f"{correction.factor:.2f} times as fast as expected; {correction.spread.source}"
    )
    term = Term(
        name="correction by benchmarks here",
        value=n_tokens / expected - total(estimate.terms),
        unit="s",
        basis=Basis.DERIVED,
        source=source,
    )
    interval = Interval(
        low=expected * correction.spread.low_ratio,
        expected=expected,
        high=expected * correction.spread.high_ratio,
        basis=found.basis,
        source=source,
    )
    return SpeedEstimate(tokens_per_s=interval, terms=(*estimate.terms, term), limited_by=estimate.limited_by)


def _marginal_bytes_per_s(
    model: DescribedModel, placement: Placement, machine: Machine, facts: SpeedFacts
) -> float | None:
    """What one more byte costs where the model lies; None when nobody knows the bandwidth there."""
    gpu = _main_gpu(placement)
    try:
        bytes_per_s, _, _ = _bandwidth(gpu, machine)
        return bytes_per_s * _efficiency(facts, "decode", model, gpu).fraction
    except MissingFactError:
        return None


def _decode_part(
    device: Device | None,
    machine: Machine,
    facts: SpeedFacts,
    model: DescribedModel,
    read_bytes: float,
    share: float,
) -> _Part:
    bytes_per_s, basis, where = _bandwidth(device, machine)
    efficiency = _efficiency(facts, "decode", model, device)
    # Launch overhead grows with the layers a device runs, of which its share of bytes is a fair measure.
    seconds = decode_s_per_token(read_bytes, bytes_per_s, efficiency.fraction, efficiency.overhead_s * share)
    source = (
        f"{read_bytes / GB:.2f} GB at {efficiency.fraction:.0%} of {format_rate_bytes_per_s(bytes_per_s)}; "
        f"{efficiency.n_measurements} measurements on {efficiency.fitted_on}"
    )
    term = Term(name=f"read on {where}", value=seconds, unit="s", basis=_derated(basis), source=source)
    text = f"{where} bandwidth ({format_rate_bytes_per_s(bytes_per_s)})"
    return _Part(term, efficiency.low_ratio, efficiency.high_ratio, text)


def prefill_flop(model: DescribedModel, n_prompt_tokens: int) -> float:
    """FLOP of reading a prompt: 2 · active weights · n, causal attention, and the head for the last token."""
    n = n_prompt_tokens
    flop = _FLOP_PER_PARAMETER * (model.matmul_parameters_per_token * n + model.head_parameters)
    for group in llama_cpp.as_run(model.network).groups:
        if group.mixer is not None:
            flop += len(group.layers) * group.mixer.prefill_flop(n)
    return float(flop)


def prefill_speed(
    model: DescribedModel, placement: Placement, machine: Machine, facts: SpeedFacts, n_prompt_tokens: int
) -> SpeedEstimate:
    """Prompt tokens per second for a prompt of a length, from an empty cache."""

    def flop_at(n: int) -> float:
        return prefill_flop(model, n)

    flop = flop_at(n_prompt_tokens)
    local = facts.local
    if local is not None:
        known = local.prefill(model, placement, flop_at, n_prompt_tokens)
        if known is not None:
            return _from_local(known, n_prompt_tokens)
    split = placement.split
    gpus = [load.device for load in placement.loads if load.device.is_gpu]
    if facts.factors is not None and _main_gpu(placement) is not None:
        return _prefill_by_operators(model, placement, machine, facts, facts.factors, n_prompt_tokens)
    if gpus and (split.n_cpu_moe or split.overrides or 0 < split.n_gpu_layers <= placement.n_layers):
        missing = (
            "prompt speed with part of the weights in RAM is not modelled yet; `planner bench` measures it"
        )
        return SpeedEstimate(tokens_per_s=None, terms=(), limited_by=None, missing=missing)
    where = layer_devices(placement.n_layers, split, gpus)
    parts = []
    try:
        for index, device in enumerate([*gpus, None]):
            home = index if device is not None else None
            n_layers = sum(1 for gpu in where[:-1] if gpu == home)
            if n_layers:
                share = n_layers / placement.n_layers
                parts.append(_prefill_part(device, machine, facts, model, flop, share))
    except MissingFactError as error:
        by_rate = local.prefill_by_rate(placement, flop / n_prompt_tokens) if local else None
        return _missing(error) if by_rate is None else _from_local(by_rate, n_prompt_tokens)
    estimate = _summed(parts, n_prompt_tokens)
    if local is None:
        return estimate
    gpu = _main_gpu(placement)

    def expected_s(run: BenchRun, measured: Measurement) -> float | None:
        if run.matmul_parameters_per_token is None:
            return None
        # A processor's kernels differ by type up to sevenfold (docs/calibration.md): only like speaks for like.
        if gpu is None and run.quantization != model.storage.label:
            return None
        efficiency = _efficiency_of(facts, "prefill", "moe" if run.is_mixture else "dense", gpu)
        flop_per_s, _, _ = _matrix_rate(gpu, machine)
        run_flop = _FLOP_PER_PARAMETER * run.matmul_parameters_per_token * measured.n_tokens
        return prefill_s(run_flop, flop_per_s, efficiency.fraction, efficiency.overhead_s)

    return _corrected(estimate, local.correction("prefill", placement, expected_s), n_prompt_tokens)


def _decode_by_operators(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    factors: Factors,
    depth_tokens: int,
) -> SpeedEstimate:
    """Decode speed by the operator-level model, corrected by benchmarks of other models here."""
    local = facts.local
    try:
        found = modelled_decode(model.work, placement, machine, factors, facts.spreads, depth_tokens)
    except MissingFactError as error:
        reads = decode_read_bytes(model, placement, depth_tokens)
        by_rate = local.decode_by_rate(placement, sum(reads)) if local else None
        return _missing(error) if by_rate is None else _from_local(by_rate, 1)
    estimate = SpeedEstimate(tokens_per_s=found.interval, terms=found.terms, limited_by=found.limited_by)
    if local is None:
        return estimate
    here = sum(decode_read_bytes(model, placement, 0))
    reading = sum(term.value for term in found.terms if term.name.startswith("read"))
    rest = total(found.terms) - reading

    def expected_s(run: BenchRun, measured: Measurement) -> float | None:
        # Another model's bytes at the rate of this one's, with as many launches.
        if run.read_bytes_per_token is None or measured.n_depth_tokens:
            return None
        return float((reading * run.read_bytes_per_token / here + rest) * measured.n_tokens)

    return _corrected(estimate, local.correction("decode", placement, expected_s), 1)


def _prefill_by_operators(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    factors: Factors,
    n_prompt_tokens: int,
) -> SpeedEstimate:
    """Prompt speed by the operator-level model, corrected by benchmarks of other models here."""
    local = facts.local
    flop_per_token = prefill_flop(model, n_prompt_tokens) / n_prompt_tokens
    try:
        found = modelled_prefill(model.work, placement, machine, factors, facts.spreads, n_prompt_tokens)
    except MissingFactError as error:
        by_rate = local.prefill_by_rate(placement, flop_per_token) if local else None
        return _missing(error) if by_rate is None else _from_local(by_rate, n_prompt_tokens)
    estimate = SpeedEstimate(tokens_per_s=found.interval, terms=found.terms, limited_by=found.limited_by)
    if local is None:
        return estimate
    per_flop = total(found.terms) / (flop_per_token * n_prompt_tokens)

    def expected_s(run: BenchRun, measured: Measurement) -> float | None:
        if run.matmul_parameters_per_token is None:
            return None
        flop = _FLOP_PER_PARAMETER * run.matmul_parameters_per_token * measured.n_tokens
        return flop * per_flop

    return _corrected(estimate, local.correction("prefill", placement, expected_s), n_prompt_tokens)


def _prefill_part(
    device: Device | None,
    machine: Machine,
    facts: SpeedFacts,
    model: DescribedModel,
    flop: float,
    share: float,
) -> _Part:
    flop_per_s, basis, where = _matrix_rate(device, machine)
    efficiency = _efficiency(facts, "prefill", model, device)
    # FLOP and overhead are shared by layers, as the layers are.
    seconds = share * prefill_s(flop, flop_per_s, efficiency.fraction, efficiency.overhead_s)
    source = (
        f"{share * flop / TERA:.2f} TFLOP at {efficiency.fraction:.0%} of {flop_per_s / TERA:.2f} TFLOP/s; "
        f"{efficiency.n_measurements} measurements on {efficiency.fitted_on}"
    )
    term = Term(name=f"multiply on {where}", value=seconds, unit="s", basis=_derated(basis), source=source)
    text = f"{where} arithmetic ({flop_per_s / TERA:.1f} TFLOP/s)"
    return _Part(term, efficiency.low_ratio, efficiency.high_ratio, text)


def _bandwidth(device: Device | None, machine: Machine) -> tuple[float, Basis, str]:
    if device is not None:
        accelerator = device.gpu.accelerator if device.gpu else None
        if accelerator is None:
            name = device.gpu.name if device.gpu else device.name
            raise MissingFactError(
                f"the memory bandwidth of {name!r} is unknown; `planner bench` measures its effect"
            )
        return accelerator.memory_bytes_per_s, Basis.VENDOR, device.name
    if machine.memory_bandwidth is not None:
        return machine.memory_bandwidth.per_s, Basis.MEASURED, "RAM"
    if machine.cpu_memory_bytes_per_s is not None:
        return machine.cpu_memory_bytes_per_s, machine.cpu_memory_basis or Basis.DERIVED, "RAM"
    raise MissingFactError(_unknown_ram_rate(machine, "memory bandwidth"))


def _matrix_rate(device: Device | None, machine: Machine) -> tuple[float, Basis, str]:
    if device is not None:
        accelerator = device.gpu.accelerator if device.gpu else None
        rate = matrix_flop_per_s(accelerator.dense_flop_per_s) if accelerator else None
        if rate is None:
            name = device.gpu.name if device.gpu else device.name
            raise MissingFactError(
                f"the matrix rate of {name!r} is unknown; `planner bench` measures its effect"
            )
        return rate, Basis.VENDOR, device.name
    if machine.matrix_throughput is not None:
        return machine.matrix_throughput.per_s, Basis.MEASURED, "CPU"
    raise MissingFactError(_unknown_ram_rate(machine, "matrix throughput"))


def _unknown_ram_rate(machine: Machine, what: str) -> str:
    if machine.described:
        if what == "memory bandwidth":
            return "the RAM's bandwidth is unknown; add its type, for example DDR5-5600"
        return f"the CPU's {what} is unknown for a machine that is only described"
    return f"this CPU's {what} is unknown; measure it once with `planner hardware --measure`"


def _efficiency(facts: SpeedFacts, phase: Phase, model: DescribedModel, device: Device | None) -> Efficiency:
    kind: ModelClass = "moe" if model.network.is_mixture_of_experts() else "dense"
    return _efficiency_of(facts, phase, kind, device)


def _efficiency_of(facts: SpeedFacts, phase: Phase, kind: ModelClass, device: Device | None) -> Efficiency:
    backend, family = "cpu", "*"
    if device is not None and device.gpu is not None:
        backend = device.gpu.backend
        family = device.gpu.accelerator.architecture if device.gpu.accelerator else "*"
    return choose_efficiency(
        facts.efficiencies, phase=phase, model_class=kind, backend=backend, family=family
    )


def _derated(basis: Basis) -> Basis:
    """A measured or vendor rate times a fitted efficiency is a derived figure."""
    return Basis.DERIVED if basis in (Basis.MEASURED, Basis.VENDOR) else basis


def _summed(parts: Sequence[_Part], n_tokens: int) -> SpeedEstimate:
    """The sum of the parts' times; bounds are the parts' own, each weighted by its share of the time."""
    terms = tuple(part.term for part in parts)
    seconds = total(terms)
    low = sum(part.term.value / part.low_ratio for part in parts)
    high = sum(part.term.value / part.high_ratio for part in parts)
    slowest = max(parts, key=lambda part: part.term.value)
    interval = Interval(
        low=n_tokens / low,
        expected=n_tokens / seconds,
        high=n_tokens / high,
        basis=total_basis(terms),
        source=slowest.term.source,
    )
    return SpeedEstimate(tokens_per_s=interval, terms=terms, limited_by=slowest.rate_text)


def _from_local(interval: Interval, n_tokens: int) -> SpeedEstimate:
    term = Term(
        name="benchmark here",
        value=n_tokens / interval.expected,
        unit="s",
        basis=interval.basis,
        source=interval.source,
    )
    return SpeedEstimate(tokens_per_s=interval, terms=(term,), limited_by=None)

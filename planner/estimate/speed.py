"""How fast a placed model decodes and reads prompts.

`planner.speed` times every operator, with effects that measurements of others and benchmarks on this very machine have
taught. A file that was benchmarked here keeps its own measurement, carried to another depth or length by the same
model. On a device whose rates nobody knows, other files get the rate per byte or FLOP of the benchmarks here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hardware.spec import Machine
from planner.engines import llama_cpp
from planner.engines.llama_cpp.weights import plan_layout
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel, LayerWeights
from planner.estimate.local import LocalRates
from planner.estimate.measurement import Phase
from planner.estimate.memory import Device, layer_devices
from planner.estimate.modelled_speed import (
    ModelledSpeed,
    case_rates,
    decode_case,
    modelled_decode,
    modelled_prefill,
    placed_layout,
)
from planner.estimate.own_batches import own_batches, with_own_batches
from planner.estimate.placement import Placement
from planner.estimate.several_tokens import Bounds, several_tokens
from planner.estimate.term import Interval, Term, total
from planner.model.network import LayerGroup, Network
from planner.speed.factors import Factors
from planner.speed.intervals import Spread, choose_spread
from planner.speed.power import PowerShare
from planner.speed.work import ModelWork

_FLOP_PER_PARAMETER = 2  # one multiplication and one addition
_NOTHING_MEASURED = Factors(effects=())


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedEstimate:
    """A speed with its interval and the seconds it is made of; or the one fact that is missing."""

    tokens_per_s: Interval | None
    terms: tuple[Term, ...]
    limited_by: str | None
    missing: str | None = None


@dataclass(frozen=True, kw_only=True)
class SpeedFacts:
    """What is known about speed: effects and intervals fitted to measurements, and benchmarks on this machine."""

    factors: Factors = _NOTHING_MEASURED
    spreads: tuple[Spread, ...] = ()
    local: LocalRates | None = None
    power: tuple[PowerShare, ...] = ()  # of a GPU's limit, by what it does


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

    def modelled(depth: int) -> ModelledSpeed:
        return modelled_decode(model.work, placement, machine, facts.factors, facts.spreads, depth)

    def read_bytes(depth: int) -> float:
        return float(sum(decode_read_bytes(model, placement, depth)))

    own = None if facts.local is None else facts.local.of_file("decode", model, placement)
    if own is not None:
        # A test that generates n tokens from a depth sees that depth plus n/2 on average.
        middle = own.measured.n_depth_tokens + own.measured.n_generated_tokens // 2
        scale = _work_ratio(modelled, read_bytes, middle, depth_tokens)
        return _from_local(own.interval(scale=scale), 1)
    try:
        return _estimate(modelled(depth_tokens))
    except MissingFactError as error:
        by_rate = _decode_by_rate(facts, model, placement, read_bytes(depth_tokens))
        return _missing(error) if by_rate is None else _from_local(by_rate, 1)


def decode_rates(
    model: ReadModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    depth_tokens: Any,
    n_sequences: Any = 1,
) -> Bounds:
    """The numbers of `decode_speed` for arrays of depths and batches, of models that have no file benchmarked here.

    Rates are of all sequences together. Raises MissingFactError where a fact is missing.
    """
    try:
        layout = placed_layout(placement, machine)
        case = decode_case(model.work, layout, placement.flags, depth_tokens, n_sequences)
        has_experts = model.work.has_experts
        found = case_rates(case, facts.factors, facts.spreads, n_sequences, has_experts=has_experts)
    except MissingFactError:
        if not isinstance(n_sequences, int) or n_sequences != 1:
            raise
        reads = sum(decode_read_bytes(model, placement, depth_tokens))
        by_rate = _decode_by_rate(facts, model, placement, reads)
        if by_rate is None:
            raise
        return Bounds.of(by_rate)
    return Bounds.of(found)


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

    def modelled(n: int, n_new: int, depth: int, one: Interval) -> tuple[Interval, ModelledSpeed]:
        return several_tokens(
            model.work, placement, machine, facts.factors, facts.spreads, one, depth, n, n_new
        )

    def expected(n: int, depth: int) -> float:
        alone = decode_speed(model, placement, machine, facts, depth).tokens_per_s
        assert alone is not None
        return modelled(n, 1, depth, alone)[0].expected

    try:
        interval, step = modelled(n_sequences, n_new_tokens, depth_tokens, single.tokens_per_s)
        if n_new_tokens == 1:
            batches = own_batches(facts.local, model, placement, expected)
            interval = with_own_batches(interval, n_sequences, batches)
    except MissingFactError as error:
        return _missing(error)
    stretch = n_sequences * n_new_tokens / interval.expected / total(step.terms)
    terms = tuple(replace(term, value=term.value * stretch) for term in step.terms)
    return SpeedEstimate(tokens_per_s=interval, terms=terms, limited_by=step.limited_by)


def _decode_by_rate(
    facts: SpeedFacts, model: ReadModel, placement: Placement, read_bytes: Any
) -> Interval | None:
    spread = _rate_spread(facts, model, "decode")
    return facts.local.decode_by_rate(placement, read_bytes, spread) if facts.local else None


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

    def modelled(n: int) -> ModelledSpeed:
        return modelled_prefill(model.work, placement, machine, facts.factors, facts.spreads, n)

    def flop(n: int) -> float:
        return prefill_flop(model, n)

    own = None if facts.local is None else facts.local.of_file("prefill", model, placement)
    if own is not None:
        n_measured = own.measured.n_prompt_tokens
        scale = _work_ratio(modelled, flop, n_measured, n_prompt_tokens) * n_prompt_tokens / n_measured
        return _from_local(own.interval(scale=scale), n_prompt_tokens)
    try:
        return _estimate(modelled(n_prompt_tokens))
    except MissingFactError as error:
        spread = _rate_spread(facts, model, "prefill")
        per_token = flop(n_prompt_tokens) / n_prompt_tokens
        by_rate = facts.local.prefill_by_rate(placement, per_token, spread) if facts.local else None
        return _missing(error) if by_rate is None else _from_local(by_rate, n_prompt_tokens)


def _work_ratio(
    modelled: Callable[[int], ModelledSpeed], work: Callable[[int], float], measured: int, asked: int
) -> float:
    """How much longer what was measured takes than what is asked: by the model, else by bytes or FLOP."""
    if measured == asked:
        return 1.0
    try:
        return total(modelled(measured).terms) / total(modelled(asked).terms)
    except MissingFactError:
        return work(measured) / work(asked)


def _rate_spread(facts: SpeedFacts, model: ReadModel, phase: Phase) -> Spread | None:
    kind = "moe" if model.network.is_mixture_of_experts() else "dense"
    return choose_spread(facts.spreads, f"{kind}_{phase}", "bench_rate")


def _estimate(found: ModelledSpeed) -> SpeedEstimate:
    return SpeedEstimate(tokens_per_s=found.interval, terms=found.terms, limited_by=found.limited_by)


def _missing(error: MissingFactError) -> SpeedEstimate:
    return SpeedEstimate(tokens_per_s=None, terms=(), limited_by=None, missing=str(error))


def _from_local(interval: Interval, n_tokens: int) -> SpeedEstimate:
    term = Term(
        name="benchmark here",
        value=n_tokens / interval.expected,
        unit="s",
        basis=interval.basis,
        source=interval.source,
    )
    return SpeedEstimate(tokens_per_s=interval, terms=(term,), limited_by=None)

"""What fine-tuning needs on each GPU and in RAM, term by term, with the bounds of what nobody can derive."""

from collections.abc import Sequence
from dataclasses import dataclass

from hardware.spec import Basis
from hardware.units import GIB, GIGA, MIB
from planner.engines.tuning.activations import StepActivations, step_activations
from planner.engines.tuning.adapters import Adapter, layer_adapters
from planner.engines.tuning.base_weights import base_weights, trained_base
from planner.engines.tuning.optimizers import OPTIMIZERS, Trained, optimizer_bytes
from planner.engines.tuning.settings import TuningSettings
from planner.engines.tuning.sharding import buffer_bytes, gathered_bytes, share_bytes, shares
from planner.estimate.term import Interval, Term, total_basis
from planner.model.network import LayerGroup, Network
from planner.model.weight import Use

# The driver's context with the libraries that training loads: 141 MiB on a T4 with CUDA 13, which loads kernels as
# they are needed; about 2 GiB is what published totals of 2023 leave unexplained at short lengths. Low, expected,
# high; and what NCCL adds where several GPUs talk.
CONTEXT_BYTES = (140 * MIB, 600 * MIB, 2 * GIB)
NCCL_BYTES = (100 * MIB, 300 * MIB, 1 * GIB)
# What PyTorch's allocator reserves beyond what is in use, as a share of what comes and goes within a step: 10th,
# 50th and 90th percentile of 57 runs on a GPU (docs/tuning.md).
ALLOCATOR_SHARE = (0.08, 0.25, 0.45)
# The formulas are within 2 % for the versions that they were read from. Compiled models hold less; transformers
# before 4.45 kept another FP32 copy of the logits.
ACTIVATION_RATIO = (0.8, 1.0, 1.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningTerm:
    """One part of the memory, with the range it may lie in; low = high for what is counted exactly."""

    term: Term
    low_bytes: float
    high_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningEstimate:
    """The memory of one way of tuning, at the largest moment of a step."""

    settings: TuningSettings
    trained_parameters: int
    moment: str
    gpu_terms: tuple[TuningTerm, ...]  # on each GPU
    host_terms: tuple[TuningTerm, ...]  # in RAM, of all GPUs together

    @property
    def gpu(self) -> Interval:
        """What each GPU needs: all that the driver sees of the process."""
        return _interval(self.gpu_terms)

    @property
    def reserved(self) -> Interval:
        """What PyTorch's allocator takes from the driver, as torch.cuda.max_memory_reserved counts."""
        return _interval([item for item in self.gpu_terms if item.term.name != CONTEXT])

    @property
    def allocated(self) -> Interval:
        """What tensors take at the peak, as torch.cuda.max_memory_allocated counts."""
        return _interval([item for item in self.gpu_terms if item.term.name not in OVERHEAD])

    @property
    def host_bytes(self) -> float:
        """What RAM must hold for all GPUs together."""
        return sum(item.term.value for item in self.host_terms)


SUB_GROUP_PARAMETERS = GIGA  # DeepSpeed sub_group_size
CONTEXT, ALLOCATOR = "context", "allocator"
OVERHEAD = (CONTEXT, ALLOCATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """Whole-model bytes of what a step needs of parameters, before anything is divided."""

    weight_bytes: float
    cast_bytes: float  # 16-bit copies that autocast keeps of FP32 weights through a forward pass
    weight_parameters: int
    layer_weight_bytes: float  # of the largest layer
    outer_weight_bytes: float
    adapter_bytes: float
    gradient_bytes: float
    outer_gradient_bytes: float
    layer_gradient_bytes: float
    master_bytes: float
    optimizer_bytes: float
    trained_parameters: int


def tuning_estimate(
    network: Network, settings: TuningSettings, *, quantizes_experts: bool = True
) -> TuningEstimate:
    """The terms at the largest moment: at the loss, in a layer's backward pass, or at the optimizer's step."""
    adapted = _adapted(network, settings)
    state = _state(network, settings, adapted, quantizes_experts=quantizes_experts)
    step = step_activations(network, adapted, settings)
    resident = _resident(settings, state, network.hidden_size)
    moments = {name: (*resident, *more) for name, more in _moments(settings, state, step).items()}
    moment = max(moments, key=lambda name: _expected(moments[name]))
    terms = moments[moment]
    dynamic = max(
        sum(item.term.value for item in more if not item.term.name.startswith("gradients"))
        for more in _moments(settings, state, step).values()
    )
    terms = (*terms, *_overhead(settings, dynamic))
    return TuningEstimate(
        settings=settings,
        trained_parameters=state.trained_parameters,
        moment=moment,
        gpu_terms=tuple(item for item in terms if item.term.value),
        host_terms=tuple(item for item in _host(settings, state, step) if item.term.value),
    )


def _adapted(
    network: Network, settings: TuningSettings
) -> tuple[tuple[LayerGroup, tuple[Adapter, ...]], ...]:
    if settings.trains_base:
        return tuple((group, ()) for group in network.groups)
    return layer_adapters(
        network, rank=settings.rank, targets=settings.targets, experts=settings.expert_adapters
    )


def _state(
    network: Network,
    settings: TuningSettings,
    adapted: Sequence[tuple[LayerGroup, Sequence[Adapter]]],
    *,
    quantizes_experts: bool,
) -> _State:
    base = tuple(base_weights(network, settings, experts_too=quantizes_experts))
    by_layer: dict[int, float] = {}
    outer_bytes = float(sum(item.n_bytes for item in base if not item.in_layers))
    for group, _ in adapted:
        weights = group.weights(network.hidden_size)
        sizes = [item.n_bytes / item.n for item in base if item.in_layers and item.weight in weights]
        by_layer[id(group)] = sum(sizes)
    trained = tuple(trained_base(network)) if settings.trains_base else tuple(_adapter_tensors(adapted))
    n_trained = sum(item.parameters for item in trained)
    outer_parameters = sum(weight.parameters for weight in network.outer) if settings.trains_base else 0
    largest = max((_layer_parameters(network, group, own, settings) for group, own in adapted), default=0)
    gradient = _gradient_bytes(settings)
    masters = settings.trains_base and settings.precision == "master"
    return _State(
        weight_bytes=float(sum(item.n_bytes for item in base)),
        cast_bytes=2.0 * _cast_parameters(network) if _caches_casts(settings) else 0.0,
        weight_parameters=sum(item.n * item.weight.parameters for item in base),
        layer_weight_bytes=max(by_layer.values(), default=0.0),
        outer_weight_bytes=outer_bytes,
        adapter_bytes=0.0 if settings.trains_base else float(settings.adapter_bytes * n_trained),
        gradient_bytes=float(gradient * n_trained),
        outer_gradient_bytes=float(gradient * outer_parameters),
        layer_gradient_bytes=float(gradient * largest),
        master_bytes=4.0 * n_trained if masters else 0.0,
        optimizer_bytes=float(optimizer_bytes(settings.optimizer, trained, _state_element_bytes(settings))),
        trained_parameters=n_trained,
    )


def _caches_casts(settings: TuningSettings) -> bool:
    """Autocast keeps a 16-bit copy of every trained FP32 matrix until the forward pass ends.

    Without checkpointing these are among what the layers save.
    """
    return settings.trains_base and settings.precision == "amp" and settings.checkpointing


def _cast_parameters(network: Network) -> int:
    return sum(
        (len(group.layers) if group else 1) * weight.parameters
        for group, weight in network.weights()
        if weight.use in (Use.MATMUL, Use.HEAD)
    )


def _masters_are_weights(settings: TuningSettings) -> bool:
    """FSDP's mixed precision divides FP32 weights and gathers 16-bit ones: there is no second copy."""
    return settings.precision == "master" and settings.sharding == "fsdp" and settings.n_gpus > 1


def _gradient_bytes(settings: TuningSettings) -> int:
    """Gradients have the type of what they belong to."""
    if settings.trains_base:
        return 4 if settings.precision == "amp" or _masters_are_weights(settings) else 2
    return settings.adapter_bytes


def _state_element_bytes(settings: TuningSettings) -> int:
    """PyTorch's optimizers keep their state in the type of the parameter that they step."""
    if settings.trains_base:
        return 2 if settings.precision == "bf16" else 4
    return settings.adapter_bytes


def _layer_parameters(
    network: Network, group: LayerGroup, own: Sequence[Adapter], settings: TuningSettings
) -> int:
    if settings.trains_base:
        return sum(weight.parameters for weight in group.weights(network.hidden_size))
    return sum(adapter.parameters for adapter in own)


def _adapter_tensors(adapted: Sequence[tuple[LayerGroup, Sequence[Adapter]]]) -> list[Trained]:
    found = []
    for group, own in adapted:
        for adapter in own:
            rows = adapter.n_experts * adapter.rank
            found += [
                Trained(shape=(rows, adapter.n_in), n=len(group.layers)),
                Trained(shape=(adapter.n_out, rows), n=len(group.layers)),
            ]
    return found


def _resident(settings: TuningSettings, state: _State, hidden_size: int) -> list[TuningTerm]:
    """What lies on the GPU through the whole step."""
    by = shares(settings)
    on_gpu = "weights" not in settings.offload
    steps_on_gpu = "optimizer" not in settings.offload
    gathered = gathered_bytes(
        settings,
        weight_bytes=state.weight_bytes,
        weight_parameters=state.weight_parameters,
        layer_bytes=state.layer_weight_bytes,
        outer_bytes=state.outer_weight_bytes,
    )
    buffers = buffer_bytes(
        settings,
        gradient_bytes=state.gradient_bytes,
        layer_gradient_bytes=state.layer_gradient_bytes,
        hidden_size=hidden_size,
    )
    kind = ("FP32" if settings.precision == "amp" else "bf16") if settings.trains_base else settings.base_type
    own = 0.0 if settings.trains_base and _masters_are_weights(settings) else state.weight_bytes
    return [
        _exact("weights", share_bytes(own, by.weights) if on_gpu else 0.0, f"{kind}{_over(by.weights)}"),
        _exact("adapters", share_bytes(state.adapter_bytes, by.weights) if on_gpu else 0.0,
               f"{state.trained_parameters:,} parameters{_over(by.weights)}"),
        _exact("master weights", share_bytes(state.master_bytes, by.optimizer) if steps_on_gpu else 0.0,
               f"FP32{_over(by.optimizer)}"),
        _exact("optimizer state", share_bytes(state.optimizer_bytes, by.optimizer) if steps_on_gpu else 0.0,
               f"{OPTIMIZERS[settings.optimizer].source}{_over(by.optimizer)}"),
        _about("gathered weights", gathered, 0.5, 1.5, "layers whole while they are at work"),
        _about("gradient buffers", buffers, 0.5, 1.5, "between GPUs"),
    ]  # fmt: skip


def _moments(
    settings: TuningSettings, state: _State, step: StepActivations
) -> dict[str, tuple[TuningTerm, ...]]:
    """What comes and goes, at each moment that may be the largest."""
    by = shares(settings)
    held = settings.n_accumulated > 1 or settings.n_gpus > 1 or not settings.trains_base
    divided = by.gradients if not _offloads_gradients(settings) else 0
    gradients = share_bytes(state.gradient_bytes, divided) if divided else 0.0
    first = gradients if held else 0.0
    head = gradients if held else min(gradients, state.outer_gradient_bytes)
    kept_name = "checkpoints" if settings.checkpointing else "saved activations"
    kept, few = step.kept_bytes, max((layer.checkpoint_bytes for layer in step.layers), default=0.0)
    if "checkpoints" in settings.offload and settings.checkpointing:
        kept = min(kept, 2 * few)
    one = step.layer_bytes
    last = few if settings.checkpointing else max((layer.saved_bytes for layer in step.layers), default=0.0)
    widened = _widened_bytes(settings, state.trained_parameters / by.optimizer)
    return {
        "the loss": (
            _exact("gradients", first, _gradient_source(settings, by.gradients)),
            _moving(kept_name, kept + step.head_bytes, "one input per layer" if settings.checkpointing else "all layers"),
            _exact("16-bit weight copies", state.cast_bytes, "kept by autocast through the forward pass"),
            _moving("logits and loss", step.loss_peak_bytes, "FP32 logits, log-softmax and gradients"),
        ),
        "the last layer's backward pass": (
            _exact("gradients", head, _gradient_source(settings, by.gradients)),
            _moving(kept_name, kept, "one input per layer" if settings.checkpointing else "all layers"),
            _moving("logits and loss", step.logits_bytes, "logits kept by the training loop"),
            _moving("one layer", one, "what it saves, computed again, and its gradients"),
        ),
        "the first layer's backward pass": (
            _exact("gradients", gradients, _gradient_source(settings, by.gradients)),
            _moving(kept_name, last, "the first layer"),
            _moving("one layer", one, "what it saves, computed again, and its gradients"),
        ),
        "the optimizer's step": (
            _exact("gradients", gradients, _gradient_source(settings, by.gradients)),
            _about("gradients in FP32", widened, 0.0, 1.0, "for the master weights; less where it steps by tensor"),
        ),
    }  # fmt: skip


def _widened_bytes(settings: TuningSettings, n_parameters: float) -> float:
    """16-bit gradients become FP32 to step master weights: 4 bytes each, in ZeRO-3 for 10⁹ at a time.

    Source: DeepSpeed's memory page, and sub_group_size of stage 3. FSDP's gradients are FP32 already.
    """
    steps_here = "optimizer" not in settings.offload and not _masters_are_weights(settings)
    if not (settings.trains_base and settings.precision == "master" and steps_here):
        return 0.0
    return 4.0 * (min(n_parameters, SUB_GROUP_PARAMETERS) if settings.sharding == "zero3" else n_parameters)


def _offloads_gradients(settings: TuningSettings) -> bool:
    """ZeRO's offloaded optimizer takes its gradients along; FSDP's does with the weights."""
    return "optimizer" in settings.offload and settings.sharding != "none"


def _gradient_source(settings: TuningSettings, n: int) -> str:
    return f"{8 * _gradient_bytes(settings)} bits{_over(n)}"


def _overhead(settings: TuningSettings, dynamic_bytes: float) -> list[TuningTerm]:
    low, share, high = ALLOCATOR_SHARE
    context = (
        [a + b for a, b in zip(CONTEXT_BYTES, NCCL_BYTES, strict=True)]
        if settings.n_gpus > 1
        else CONTEXT_BYTES
    )
    return [
        TuningTerm(
            term=Term(name=ALLOCATOR, value=share * dynamic_bytes, unit="bytes", basis=Basis.ASSUMED,
                      source="reserved beyond what is in use; 8 to 45 % of what comes and goes"),
            low_bytes=low * dynamic_bytes,
            high_bytes=high * dynamic_bytes,
        ),
        TuningTerm(
            term=Term(name=CONTEXT, value=float(context[1]), unit="bytes", basis=Basis.ASSUMED,
                      source="driver context and libraries; 0.14 to 2 GiB, more with several GPUs"),
            low_bytes=float(context[0]),
            high_bytes=float(context[2]),
        ),
    ]  # fmt: skip


def _host(settings: TuningSettings, state: _State, step: StepActivations) -> list[TuningTerm]:
    """What offloading puts into RAM, for all GPUs of this machine."""
    found = []
    if "optimizer" in settings.offload:
        found.append(_exact("optimizer state", state.optimizer_bytes + state.master_bytes, "all GPUs' parts"))
        if _offloads_gradients(settings):
            found.append(_exact("gradients", 4.0 * state.trained_parameters, "FP32, all GPUs' parts"))
    if "weights" in settings.offload:
        copies = 1 if settings.sharding in ("zero3", "fsdp") else settings.n_gpus
        found.append(_exact("weights", copies * (state.weight_bytes + state.adapter_bytes), "in RAM"))
    if "checkpoints" in settings.offload and settings.checkpointing:
        found.append(_exact("checkpoints", settings.n_gpus * step.kept_bytes, "one input per layer and GPU"))
    return found


def _exact(name: str, value: float, source: str) -> TuningTerm:
    term = Term(name=name, value=value, unit="bytes", basis=Basis.DERIVED, source=source)
    return TuningTerm(term=term, low_bytes=value, high_bytes=value)


def _moving(name: str, value: float, source: str) -> TuningTerm:
    return _about(name, value, ACTIVATION_RATIO[0], ACTIVATION_RATIO[2], source)


def _about(name: str, value: float, low: float, high: float, source: str) -> TuningTerm:
    term = Term(name=name, value=value, unit="bytes", basis=Basis.DERIVED, source=source)
    return TuningTerm(term=term, low_bytes=low * value, high_bytes=high * value)


def _over(n: int) -> str:
    return f", over {n} GPUs" if n > 1 else ""


def _expected(terms: Sequence[TuningTerm]) -> float:
    return sum(item.term.value for item in terms)


def _interval(terms: Sequence[TuningTerm]) -> Interval:
    return Interval(
        low=sum(item.low_bytes for item in terms),
        expected=_expected(terms),
        high=sum(item.high_bytes for item in terms),
        basis=total_basis(item.term for item in terms),
        source="sum of the terms",
    )

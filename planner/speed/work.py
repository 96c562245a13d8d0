"""A model's layers as the speed model needs them: bytes and elements by kernel class, and what mixes tokens."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from hardware.units import GIGA
from planner.engines.llama_cpp import as_run
from planner.model.network import Mixer, Network
from planner.model.storage import Storage, StoredWeight
from planner.model.weight import Use


def type_class(type_name: str) -> str:
    """Types whose kernels are alike: i-quants by bits, FP4 of either kind."""
    name = type_name.removesuffix("_R4").removesuffix("_R8").removesuffix("_R16")
    if name in ("IQ4_NL", "IQ4_XS"):
        return "IQ4"
    if name in ("MXFP4", "NVFP4"):
        return "FP4"
    if name.startswith("IQ"):
        trellis = name.endswith("KT")
        fork = "_K" in name
        return f"ik{name[2]}{'t' if trellis else ''}" if fork else name[:3]
    return "TQ" if name.startswith("TQ") else name


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassWeights:
    """All weights of one layer that one kernel class handles, experts apart."""

    type_class: str
    is_expert: bool
    active_fraction: float
    n_bytes: Any  # these two may be arrays: of one model at several quantizations
    n_elements: Any  # of matrices
    n_matrices: float = 1  # each expert's counted
    n_experts: int = 1  # of a tensor
    n_rows: float = 0  # output features of experts' matrices, each expert's counted


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWork:
    """One layer: its weights by class, how many tensors they are, and its mixer."""

    weights: tuple[ClassWeights, ...]
    n_tensors: int
    mixer: Mixer | None

    @property
    def has_experts(self) -> bool:
        """Whether a router picks experts here."""
        return any(weight.is_expert for weight in self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWork:
    """A model: its layers, its head, and the names that its measurements go by."""

    key: str  # architecture and parameters: fine-tunes of one network are one model
    architecture: str
    hidden_size: int
    layers: tuple[LayerWork, ...]
    head: tuple[ClassWeights, ...]

    @property
    def has_experts(self) -> bool:
        """Whether it is a mixture of experts."""
        kinds = {id(layer): layer for layer in self.layers}  # most are the same
        return any(layer.has_experts for layer in kinds.values())


def work_key(network: Network) -> str:
    """The name that a network's measurements go by."""
    return f"{network.architecture} {network.parameters.text / GIGA:.2f}"


def model_work(
    network: Network,
    storage: Storage,
    *,
    scale: float = 1.0,
    expert_scale: float | None = None,
    main_class: str | None = None,
) -> ModelWork:
    """The layers of a network as llama.cpp runs it, stored as `storage`.

    `scale` stretches the bytes to a file's real size (`expert_scale` those of experts); `main_class` renames the
    class of the storage's main type, for a fork's type that no preset has.
    """
    per_layer: list[dict[tuple[str, bool, float], list[float]]] = [
        defaultdict(lambda: [0.0, 0.0, 0.0, 1.0, 0.0]) for _ in range(network.n_layers)
    ]
    n_tensors = [0] * network.n_layers
    head: dict[tuple[str, bool, float], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 1.0, 0.0])
    renamed = storage.main_type if main_class else None
    scales = {False: scale, True: scale if expert_scale is None else expert_scale}
    for weight in _head_weights(storage):
        _add(head, weight, scales, renamed, main_class, matrix=True)
    for weight in storage.weights:
        if weight.layer is None or weight.layer >= network.n_layers or weight.use in (Use.UNUSED, Use.TABLE):
            continue
        _add(per_layer[weight.layer], weight, scales, renamed, main_class, matrix=weight.use is Use.MATMUL)
        n_tensors[weight.layer] += 1
    mixers: list[Mixer | None] = [None] * network.n_layers
    for group in as_run(network).groups:
        for layer in group.layers:
            mixers[layer] = group.mixer
    # Most layers are alike: each kind is kept once, and timed once.
    kinds: dict[Hashable, LayerWork] = {}
    layers = []
    for found, n, mixer in zip(per_layer, n_tensors, mixers, strict=True):
        kind = (n, id(mixer), *((key, *sums) for key, sums in found.items()))
        if kind not in kinds:
            kinds[kind] = LayerWork(weights=_frozen(found), n_tensors=n, mixer=mixer)
        layers.append(kinds[kind])
    return ModelWork(
        key=work_key(network),
        architecture=network.architecture,
        hidden_size=network.hidden_size,
        layers=tuple(layers),
        head=_frozen(head),
    )


def _head_weights(storage: Storage) -> list[StoredWeight]:
    """The vocabulary projection; a tied one is the embedding table, read whole."""
    outer = [weight for weight in storage.weights if weight.layer is None]
    own = [weight for weight in outer if weight.use is Use.HEAD]
    return own or [weight for weight in outer if weight.role == "token_embd"]


def _add(
    sums: dict[tuple[str, bool, float], list[float]],
    weight: StoredWeight,
    scales: Mapping[bool, float],
    renamed: str | None,
    main_class: str | None,
    *,
    matrix: bool,
) -> None:
    name = main_class if main_class and weight.type_name == renamed else type_class(weight.type_name)
    entry = sums[name, weight.is_expert, weight.active_fraction]
    entry[0] += weight.n_bytes * (1.0 if name == "F32" else scales[weight.is_expert])
    entry[1] += weight.n_elements if matrix else 0
    entry[2] += (weight.shape[-1] if weight.is_expert else 1) if matrix else 0
    entry[3] = max(entry[3], weight.shape[-1] if weight.is_expert else 1)
    entry[4] += weight.shape[-2] * weight.shape[-1] if weight.is_expert and matrix else 0


def _frozen(sums: Mapping[tuple[str, bool, float], list[float]]) -> tuple[ClassWeights, ...]:
    return tuple(
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
        for (name, is_expert, fraction), (n_bytes, n_elements, n_matrices, n_experts, n_rows) in sums.items()
    )

"""Which shallow files stand for a model: their layers, keys, tensors and sizes. Nothing is written here.

Two files of about a half and a quarter of the periods of the layers' pattern: their difference is many layers,
so the noise of the two measurements is not multiplied by much on the way to the whole network. Where files of
that depth would not fit into the disk allowed, they become shallower.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hardware.units import format_bytes
from planner.bench.planning_file import PlannedTensor
from planner.errors import BenchError
from planner.estimate.described_model import DescribedModel
from planner.model.ggml_types import GGML_TYPES
from planner.model.layer_sample import Pattern, find_pattern, sample_layers

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)", re.DOTALL)
# Keys that tie layers together in ways that a cut would break.
_UNCUTTABLE = ("attention.shared_kv_layers", "decoder_block_count")
# deepseek2.cpp of llama.cpp tells its variants apart by these counts of layers.
_TELLING_COUNTS: Mapping[str, tuple[int, ...]] = {"deepseek2": (26, 27, 47, 48)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShallowFile:
    """A file to be written: some of the model's layers with everything outside them."""

    layers: tuple[int, ...]  # of the whole model, in order
    metadata: Mapping[str, object]
    tensors: tuple[PlannedTensor, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes of its tensors."""
        return sum(tensor.n_bytes for tensor in self.tensors)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticPlan:
    """The shallow files, fewest layers first."""

    files: tuple[ShallowFile, ...]
    pattern: Pattern
    n_vocabulary: int

    @property
    def n_bytes(self) -> int:
        """Bytes of disk that all files take together."""
        return sum(file.n_bytes for file in self.files)


def plan_synthetic(
    model: DescribedModel,
    metadata: Mapping[str, object],
    tensors: Sequence[PlannedTensor],
    *,
    disk_limit_bytes: int,
    n_periods: tuple[int, ...] | None = None,
) -> SyntheticPlan:
    """Two files that stay within the limit, or files of the periods asked for; BenchError when none can be."""
    architecture = str(metadata.get("general.architecture"))
    for key in _UNCUTTABLE:
        if metadata.get(f"{architecture}.{key}"):
            raise BenchError(
                f"{model.name} cannot be cut to fewer layers ({architecture}.{key} ties them together); "
                "download the file and bench it"
            )
    n_layers = model.network.n_layers
    by_layer, outer = _by_layer(tensors, n_layers)
    pattern = find_pattern(_kinds(model, by_layer))
    if pattern is None or pattern.n_periods < 2:
        raise BenchError(
            f"the {n_layers} layers of {model.name} follow no pattern that repeats, so fewer do not stand for them; "
            "download the file and bench it"
        )
    types = [_type_bytes(by_layer[layer]) for layer in range(n_layers)]

    def file(periods: int) -> ShallowFile:
        layers = sample_layers(pattern, types, periods)
        return ShallowFile(
            layers=layers,
            metadata=_cut(metadata, architecture, layers, n_layers),
            tensors=(*outer, *_renumbered(by_layer, layers)),
        )

    telling = _TELLING_COUNTS.get(architecture, ())

    def allowed(periods: int) -> bool:
        return pattern.leading + periods * pattern.period not in telling

    if n_periods is None:
        n_periods = _default_periods(pattern, file, allowed, disk_limit_bytes)
    chosen = tuple(file(periods) for periods in n_periods)
    plan = SyntheticPlan(files=chosen, pattern=pattern, n_vocabulary=model.network.vocab_size)
    if plan.n_bytes > disk_limit_bytes:
        raise BenchError(
            f"the shallow files of {model.name} ({_counts(chosen)} of {n_layers} layers) would take "
            f"{format_bytes(plan.n_bytes)} of disk, allowed are {format_bytes(disk_limit_bytes)}; "
            f"allow more with --disk {format_bytes(plan.n_bytes).replace(' ', '')}"
        )
    return plan


def _default_periods(pattern: Pattern, file: object, allowed: object, limit_bytes: int) -> tuple[int, int]:
    """About a half and a quarter of the periods, or the most that stays within the limit."""
    assert callable(file)
    assert callable(allowed)
    most = max(2, -(-pattern.n_periods // 2))
    for many in range(most, 1, -1):
        few = max(1, many // 2)
        if not (allowed(many) and allowed(few)):
            continue
        if many == 2 or file(many).n_bytes + file(few).n_bytes <= limit_bytes:
            return few, many
    return 1, 2


def _counts(files: Sequence[ShallowFile]) -> str:
    return " and ".join(str(len(file.layers)) for file in files)


def _by_layer(
    tensors: Sequence[PlannedTensor], n_layers: int
) -> tuple[dict[int, list[tuple[str, PlannedTensor]]], tuple[PlannedTensor, ...]]:
    """Tensors of each layer by their part, and those outside; extra prediction layers are left out."""
    found: dict[int, list[tuple[str, PlannedTensor]]] = defaultdict(list)
    outer = []
    for tensor in tensors:
        match = _BLOCK.fullmatch(tensor.name)
        if match is None:
            outer.append(tensor)
        elif int(match[1]) < n_layers:
            found[int(match[1])].append((match[2], tensor))
    return found, tuple(outer)


def _kinds(model: DescribedModel, by_layer: Mapping[int, list[tuple[str, PlannedTensor]]]) -> list[object]:
    """What each layer is: its group in the network, and the names and shapes of its tensors, types apart."""
    groups = {layer: index for index, group in enumerate(model.network.groups) for layer in group.layers}
    return [
        (groups[layer], frozenset((part, tensor.shape) for part, tensor in by_layer[layer]))
        for layer in range(model.network.n_layers)
    ]


def _type_bytes(tensors: Sequence[tuple[str, PlannedTensor]]) -> dict[str, float]:
    """Bytes of a layer by tensor type, those of vectors apart."""
    held: dict[str, float] = defaultdict(float)
    for _, tensor in tensors:
        held[GGML_TYPES[tensor.type_id].name if tensor.type_id in GGML_TYPES else "?"] += tensor.n_bytes
    return dict(held)


def _renumbered(
    by_layer: Mapping[int, list[tuple[str, PlannedTensor]]], layers: Sequence[int]
) -> list[PlannedTensor]:
    return [
        PlannedTensor(
            name=f"blk.{index}.{part}", shape=tensor.shape, type_id=tensor.type_id, n_bytes=tensor.n_bytes
        )
        for index, layer in enumerate(layers)
        for part, tensor in by_layer[layer]
    ]


def _cut(
    metadata: Mapping[str, object], architecture: str, layers: Sequence[int], n_layers: int
) -> dict[str, object]:
    """The keys for fewer layers: lists with an entry per layer are cut, extra prediction layers are gone."""
    count = metadata.get(f"{architecture}.block_count")
    lengths = {n_layers, count if isinstance(count, int) else n_layers}
    keys = {}
    for key, value in metadata.items():
        if isinstance(value, tuple | list) and len(value) in lengths and key.startswith(architecture):
            value = tuple(value[layer] for layer in layers)
        keys[key] = value
    keys[f"{architecture}.block_count"] = len(layers)
    if f"{architecture}.nextn_predict_layers" in keys:
        keys[f"{architecture}.nextn_predict_layers"] = 0
    if architecture == "deepseek2":
        keys.setdefault("deepseek2.attention.q_lora_rank", 0)  # small variants are known by their layers
    return keys

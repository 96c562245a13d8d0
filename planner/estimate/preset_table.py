"""A network at every preset at once: columns of bytes, and the memory beside the weights as straight lines.

A list of many models at many presets and contexts asks for the same few sums again and again. They are worked out
here once, by the functions that answer for a single model; the packaged catalogue's stand in a file.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Literal, TypeVar, get_args

from planner.engines.llama_cpp import CELL_PADDING, LlamaCppFlags, Split
from planner.engines.llama_cpp.server_command import as_served
from planner.engines.llama_cpp.weights import WeightSums
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.memory import Device, DeviceLoad, memory_loads
from planner.estimate.straight import Straight, straight_pieces
from planner.model.ends import NotStraightError
from planner.model.network import Network
from planner.model.presets import preset_storage

# Kinds of memory whose weights take different room: main memory and Metal, CUDA and ROCm, Vulkan.
Store = Literal["host", "cuda", "vulkan"]
STORES: tuple[Store, ...] = get_args(Store)
Place = Literal["host", "gpu"]  # where all of a model lies
PLACES: tuple[Place, ...] = get_args(Place)
# Requests served at once that the packaged table knows; others are worked out when asked for.
TABLED_SEQUENCES = (1, 4, 16, 64)
# From here on a batch of the usual 512 tokens is whole, and memory grows by whole cells.
FIRST_CELLS = 2
_LONGEST_CELLS = 4096  # of a network that nobody says the context of
_WEIGHTS = frozenset(("weights", "experts", "embedding"))
_AS_FIRST: Mapping[str, Store] = {"cuda": "cuda", "rocm": "cuda", "vulkan": "vulkan", "metal": "host"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreColumns:
    """Bytes of the weights at each preset as one kind of memory holds them."""

    fixed: tuple[int, ...]  # of the layers, experts apart
    experts: tuple[int, ...]
    head: tuple[int, ...]  # output head and final norm
    table: tuple[int, ...]  # the token table alone
    tables: tuple[int, ...]  # all tables


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassColumn:
    """Weights of one kernel class at the presets that have any: their places in the table, bytes and elements."""

    type_class: str
    is_expert: bool
    active_fraction: float
    presets: tuple[int, ...]
    n_bytes: tuple[float, ...]
    n_elements: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupColumns:
    """The layers of one group: how many tensors one has, and the weights of all of them by class."""

    n_tensors: int
    classes: tuple[ClassColumn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetClasses:
    """The weights by kernel class, of the layers and of the head."""

    groups: tuple[GroupColumns, ...]  # as the network's
    head: tuple[ClassColumn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadColumns:
    """Bytes that a decoded token reads at each preset: of the layers, of the experts it picks, of the head."""

    fixed: tuple[float, ...]
    experts: tuple[float, ...]
    head: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetTable:
    """One network's sums at every preset that it can be stored as."""

    presets: tuple[str, ...]
    total_bytes: tuple[int, ...]  # of all tensors, as a file holds them
    has_output_head: bool
    stores: Mapping[Store, StoreColumns]
    reads: ReadColumns
    # Most of the table, which memory does not ask for.
    classes: Callable[[], PresetClasses] = field(compare=False)
    # Memory beside weights and driver by padded context, and by requests at once: of the host; of a GPU and the host.
    beside: Mapping[tuple[Place, int], Straight]

    def only(self, presets: Sequence[str]) -> "PresetTable":
        """The table of some presets, in the order asked for; raises MissingFactError where it has none of them."""
        rows = [self.presets.index(preset) for preset in presets if preset in self.presets]
        if not rows:
            raise MissingFactError(f"cannot be stored as {' or '.join(presets)}")
        return replace(
            self,
            presets=tuple(self.presets[row] for row in rows),
            total_bytes=tuple(self.total_bytes[row] for row in rows),
            stores={store: _only_rows(columns, rows) for store, columns in self.stores.items()},
            reads=_only_rows(self.reads, rows),
            classes=lambda: _only_classes(self.classes(), rows),
        )


_Columns = TypeVar("_Columns", StoreColumns, ReadColumns)


def _only_rows(columns: _Columns, rows: Sequence[int]) -> _Columns:
    parts = {part.name: tuple(getattr(columns, part.name)[row] for row in rows) for part in fields(columns)}
    return replace(columns, **parts)


def _only_classes(classes: PresetClasses, rows: Sequence[int]) -> PresetClasses:
    return PresetClasses(
        groups=tuple(replace(group, classes=_only_columns(group.classes, rows)) for group in classes.groups),
        head=_only_columns(classes.head, rows),
    )


def _only_columns(columns: Sequence[ClassColumn], rows: Sequence[int]) -> tuple[ClassColumn, ...]:
    found = []
    for column in columns:
        places = [(new, column.presets.index(old)) for new, old in enumerate(rows) if old in column.presets]
        if places:
            found.append(
                replace(
                    column,
                    presets=tuple(new for new, _ in places),
                    n_bytes=tuple(column.n_bytes[old] for _, old in places),
                    n_elements=tuple(column.n_elements[old] for _, old in places),
                )
            )
    return tuple(found)


def preset_table(
    name: str, network: Network, presets: Iterable[str], sequences: Iterable[int] = TABLED_SEQUENCES
) -> PresetTable:
    """Works the sums out; presets that the network cannot be stored as are left out, unless it is all of them."""
    models = []
    problem = None
    for preset in presets:
        try:
            storage = preset_storage(network, preset)
        except MissingFactError as error:
            problem = error
            continue
        models.append(DescribedModel(name=name, network=network, storage=storage))
    if not models:
        raise problem or MissingFactError(f"no preset was asked for {name}")
    classes = PresetClasses(
        groups=tuple(_group_columns(models, group.layers) for group in network.groups),
        head=_class_columns([[model.work.head] for model in models]),
    )
    return PresetTable(
        presets=tuple(model.storage.label for model in models),
        total_bytes=tuple(model.storage.total_bytes for model in models),
        has_output_head=models[0].storage.has_output_head,
        stores={store: _store_columns(models, store) for store in STORES},
        reads=ReadColumns(
            fixed=tuple(sum(layer.fixed_read_bytes for layer in model.layers) for model in models),
            experts=tuple(sum(layer.expert_read_bytes for layer in model.layers) for model in models),
            head=tuple(model.head_bytes for model in models),
        ),
        classes=lambda: classes,
        beside={
            (place, n): straight
            for place in PLACES
            for n in sequences
            if (straight := beside_weights(models[0], place, n)) is not None
        },
    )


def _store_columns(models: Sequence[DescribedModel], store: Store) -> StoreColumns:
    rows = []
    for model in models:
        sums = WeightSums.of(model.storage, None if store == "host" else store)
        layers = [sums.layers.get(layer, (0, 0)) for layer in range(model.network.n_layers)]
        rows.append(
            (sum(fixed for fixed, _ in layers), sum(experts for _, experts in layers), sums.head_bytes,
             sums.table_bytes, sums.input_bytes)
        )  # fmt: skip
    fixed, experts, head, table, tables = zip(*rows, strict=True)
    return StoreColumns(fixed=fixed, experts=experts, head=head, table=table, tables=tables)


def _group_columns(models: Sequence[DescribedModel], layers: Sequence[int]) -> GroupColumns:
    return GroupColumns(
        n_tensors=models[0].work.layers[layers[0]].n_tensors,
        classes=_class_columns([[model.work.layers[i].weights for i in layers] for model in models]),
    )


def _class_columns(by_model: Sequence[Sequence[Sequence[Any]]]) -> tuple[ClassColumn, ...]:
    """Sums over layers, of each class and each model."""
    found: dict[tuple[str, bool, float], dict[int, list[float]]] = {}
    for number, layers in enumerate(by_model):
        for weights in layers:
            for weight in weights:
                key = (weight.type_class, weight.is_expert, weight.active_fraction)
                entry = found.setdefault(key, {}).setdefault(number, [0.0, 0.0])
                entry[0] += weight.n_bytes
                entry[1] += weight.n_elements
    return tuple(
        ClassColumn(
            type_class=name,
            is_expert=is_expert,
            active_fraction=fraction,
            presets=tuple(sums),
            n_bytes=tuple(n_bytes for n_bytes, _ in sums.values()),
            n_elements=tuple(n_elements for _, n_elements in sums.values()),
        )
        for (name, is_expert, fraction), sums in found.items()
    )


def store_of(kind: str) -> Store:
    """The kind of memory that a backend's weights take room as."""
    return _AS_FIRST[kind]


def beside_weights(model: DescribedModel, place: Place, n_sequences: int) -> Straight | None:
    """Memory beside the weights over all contexts of whole cells that the model was trained for.

    None where it is no line: caches of summaries hold one entry for several tokens, rounded up.
    """
    trained = model.network.context_tokens
    last = _LONGEST_CELLS if trained is None else max(FIRST_CELLS, -(-trained // CELL_PADDING))
    try:
        return straight_pieces(
            lambda cells: beside_weights_at(model, place, n_sequences, cells * CELL_PADDING),
            FIRST_CELLS,
            last,
        )
    except NotStraightError:
        return None


def beside_weights_at(
    model: DescribedModel, place: Place, n_sequences: int, n_context_tokens: Any
) -> tuple[Any, ...]:
    """Memory beside weights and driver for one context: of the host, or of the GPU that holds all and the host."""
    flags = as_served(LlamaCppFlags(n_context_tokens=n_context_tokens, n_sequences=n_sequences))
    gpus = (_EMPTY_GPU,) if place == "gpu" else ()
    split = Split(n_gpu_layers=model.network.n_layers + 1 if gpus else 0)
    loads = memory_loads(model, flags, split, gpus, _EMPTY_HOST)
    return tuple(_beside(load) for load in loads)


def beside_at(
    table: PresetTable, network: Network, place: Place, n_sequences: int, n_context_tokens: int
) -> tuple[int, ...]:
    """The same from a network's table; worked out where that knows no line.

    A context under a batch of 512 tokens is no whole batch, few numbers of sequences are in the table, and some
    networks' graphs are not described.
    """
    straight = table.beside.get((place, n_sequences))
    cells = -(-n_context_tokens // CELL_PADDING)
    if straight and cells <= straight.last and n_context_tokens >= straight.first * CELL_PADDING:
        return straight.at(cells)
    return _worked_out(_Same(network), table.presets[0], place, n_sequences, n_context_tokens)


class _Same:
    """A network by identity: comparing two takes longer than most answers."""

    __slots__ = ("network",)

    def __init__(self, network: Network) -> None:
        self.network = network

    def __hash__(self) -> int:
        return id(self.network)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.network is other.network


@lru_cache(maxsize=4096)
def _worked_out(
    same: _Same, preset: str, place: Place, n_sequences: int, n_context_tokens: int
) -> tuple[int, ...]:
    model = DescribedModel(name="", network=same.network, storage=preset_storage(same.network, preset))
    return tuple(int(size) for size in beside_weights_at(model, place, n_sequences, n_context_tokens))


def _beside(load: DeviceLoad) -> Any:
    return sum(
        term.value for term in load.terms if term.name not in _WEIGHTS and term.name != "engine and driver"
    )


# Their size decides nothing here; CUDA's rules differ from others' only for a quantized cache.
_EMPTY_GPU = Device(name="GPU 0", is_gpu=True, capacity_bytes=1, kind="cuda")
_EMPTY_HOST = Device(name="RAM", is_gpu=False, capacity_bytes=1)

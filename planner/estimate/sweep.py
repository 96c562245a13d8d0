"""One network at many presets, contexts and batches at once: whether it fits one memory whole, and how fast it decodes.

The numbers are those of `placement.place` and `speed.decode_speed` for each single case; here they are arrays with a
row for each preset and a column for each case. A model that no single memory holds is left to those two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.spec import Machine
from planner.engines.llama_cpp import CELL_PADDING, LlamaCppFlags, Split, as_run
from planner.engines.llama_cpp.server_command import as_served
from planner.errors import MissingFactError
from planner.estimate.described_model import LayerWeights
from planner.estimate.memory import DRIVER_BYTES, Device, DeviceLoad, devices
from planner.estimate.placement import Placement
from planner.estimate.preset_table import (
    ClassColumn,
    Place,
    PresetTable,
    beside_at,
    store_of,
)
from planner.estimate.several_tokens import Bounds
from planner.estimate.speed import SpeedFacts, decode_rates
from planner.estimate.split_search import fastest_first
from planner.model.network import Network
from planner.speed.work import ClassWeights, LayerWork, ModelWork, work_key

_FEW = 8  # cases

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SweptModel:
    """A table's columns as a model that decoding can be timed of: arrays with a row for each preset."""

    table: PresetTable
    network: Network

    @cached_property
    def layers(self) -> tuple[LayerWeights, ...]:
        """Bytes of each layer: all alike, so that their sum is the table's."""
        n = self.network.n_layers
        layer = LayerWeights(
            fixed_bytes=0,
            expert_bytes=0,
            fixed_read_bytes=_column(self.table.reads.fixed)[:, None] / n,
            expert_read_bytes=_column(self.table.reads.experts)[:, None] / n,
        )
        return (layer,) * n

    @cached_property
    def head_bytes(self) -> Any:
        """Bytes of the output head and final norm."""
        return _column(self.table.reads.head)[:, None]

    @cached_property
    def work(self) -> ModelWork:
        """Its layers as the speed model needs them."""
        return _work(self.table, self.network)


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The one memory that is to hold all of a model."""

    place: Place
    device: Device | None  # None for main memory
    gpus: tuple[Device, ...]
    ram: Device | None

    def split(self, n_layers: int) -> Split:
        """The placement in the engine's terms."""
        if self.device is None:
            return Split(n_gpu_layers=0)
        if len(self.gpus) == 1:
            return Split(n_gpu_layers=n_layers + 1)
        return Split(n_gpu_layers=n_layers + 1, mode="none", main_gpu=self.gpus.index(self.device))


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeMemory:
    """Bytes needed over all devices, and whether they are there: a row for each preset, a column for each case."""

    needed_bytes: Integers
    fits: npt.NDArray[np.bool_]


def home_of(machine: Machine) -> Home:
    """Main memory where there is no GPU, else the fastest GPU, as a placement is tried first."""
    gpus, ram = devices(machine)
    if gpus:
        return Home(place="gpu", device=gpus[fastest_first(gpus)[0]], gpus=gpus, ram=ram)
    if ram is None:
        raise MissingFactError(
            f"nothing is known of the memory of {machine.name}; describe it, for example --on 'RTX 4090, 64GiB'"
        )
    return Home(place="host", device=None, gpus=(), ram=ram)


def whole_memory(
    table: PresetTable, network: Network, home: Home, n_context_tokens: Integers, n_sequences: Integers
) -> WholeMemory:
    """Memory of every preset at each context with so many sequences, the whole model in one memory."""
    host = table.stores["host"]
    beside = beside_columns(table, network, home.place, n_context_tokens, n_sequences)
    if home.device is None:
        weights = _column(host.fixed) + _column(host.experts) + _column(host.head) + _column(host.tables)
        needed = weights[:, None] + beside[0]
        assert home.ram is not None, "a home in main memory has one"
        return WholeMemory(needed_bytes=needed, fits=needed <= home.ram.capacity_bytes)
    own = table.stores[store_of(home.device.kind)]
    weights = _column(own.fixed) + _column(own.experts) + _column(own.head)
    if not table.has_output_head:
        weights = weights + _column(own.table)  # a tied head has a copy of the table
    on_gpu = weights[:, None] + (beside[0] + DRIVER_BYTES)
    if home.ram is None:
        return WholeMemory(needed_bytes=on_gpu, fits=on_gpu <= home.device.capacity_bytes)
    in_ram = _column(host.tables)[:, None] + beside[1]
    needed = on_gpu + in_ram
    if home.device.shares_ram:
        return WholeMemory(needed_bytes=needed, fits=needed <= home.device.capacity_bytes)
    fits = (on_gpu <= home.device.capacity_bytes) & (in_ram <= home.ram.capacity_bytes)
    return WholeMemory(needed_bytes=needed, fits=fits)


def _column(values: Sequence[float]) -> Any:
    return np.array(values)


def beside_columns(
    table: PresetTable, network: Network, place: Place, n_context_tokens: Integers, n_sequences: Integers
) -> Integers:
    """Memory beside weights and driver: a row for each device, a column for each case."""
    found = np.empty((2 if place == "gpu" else 1, len(n_context_tokens)), dtype=np.int64)
    if len(n_context_tokens) <= _FEW:  # arrays take longer than they save
        for i, (n_tokens, n) in enumerate(zip(n_context_tokens.tolist(), n_sequences.tolist(), strict=True)):
            found[:, i] = beside_at(table, network, place, n, n_tokens)
        return found
    cells = -(-n_context_tokens // CELL_PADDING)
    left = np.ones(len(cells), dtype=np.bool_)
    for n in np.unique(n_sequences).tolist():
        straight = table.beside.get((place, n))
        if straight is None:
            continue
        # A context under a batch of 512 tokens is no whole batch, so it is not on the lines.
        inside = (
            (n_sequences == n)
            & (cells <= straight.last)
            & (n_context_tokens >= straight.first * CELL_PADDING)
        )
        steps = cells[inside]
        lasts = np.array([piece.last for piece in straight.pieces])
        which = np.searchsorted(lasts, steps)
        back = lasts[which] - steps
        at_last = np.array([piece.at_last for piece in straight.pieces])[which]
        slopes = np.array([piece.slopes for piece in straight.pieces])[which]
        found[:, inside] = (at_last - back[:, None] * slopes).T
        left &= ~inside
    for i in np.flatnonzero(left).tolist():
        found[:, i] = beside_at(table, network, place, int(n_sequences[i]), int(n_context_tokens[i]))
    return found


def _work(table: PresetTable, network: Network) -> ModelWork:
    """Layers of one group carry the mean of its weights, so that their sum is the group's."""
    classes = table.classes()
    groups = as_run(network).groups
    sizes = [len(group.layers) for group in groups]
    columns = [(one, n) for found, n in zip(classes.groups, sizes, strict=True) for one in found.classes]
    weights = iter(_weights([*columns, *((one, 1) for one in classes.head)], len(table.presets)))
    layers: list[LayerWork | None] = [None] * network.n_layers
    for found, group in zip(classes.groups, groups, strict=True):
        of_group = tuple(islice(weights, len(found.classes)))
        work = LayerWork(weights=of_group, n_tensors=found.n_tensors, mixer=group.mixer)
        for i in group.layers:
            layers[i] = work
    return ModelWork(
        key=work_key(network),
        architecture=network.architecture,
        hidden_size=network.hidden_size,
        layers=tuple(layer for layer in layers if layer is not None),
        head=tuple(weights),
    )


def _weights(columns: Sequence[tuple[ClassColumn, int]], n_presets: int) -> Iterator[ClassWeights]:
    """Columns as weights of one of so many layers, filled in all at once: arrays of a few numbers are slow to make."""
    rows = [row for row, (one, _) in enumerate(columns) for _ in one.presets]
    presets = [preset for one, _ in columns for preset in one.presets]
    shares = [1 / n for one, n in columns for _ in one.presets]
    found = np.zeros((2, len(columns), n_presets, 1))
    found[0, rows, presets, 0] = [n_bytes for one, _ in columns for n_bytes in one.n_bytes]
    found[1, rows, presets, 0] = [n_elements for one, _ in columns for n_elements in one.n_elements]
    found[:, rows, presets, 0] *= shares
    for row, (one, _) in enumerate(columns):
        yield ClassWeights(
            type_class=one.type_class,
            is_expert=one.is_expert,
            active_fraction=one.active_fraction,
            n_bytes=found[0, row],
            n_elements=found[1, row] if any(one.n_elements) else 0.0,
        )


def whole_decode(
    model: SweptModel,
    home: Home,
    machine: Machine,
    facts: SpeedFacts,
    depth_tokens: Integers,
    n_sequences: Any = 1,
) -> Bounds:
    """Decode speed of every preset at each depth; raises MissingFactError where a fact is missing."""
    flags = as_served(LlamaCppFlags(n_context_tokens=CELL_PADDING))
    every = home.gpus if home.ram is None else (*home.gpus, home.ram)
    placement = Placement(
        split=home.split(model.network.n_layers),
        flags=flags,
        loads=tuple(DeviceLoad(device=device, terms=()) for device in every),
        n_layers=model.network.n_layers,
    )
    return decode_rates(model, placement, machine, facts, depth_tokens, n_sequences)

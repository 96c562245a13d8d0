"""Models at many presets and contexts against one machine, as arrays: what a table of the catalogue is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hardware.spec import Machine
from planner.errors import MissingFactError
from planner.estimate.preset_table import PresetTable
from planner.estimate.several_tokens import Bounds
from planner.estimate.speed import SpeedFacts
from planner.estimate.sweep import Home, SweptModel, WholeMemory, whole_decode, whole_memory
from planner.model.ggml_types import type_by_name
from planner.model.network import Network
from planner.model.presets import BASE_TYPES

_FINE_BITS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TabledModel:
    """One model: a row for each preset that it can be stored as, a column for each context."""

    id: str
    parameters: int
    presets: tuple[str, ...]
    n_context_tokens: tuple[int, ...]  # no more than the model was trained for
    memory: WholeMemory
    decode: Bounds | None  # from an empty context: no columns; None also where nothing fits
    decode_full: Bounds | None
    missing: str | None  # the fact without which its speed is unknown

    def finest(self, column: int) -> int | None:
        """The row that needs most memory of those that fit at a context; None where none does."""
        fitting = np.flatnonzero(self.memory.fits[:, column])
        if not len(fitting):
            return None
        return int(fitting[np.argmax(self.memory.needed_bytes[fitting, column])])

    @property
    def is_fine(self) -> bool:
        """Whether at the first context something fits whose main type has four bits a weight or more.

        What is left of a network below that varies; a smaller one at more bits is mostly the better choice.
        """
        row = self.finest(0)
        return row is not None and type_by_name(BASE_TYPES[self.presets[row]]).bits_per_weight >= _FINE_BITS


@dataclass(frozen=True, kw_only=True)
class CatalogueTable:
    """Every model, best first, and what there is to say about them all."""

    machine: Machine
    home: Home
    n_context_tokens: tuple[int, ...]
    models: tuple[TabledModel, ...]
    notes: tuple[str, ...]


def tabled_model(
    model_id: str,
    network: Network,
    table: PresetTable,
    machine: Machine,
    home: Home,
    facts: SpeedFacts,
    contexts: Sequence[int],
    n_sequences: int,
    presets: Sequence[str],
) -> TabledModel:
    """One model at the presets that its table has and every context, no longer than it was trained for.

    Raises MissingFactError where the table has none of them.
    """
    rows = [table.presets.index(preset) for preset in presets if preset in table.presets]
    if not rows:
        raise MissingFactError(f"cannot be stored as {' or '.join(presets)}")
    most = network.context_tokens
    n = np.array([min(context, most or context) for context in contexts])
    memory = whole_memory(table, network, home, n, np.full(len(n), n_sequences))
    memory = WholeMemory(needed_bytes=memory.needed_bytes[rows], fits=memory.fits[rows])
    decode = full = missing = None
    try:
        if memory.fits.any():  # what does not fit does not run
            depths = np.concatenate(([0], n // n_sequences))
            model = SweptModel(table=table, network=network)
            rates = whole_decode(model, home, machine, facts, depths, n_sequences)
            shape = (len(table.presets), len(depths))
            parts = [np.broadcast_to(part, shape)[rows] for part in (rates.low, rates.expected, rates.high)]
            decode, full = Bounds(*(part[:, 0] for part in parts)), Bounds(*(part[:, 1:] for part in parts))
    except MissingFactError as error:
        missing = str(error)
    return TabledModel(
        id=model_id,
        parameters=network.parameters.text,
        presets=tuple(table.presets[row] for row in rows),
        n_context_tokens=tuple(n.tolist()),
        memory=memory,
        decode=decode,
        decode_full=full,
        missing=missing,
    )

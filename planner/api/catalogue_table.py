"""The whole catalogue at many quantizations and contexts against one machine."""

from collections.abc import Mapping, Sequence
from typing import Any

from hardware.spec import Machine
from planner.api.machines import machine_for, speed_facts
from planner.errors import MissingFactError, UnknownArchitectureError
from planner.estimate.catalogue_table import CatalogueTable, TabledModel, tabled_model
from planner.estimate.preset_table import PresetTable, preset_table
from planner.estimate.ranking import model_rank
from planner.estimate.sweep import home_of
from planner.model.network import Network
from planner.model.preset_rules import FOR_TRAINED_BITS
from planner.model.presets import BASE_TYPES
from planner.progress import Progress
from planner.readers.catalogue_model import from_catalogue
from planner.readers.preset_table_file import packaged_table
from profiles.loader import model_rows

_USUAL = tuple(preset for preset in BASE_TYPES if preset not in FOR_TRAINED_BITS)


def fit_catalogue_table(
    *,
    on: str | Machine | None = None,
    contexts: Sequence[int],
    quants: Sequence[str] = (),
    n_sequences: int = 1,
    progress: Progress | None = None,
) -> CatalogueTable:
    """Every catalogue model at every preset (or those asked for) and context, whole in one memory: RAM or the fastest GPU.

    Presets for models trained with weights of one or two bits count only when they are asked for.

    A model that no single memory holds does not fit here; `fit` splits it. Contexts are of all sequences together.
    """
    machine = machine_for(on)
    facts, notes = speed_facts(machine)
    home = home_of(machine)
    presets = quants or _USUAL
    entries = model_rows()
    newest = max(entry["released"] or "" for entry in entries)
    found: list[tuple[Any, TabledModel]] = []
    left_out = []
    for index, entry in enumerate(entries):
        if progress is not None:
            progress(index / len(entries), entry["id"])
        try:
            network = from_catalogue(entry, entry["id"]).network
            table = _table(entry, network, presets)
            model = tabled_model(
                entry["id"], network, table, machine, home, facts, contexts, n_sequences, presets
            )
        except (UnknownArchitectureError, MissingFactError):
            left_out.append(entry["id"])
            continue
        rank = model_rank(network, entry["released"], newest)
        found.append(((not model.memory.fits.any(), not model.is_fine, *rank), model))
    found.sort(key=lambda item: (item[0], item[1].id))
    if left_out:
        notes += (f"not understood yet, so left out: {', '.join(left_out)}",)
    return CatalogueTable(
        machine=machine,
        home=home,
        n_context_tokens=tuple(contexts),
        models=tuple(model for _, model in found),
        notes=notes,
    )


def _table(entry: Mapping[str, Any], network: Network, presets: Sequence[str]) -> PresetTable:
    """The packaged table, or one for a model of the user's own, whose few contexts are worked out one by one."""
    return packaged_table(entry["id"]) or preset_table(entry["name"], network, presets, ())

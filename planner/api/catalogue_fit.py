"""Does it fit: the whole catalogue, each model where it runs best."""

from dataclasses import dataclass

import numpy as np

from hardware.spec import Machine
from planner.api.machines import machine_for, speed_facts
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.server_command import as_served
from planner.errors import UnknownArchitectureError
from planner.estimate.catalogue import CATALOGUE_CONTEXT
from planner.estimate.described_model import DescribedModel
from planner.estimate.fit import FitRow, fit_row
from planner.estimate.memory import devices
from planner.estimate.placement import place_whole
from planner.estimate.preset_table import PresetTable
from planner.estimate.ranking import catalogue_rank
from planner.estimate.speed import SpeedFacts
from planner.estimate.sweep import home_of, whole_memory
from planner.model.opened_model import OpenedModel
from planner.model.presets import preset_storage
from planner.progress import Progress
from planner.readers.catalogue_model import from_catalogue
from planner.readers.preset_table_file import packaged_table
from profiles.loader import model_rows

# Tried from the largest for the catalogue: the best quality that runs where it is fastest.
CATALOGUE_QUANTS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
_LEAST_BITS = 4.25  # per weight in any of these, and in MXFP4


@dataclass(frozen=True, kw_only=True)
class CatalogueAnswer:
    """The catalogue's models that fit a machine, best first, and how many do not or are not understood."""

    machine: Machine
    n_context_tokens: int
    rows: tuple[tuple[str, FitRow], ...]  # catalogue id, row
    n_too_large: int
    notes: tuple[str, ...]


def fit_catalogue(
    *,
    on: str | Machine | None = None,
    n_context_tokens: int = CATALOGUE_CONTEXT,
    progress: Progress | None = None,
) -> CatalogueAnswer:
    """The catalogue's models that fit, each at the finest preset that runs where it is fastest.

    Best first: models that run wholly on the GPUs (or, without GPUs, in RAM) before split ones, those of the
    last two years before older ones, then by √(total · active parameters), a rule of thumb for what a mixture
    of experts can do.
    """
    machine = machine_for(on)
    facts, notes = speed_facts(machine)
    found: list[tuple[tuple[int, bool, float], str, FitRow]] = []
    n_too_large = 0
    newest = max(entry["released"] or "" for entry in model_rows())
    not_understood = []
    entries = model_rows()
    for index, entry in enumerate(entries):
        if progress is not None:
            progress(index / len(entries), entry["id"])
        try:
            opened = from_catalogue(entry, entry["id"])
        except UnknownArchitectureError:
            not_understood.append(entry["id"])
            continue
        row = _best_row(entry["id"], opened, machine, n_context_tokens, facts)
        if row is None:
            n_too_large += 1
        else:
            found.append((catalogue_rank(row, entry["released"], newest), entry["id"], row))
    if not_understood:
        notes += (f"not understood yet, so left out: {', '.join(not_understood)}",)
    found.sort(key=lambda item: item[:2])
    return CatalogueAnswer(
        machine=machine,
        n_context_tokens=n_context_tokens,
        rows=tuple((name, row) for _, name, row in found),
        n_too_large=n_too_large,
        notes=notes,
    )


def _whole(
    opened: OpenedModel, quant: str, table: PresetTable | None, machine: Machine, flags: LlamaCppFlags
) -> DescribedModel | None:
    """The model at a preset, if it runs with nothing split between GPU and RAM.

    The table says what one memory holds; several GPUs have to be tried.
    """
    home = home_of(machine)
    if table is not None and quant in table.presets:
        n = np.array([flags.n_context_tokens])
        if whole_memory(table.only((quant,)), opened.network, home, n, np.ones_like(n)).fits.all():
            return _described(opened, quant)
        if len(home.gpus) < 2:
            return None
    model = _described(opened, quant)
    return None if place_whole(model, machine, flags) is None else model


def _best_row(
    model_id: str,
    opened: OpenedModel,
    machine: Machine,
    n_context_tokens: int,
    facts: SpeedFacts,
) -> FitRow | None:
    if opened.network.parameters.text * _LEAST_BITS > 8 * _memory_bytes(machine):
        return None  # no need to lay out a thousand tensors
    n = min(n_context_tokens, opened.network.context_tokens or n_context_tokens)
    flags = as_served(LlamaCppFlags(n_context_tokens=n))
    quants = (opened.native_preset,) if opened.native_preset else CATALOGUE_QUANTS
    table = packaged_table(model_id)
    if table is not None and quants[-1] in table.presets:
        smallest = table.total_bytes[table.presets.index(quants[-1])]
        if smallest > _memory_bytes(machine):
            return None  # no need to try splits
    whole = next(
        (model for quant in quants if (model := _whole(opened, quant, table, machine, flags)) is not None),
        None,
    )
    # Once a model is split between GPU and RAM, what it reads from RAM decides its speed: then the smallest is best.
    best = whole or _described(opened, quants[-1])
    row = fit_row(best, machine, flags, facts, with_largest_context=False)
    return row if row.placement.fits else None


def _memory_bytes(machine: Machine) -> int:
    """All memory there is; unified memory counts once, as the larger of the two."""
    gpus, ram = devices(machine)
    ram_bytes = ram.capacity_bytes if ram else 0
    if any(gpu.shares_ram for gpu in gpus):
        return max(ram_bytes, sum(gpu.capacity_bytes for gpu in gpus))
    return ram_bytes + sum(gpu.capacity_bytes for gpu in gpus)


def _described(opened: OpenedModel, quant: str) -> DescribedModel:
    storage = preset_storage(opened.network, quant)
    return DescribedModel(name=opened.name, network=opened.network, storage=storage)

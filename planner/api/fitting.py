"""Does it fit: one model, or the whole catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hardware.spec import Machine
from planner.api.beside import beside_model
from planner.api.machines import machine_for, speed_facts
from planner.api.models import default_contexts, described_models, open_model
from planner.engines.ik_llama_cpp.command_line import CommandLine
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.given_split import FREE, GivenSplit
from planner.engines.llama_cpp.server_command import as_served, flags_of
from planner.errors import UnknownArchitectureError
from planner.estimate.catalogue import CATALOGUE_CONTEXT
from planner.estimate.concessions import Concession, Situation, concessions
from planner.estimate.described_model import DescribedModel
from planner.estimate.fit import FitRow, fit_row
from planner.estimate.given_devices import on_this_machine
from planner.estimate.memory import devices
from planner.estimate.placement import place_whole
from planner.estimate.ranking import catalogue_rank, headline
from planner.estimate.speed import SpeedFacts
from planner.model.opened_model import OpenedModel
from planner.progress import Progress
from planner.readers import open_model as reader
from profiles.loader import model_rows

# Tried from the largest for the catalogue: the best quality that runs where it is fastest.
CATALOGUE_QUANTS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
_LEAST_BITS = 4.25  # per weight in any of these, and in MXFP4


@dataclass(frozen=True, kw_only=True)
class FitAnswer:
    """Everything `planner fit REF` says."""

    machine: Machine
    opened: OpenedModel
    rows: tuple[FitRow, ...]
    notes: tuple[str, ...]
    own_choices: tuple[FitRow, ...] = ()  # the planner's own placements, where a person fixed something
    concessions: tuple[Concession, ...] = ()  # what the next step up would take, for the headline row


@dataclass(frozen=True, kw_only=True)
class CatalogueAnswer:
    """The catalogue's models that fit a machine, best first, and how many do not or are not understood."""

    machine: Machine
    n_context_tokens: int
    rows: tuple[tuple[str, FitRow], ...]  # catalogue id, row
    n_too_large: int
    notes: tuple[str, ...]


def fit(
    text: str,
    *,
    on: str | Machine | None = None,
    contexts: Sequence[int] = (),
    quants: Sequence[str] = (),
    flags: LlamaCppFlags | None = None,
    given: GivenSplit = FREE,
    command: CommandLine | None = None,
    mmproj: Path | None = None,
    draft: str | None = None,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> FitAnswer:
    """Whether and how a model fits a machine, for each quantization and context asked.

    A GGUF file has its own quantization; for a model known by its config, presets are predicted. What `given`
    fixes about the placement is respected, and the planner's own choice is made beside it. A `command` line of
    llama-server says which flags to use instead of `flags`, and which context. A projector file and a draft model's
    GGUF take room beside the model.
    """
    machine = machine_for(on)
    opened = open_model(text, assume, progress)
    facts, notes = speed_facts(machine)
    base = flags or LlamaCppFlags(n_context_tokens=1)
    if command is not None:
        # Without -c the server takes the model's own context.
        line = replace(command, n_context_tokens=command.n_context_tokens or 0)
        base = flags_of(line, base, opened.network.context_tokens)
        contexts = contexts or (base.n_context_tokens,)
    given = on_this_machine(given, machine, base, opened.network.n_layers)
    asked = [
        (model, replace(base, n_context_tokens=n))
        for model in described_models(opened, quants)
        for n in contexts or default_contexts(opened)
    ]
    beside = beside_model(mmproj, draft)
    rows = [fit_row(model, machine, one, facts, given, beside=beside) for model, one in asked]
    situation = Situation(machine=machine, facts=facts, given=given, beside=beside)
    return FitAnswer(
        machine=machine,
        opened=opened,
        rows=tuple(rows),
        notes=(*opened.notes, *notes),
        own_choices=()
        if given.is_free
        else tuple(fit_row(model, machine, one, facts, beside=beside) for model, one in asked),
        concessions=concessions(headline(rows), lambda quant: _at(opened, quant), situation),
    )


def _at(opened: OpenedModel, quant: str) -> DescribedModel:
    (model,) = described_models(opened, (quant,))
    return model


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
            opened = reader.from_catalogue(entry, entry["id"])
        except UnknownArchitectureError:
            not_understood.append(entry["id"])
            continue
        row = _best_row(opened, machine, n_context_tokens, facts)
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


def _best_row(
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
    models = (_at(opened, quant) for quant in quants)
    whole = next((model for model in models if place_whole(model, machine, flags) is not None), None)
    # Once a model is split between GPU and RAM, what it reads from RAM decides its speed: then the smallest is best.
    best = whole or _at(opened, quants[-1])
    row = fit_row(best, machine, flags, facts, with_largest_context=False)
    return row if row.placement.fits else None


def _memory_bytes(machine: Machine) -> int:
    """All memory there is; unified memory counts once, as the larger of the two."""
    gpus, ram = devices(machine)
    ram_bytes = ram.capacity_bytes if ram else 0
    if any(gpu.shares_ram for gpu in gpus):
        return max(ram_bytes, sum(gpu.capacity_bytes for gpu in gpus))
    return ram_bytes + sum(gpu.capacity_bytes for gpu in gpus)

"""Does it fit: one model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hardware.remote import LentMachines, with_remote_gpus
from hardware.spec import Machine
from planner.api.beside import beside_model
from planner.api.drafting import drafting_flags, drafting_of, with_own_layers
from planner.api.machines import machine_for, speed_facts
from planner.api.models import default_contexts, described_models, open_model
from planner.engines.ik_llama_cpp.command_line import CommandLine
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.asked_drafting import AskedDrafting
from planner.engines.llama_cpp.given_split import FREE, GivenSplit
from planner.engines.llama_cpp.server_command import flags_of
from planner.estimate.concessions import Concession, Situation, concessions
from planner.estimate.described_model import DescribedModel
from planner.estimate.fit import FitRow, fit_row
from planner.estimate.given_devices import on_this_machine
from planner.estimate.ranking import headline
from planner.model.opened_model import OpenedModel
from planner.progress import Progress


@dataclass(frozen=True, kw_only=True)
class FitAnswer:
    """Everything `planner fit REF` says."""

    machine: Machine
    opened: OpenedModel
    rows: tuple[FitRow, ...]
    notes: tuple[str, ...]
    own_choices: tuple[FitRow, ...] = ()  # the planner's own placements, where a person fixed something
    concessions: tuple[Concession, ...] = ()  # what the next step up would take, for the headline row


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
    drafting: AskedDrafting | None = None,
    lent: LentMachines | None = None,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> FitAnswer:
    """Whether and how a model fits a machine, for each quantization and context asked.

    A GGUF file has its own quantization; for a model known by its config, presets are predicted. What `given`
    fixes about the placement is respected, and the planner's own choice is made beside it. A `command` line of
    llama-server says which flags to use instead of `flags`, and which context. A projector file and what drafts
    tokens take room beside the model. GPUs of machines that are `lent` over RPC hold layers too.
    """
    machine = machine_for(on)
    if lent is not None:
        machine = with_remote_gpus(machine, [machine_for(other) for other in lent.machines], lent.network)
    opened = open_model(text, assume, progress)
    facts, notes = speed_facts(machine)
    base = flags or LlamaCppFlags(n_context_tokens=1)
    if command is not None:
        # Without -c the server takes the model's own context.
        line = replace(command, n_context_tokens=command.n_context_tokens or 0)
        base = flags_of(line, base, opened.network.context_tokens)
        contexts = contexts or (base.n_context_tokens,)
    given = on_this_machine(given, machine, base, opened.network.n_layers)
    drafted = None if drafting is None else drafting_of(drafting)
    base = drafting_flags(base, drafted)
    models = described_models(opened, quants)
    if drafting is not None and drafting.is_mtp:
        models = tuple(with_own_layers(model) for model in models)
    asked = [
        (model, replace(base, n_context_tokens=n))
        for model in models
        for n in contexts or default_contexts(opened)
    ]
    beside = beside_model(mmproj, drafted, opened.network)
    rows = [
        fit_row(model, machine, one, facts, given, beside=beside, drafting=drafted) for model, one in asked
    ]
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

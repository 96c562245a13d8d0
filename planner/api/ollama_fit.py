"""What Ollama does with one model on a machine, and what to tell it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hardware.spec import Machine
from planner.api.machines import machine_for, speed_facts
from planner.api.models import described_models, open_model
from planner.engines.ollama.settings import NO_ENVIRONMENT, NO_OPTIONS, OllamaEnvironment, OllamaOptions
from planner.engines.ollama.versions import CURRENT, Version
from planner.errors import MissingFactError
from planner.estimate.memory import devices
from planner.estimate.ollama_fit import Asked, OllamaRow, ollama_row
from planner.model.opened_model import OpenedModel
from planner.progress import Progress

_DEFAULT_QUANTS = ("Q4_K_M", "Q8_0")  # what Ollama's library offers of most models
_OLLAMA = "ollama:"


@dataclass(frozen=True, kw_only=True)
class OllamaAnswer:
    """Everything `planner fit REF --engine ollama` says."""

    machine: Machine
    opened: OpenedModel
    version: Version
    rows: tuple[OllamaRow, ...]
    notes: tuple[str, ...]


def fit_ollama(
    text: str,
    *,
    on: str | Machine | None = None,
    contexts: Sequence[int] = (),
    quants: Sequence[str] = (),
    options: OllamaOptions = NO_OPTIONS,
    environment: OllamaEnvironment = NO_ENVIRONMENT,
    version: Version = CURRENT,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> OllamaAnswer:
    """Ollama's own placement and the best that it can be told, for each quantization and context.

    Without `contexts` the one that it takes by itself. Raises MissingFactError where nothing is known of the
    machine's memory, and for versions before 0.30.0.
    """
    machine = machine_for(on)
    gpus, ram = devices(machine)
    if not gpus and ram is None:
        raise MissingFactError(
            f"nothing is known of the memory of {machine.name}; describe it, for example --on 'RTX 4090, 64GiB'"
        )
    opened = open_model(text, assume, progress)
    facts, notes = speed_facts(machine, "ollama")
    if opened.storage is None and not quants and opened.native_preset is None:
        quants = _DEFAULT_QUANTS
    rows = []
    for model in described_models(opened, quants):
        source = model_source(opened, model.storage.label)
        for context in contexts or (options.num_ctx,):
            asked = Asked(options=replace(options, num_ctx=context), environment=environment, version=version)
            rows.append(ollama_row(model, machine, facts, asked, source))
    towers = [tower.name for tower in opened.network.towers]
    if towers:
        notes += (
            f"{', '.join(towers)}: a projector takes memory beside this, and a GiB more is kept free for it",
        )
    return OllamaAnswer(
        machine=machine, opened=opened, version=version, rows=tuple(rows), notes=(*opened.notes, *notes)
    )


def model_source(opened: OpenedModel, label: str) -> str:
    """What a Modelfile starts from: Ollama's own name, a file, or the usual name of a file that is not here yet."""
    if opened.reference.startswith(_OLLAMA):
        return opened.reference.removeprefix(_OLLAMA)
    if opened.path is not None:
        return str(opened.path)
    return f"./{'-'.join(opened.name.rpartition('/')[2].split())}-{label}.gguf"

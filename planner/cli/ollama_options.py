"""From the options of `planner fit --engine ollama` to an answer."""

from collections.abc import Sequence
from typing import Any

import click
from click.core import ParameterSource

from planner import api
from planner.cli.placement_options import Wanted
from planner.cli.progress import patient_progress
from planner.engines.ollama.settings import OllamaEnvironment, OllamaOptions
from planner.engines.ollama.versions import CURRENT, parse_version
from planner.report.document import Document
from planner.report.ollama_document import ollama_document

# Parameters of the command that mean something to Ollama.
_UNDERSTOOD = frozenset(
    ("ref", "on", "contexts", "quants", "kv_type", "sequences", "ubatch", "flash_attention", "gpu_layers", "engine",
     "engine_version", "assume", "output_format")
)  # fmt: skip


def answer_ollama(
    ref: str | None,
    on: str | None,
    contexts: Sequence[int],
    quants: Sequence[str],
    wanted: Wanted,
    version: str | None,
    assume: Sequence[str],
) -> Document:
    """The document for a model in Ollama; what nobody gave on the command line is Ollama's own choice."""
    _refuse_others()
    if ref is None:
        raise click.UsageError("--engine ollama is for one model; name it")
    found_version = CURRENT if version is None else parse_version(version)
    options = OllamaOptions(num_batch=_given("ubatch"), num_gpu=wanted.given.n_gpu_layers)
    kv_type = _given("kv_type")
    environment = OllamaEnvironment(
        num_parallel=_given("sequences"),
        kv_cache_type=None if kv_type is None else kv_type.lower(),
        flash_attention=_given("flash_attention"),
    )
    with patient_progress("Reading") as progress:
        answer = api.fit_ollama(
            ref,
            on=on,
            contexts=contexts,
            quants=quants,
            options=options,
            environment=environment,
            version=found_version,
            assume=assume,
            progress=progress,
        )
    told = ".".join(map(str, answer.version))
    return ollama_document(answer.machine, answer.opened, told, answer.rows, answer.notes)


def _refuse_others() -> None:
    context = click.get_current_context()
    for param in context.command.params:
        name = param.name or ""
        if name not in _UNDERSTOOD and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{param.opts[0]} is not for --engine ollama")


def _given(name: str) -> Any:
    """An option's value where somebody gave it."""
    context = click.get_current_context()
    given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    return context.params[name] if given else None

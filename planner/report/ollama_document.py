"""`planner fit REF --engine ollama` as a document: what Ollama does by itself, and what to tell it."""

import shlex
from collections.abc import Sequence
from typing import Any

from hardware.spec import Machine
from hardware.units import GB, format_bytes
from planner.engines.ollama.modelfile import environment_lines, modelfile_text, without_words
from planner.engines.ollama.reported import ReportedSize
from planner.estimate.ollama_fit import OllamaChoice, OllamaRow
from planner.model.opened_model import OpenedModel
from planner.report.document import Document, Table, listed
from planner.report.estimate_data import fit_row_data
from planner.report.fit_document import lacking, memory_table, tight
from planner.report.quantities import interval, speed

_FASTER = 1.1  # llama-server is pointed to where it decodes faster by so much


def ollama_document(
    machine: Machine, opened: OpenedModel, version: str, rows: Sequence[OllamaRow], notes: Sequence[str]
) -> Document:
    """The answer: Ollama's own placement and the best it can be told, memory by term, the Modelfile for it."""
    head = next((row for row in rows if row.best.row.placement.fits), rows[0])
    best = head.best
    missing = dict.fromkeys(
        estimate.missing
        for row in rows
        for choice in (row.own, row.best)
        for estimate in (choice.row.decode, choice.row.prefill)
        if estimate.missing
    )
    fits = best.row.placement.fits
    return Document(
        schema="planner.ollama-fit/1",
        title=f"{opened.name} on {machine.name} with Ollama {version}",
        answer=_answer(machine, opened, version, head),
        tables=(_choices_table(rows), memory_table(best.row), *((_told_table(best),) if fits else ())),
        commands=_commands(opened, best) if fits else (),
        notes=(*tight(best.row), *notes, *machine.problems, *(f"speed: {text}" for text in missing)),
        data={
            "machine": machine.name,
            "model": opened.name,
            "version": version,
            "rows": [_row_data(row) for row in rows],
            "notes": [*notes, *machine.problems],
        },
    )


def _answer(machine: Machine, opened: OpenedModel, version: str, row: OllamaRow) -> tuple[str, ...]:
    own, best = row.own, row.best
    placement = own.row.placement
    context = f"{placement.flags.n_context_tokens // placement.flags.n_sequences:,} tokens"
    if row.is_default_context:
        context += ", its default here,"
    label = own.row.model.storage.label
    if not best.row.placement.fits:
        needed = format_bytes(best.row.placement.needed_bytes)
        start = (
            f"{opened.name} does not fit on {machine.name} with Ollama {version}: {label} at {context} needs"
        )
        return (f"{start} {needed}; {lacking(best.row)}.",)
    if placement.fits:
        first = (
            f"Left to itself, Ollama {version} runs {opened.name} {own.where}: {label} at {context} needs "
        )
        first += (
            f"{format_bytes(placement.needed_bytes)}{_decodes(own)}; `ollama ps` shows {shown(own.reported)}."
        )
    else:
        first = (
            f"Left to itself, Ollama {version} does not load {opened.name}: {label} at {context} lacks memory "
            f"({lacking(own.row)})."
        )
    return (first, *_told(row), *_judgement(row), *_beyond(row))


def _decodes(choice: OllamaChoice) -> str:
    found = choice.row.decode.tokens_per_s
    return "" if found is None else f" and decodes {interval(found)} tokens per second"


def _told(row: OllamaRow) -> tuple[str, ...]:
    if row.best is row.own:
        return ("Nothing that it can be told is faster at this context.",)
    return (f"With the Modelfile below it runs {row.best.where}{_decodes(row.best)}.",)


def _judgement(row: OllamaRow) -> tuple[str, ...]:
    """Whether Ollama's own choice spills to main memory, and from which context on it would not."""
    if not row.own.spills:
        return ()
    cause = "its default context" if row.is_default_context else "this context"
    if row.shorter is None:
        return (
            "Part of it would be in main memory at shorter contexts too: the weights are too large for the GPUs.",
        )
    flags = row.shorter.row.placement.flags
    tokens = flags.n_context_tokens // flags.n_sequences
    first = f"It is {cause} that pushes part of it into main memory: with {tokens:,} tokens"
    return (f"{first} (PARAMETER num_ctx {tokens}) it runs {row.shorter.where}{_decodes(row.shorter)}.",)


def _beyond(row: OllamaRow) -> tuple[str, ...]:
    """What llama-server itself could do, where Ollama has no words for it."""
    mine, other = row.best.row.decode.tokens_per_s, row.llama_server.decode.tokens_per_s
    placement = row.llama_server.placement
    if not placement.fits or other is None or (mine is not None and other.expected < _FASTER * mine.expected):
        return ()
    unsaid = without_words(row.best.row.placement.flags, placement.split)
    told = f"Ollama cannot be told {listed(unsaid)}" if unsaid else "Ollama keeps a GiB free on every GPU"
    return (
        f"llama-server itself would run it {placement.kind} and decode {interval(other)} tokens per second; {told}.",
    )


def shown(size: ReportedSize) -> str:
    """As the columns SIZE and PROCESSOR of `ollama ps` put it."""
    total = f"{size.size_bytes / GB:.1f} GB"
    if not size.vram_bytes:
        return f"{total}, 100% CPU"
    if size.vram_bytes >= size.size_bytes:
        return f"{total}, 100% GPU"
    cpu = round((size.size_bytes - size.vram_bytes) / size.size_bytes * 100)
    return f"{total}, {cpu}%/{100 - cpu}% CPU/GPU"


def _choices_table(rows: Sequence[OllamaRow]) -> Table:
    body = []
    for row in rows:
        choices = [("by itself", row.own)] + ([("told", row.best)] if row.best is not row.own else [])
        for who, choice in choices:
            placement = choice.row.placement
            flags = placement.flags
            body.append(
                (
                    choice.row.model.storage.label,
                    f"{flags.n_context_tokens // flags.n_sequences:,}",
                    who,
                    format_bytes(placement.needed_bytes),
                    choice.where if placement.fits else "does not fit",
                    speed(choice.row.decode) if placement.fits else "–",
                    speed(choice.row.prefill) if placement.fits else "–",
                    shown(choice.reported) if placement.fits else "–",
                )
            )
    return Table(
        title="Tokens per second, with the 80 % interval",
        headers=("quant", "context", "Ollama", "memory", "where", "decode", "prompt", "ollama ps"),
        rows=tuple(body),
        right=(1, 3, 5, 6),
    )


def _told_table(choice: OllamaChoice) -> Table:
    lines = [("Modelfile", line) for line in modelfile_text(choice.plan.modelfile).splitlines()]
    lines += [("environment", line) for line in environment_lines(choice.plan.environment)]
    return Table(title="What to give Ollama", headers=("in", "line"), rows=tuple(lines))


def _commands(opened: OpenedModel, choice: OllamaChoice) -> tuple[str, ...]:
    lines = modelfile_text(choice.plan.modelfile).splitlines()
    name = opened.name.rpartition("/")[2].partition(":")[0].lower().replace(" ", "-")
    commands = [f"printf '%s\\n' {shlex.join(lines)} > Modelfile"]
    environment = environment_lines(choice.plan.environment)
    if environment:
        commands.append(f"{' '.join(environment)} ollama serve")
    return (*commands, shlex.join(("ollama", "create", f"{name}-planned", "-f", "Modelfile")))


def _row_data(row: OllamaRow) -> dict[str, Any]:
    return {
        "is_default_context": row.is_default_context,
        "own": _choice_data(row.own),
        "best": _choice_data(row.best),
        "shorter": None if row.shorter is None else _choice_data(row.shorter),
        "llama_server": fit_row_data(row.llama_server),
    }


def _choice_data(choice: OllamaChoice) -> dict[str, Any]:
    return {
        **fit_row_data(choice.row),
        "where": choice.where,
        "spills": choice.spills,
        "num_gpu": choice.plan.modelfile.options.num_gpu,
        "main_gpu": choice.plan.modelfile.options.main_gpu,
        "modelfile": modelfile_text(choice.plan.modelfile),
        "environment": list(environment_lines(choice.plan.environment)),
        "reported_size_bytes": choice.reported.size_bytes,
        "reported_vram_bytes": choice.reported.vram_bytes,
    }

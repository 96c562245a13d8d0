"""`planner fit` as a document: does it fit, what lies where, how fast, with which flags."""

import shlex
from collections.abc import Sequence

from hardware.spec import Machine
from hardware.units import format_bytes, format_count
from planner.estimate.concessions import Concession
from planner.estimate.fit import FitRow
from planner.estimate.ranking import headline
from planner.estimate.speed import SpeedEstimate
from planner.model.opened_model import OpenedModel
from planner.report.document import Document, Table, listed
from planner.report.drafted_and_together import step_notes, step_tables
from planner.report.estimate_data import fit_row_data
from planner.report.quantities import interval, rate, speed

FIT_ORDER_NOTE = (
    "best first: not split between GPU and RAM before split, released in the last two years before older, then "
    "by √(total · active parameters), a rule of thumb; test on your own task before you decide"
)


def fit_document(
    machine: Machine,
    opened: OpenedModel,
    rows: Sequence[FitRow],
    notes: Sequence[str],
    *,
    own_choices: Sequence[FitRow] = (),
    concessions: Sequence[Concession] = (),
    explain: bool = False,
) -> Document:
    """The answer for one model: a sentence, memory by term, one row per quantization and context.

    `own_choices` are the planner's placements beside those of a person's own flags, `concessions` what the next
    step up from the headline row would take.
    """
    best = headline(rows)
    tables = [_choices_table(rows), *step_tables(best), memory_table(best)]
    if own_choices:
        tables.append(_judged_table(rows, own_choices))
    if concessions:
        tables.append(_concessions_table(concessions))
    if explain:
        tables += [_terms_table(best)]
    missing = dict.fromkeys(
        estimate.missing for row in rows for estimate in (row.decode, row.prefill) if estimate.missing
    )
    return Document(
        schema="planner.fit/1",
        title=f"{opened.name} on {machine.name}",
        answer=_answer(machine, opened, rows, best),
        tables=tuple(tables),
        commands=(shlex.join(best.command),) if best.placement.fits else (),
        notes=(
            *tight(best),
            *notes,
            *machine.problems,
            *(f"speed: {text}" for text in missing),
            *step_notes(best),
        ),
        data={
            "machine": machine.name,
            "model": opened.name,
            "rows": [fit_row_data(row) for row in rows],
            "own_choices": [fit_row_data(row) for row in own_choices],
            "concessions": [
                {"wish": found.wish, "gives": found.gives, **fit_row_data(found.row)} for found in concessions
            ],
            "notes": [*notes, *machine.problems],
        },
    )


SHOWN_MODELS = 20  # of the catalogue, unless all are asked for


def catalogue_document(
    machine: Machine,
    n_context_tokens: int,
    rows: Sequence[tuple[str, FitRow]],
    n_too_large: int,
    notes: Sequence[str],
    *,
    n_shown: int | None = None,
) -> Document:
    """The catalogue's models that fit, best first; tables show `n_shown` of them, the data all."""
    missing = dict.fromkeys(row.decode.missing for _, row in rows if row.decode.missing)
    answer = (
        f"{len(rows)} of {len(rows) + n_too_large} catalogue models fit {machine.name} at a context of "
        f"{n_context_tokens:,} tokens; the finest quantization that runs best is shown for each, speeds with their 80 % interval."
    )
    table = Table(
        title="",
        headers=("model", "size", "quant", "memory", "where", "decode tok/s"),
        rows=tuple(
            (
                name,
                _sizes(row),
                row.model.storage.label,
                format_bytes(row.placement.needed_bytes),
                _where(row),
                speed(row.decode),
            )
            for name, row in rows[:n_shown]
        ),
        right=(1, 3, 5),
    )
    n_left = len(rows) - len(rows[:n_shown])
    more = (f"{n_left} more fit; --all shows them, `planner models --max-memory` filters",) if n_left else ()
    return Document(
        schema="planner.fit-catalogue/1",
        title=f"What fits on {machine.name}",
        answer=(answer,),
        tables=(table,),
        commands=("planner fit NAME",) if rows else (),
        notes=(
            *more,
            FIT_ORDER_NOTE,
            *notes,
            *machine.problems,
            *(f"speed: {text}" for text in missing),
        ),
        data={
            "machine": machine.name,
            "n_context_tokens": n_context_tokens,
            "n_too_large": n_too_large,
            "rows": [{"id": name, **fit_row_data(row)} for name, row in rows],
        },
    )


def _where(row: FitRow) -> str:
    """Where it runs, in one word for a long list."""
    on_gpu = row.placement.split.n_gpu_layers > 0
    whole = row.placement.split.n_gpu_layers > row.placement.n_layers and not row.placement.split.n_cpu_moe
    return "GPU" if whole else "GPU+RAM" if on_gpu else "RAM"


def _sizes(row: FitRow) -> str:
    parameters = row.model.network.parameters
    return format_count(parameters.text)


def _answer(machine: Machine, opened: OpenedModel, rows: Sequence[FitRow], best: FitRow) -> tuple[str, ...]:
    placement = best.placement
    context = f"{placement.flags.n_context_tokens:,} tokens"
    label = best.model.storage.label
    if not placement.fits:
        return (
            (
                f"{opened.name} does not fit on {machine.name}: {label} at {context} needs "
                f"{format_bytes(placement.needed_bytes)}; {lacking(best)}."
            ),
        )
    sentence = f"{opened.name} fits {placement.kind}: {label} at {context} needs {format_bytes(placement.needed_bytes)}"
    found = best.decode.tokens_per_s
    if found is not None:
        sentence += f" and decodes {interval(found)} tokens per second"
    if best.decode.limited_by:
        sentence += f", limited by {best.decode.limited_by}"
    sentences = [sentence + "."]
    if best.largest_context_tokens:
        sentences.append(f"The largest context that fits this way is {best.largest_context_tokens:,} tokens.")
    left_out = [row for row in rows if not row.placement.fits]
    if left_out:
        sentences.append(f"{len(left_out)} of the {len(rows)} combinations asked for do not fit.")
    return tuple(sentences)


def _choices_table(rows: Sequence[FitRow]) -> Table:
    return Table(
        title="Tokens per second, with the 80 % interval",
        headers=("quant", "context", "memory", "where", "decode", "full context", "prompt"),
        rows=tuple(
            (
                row.model.storage.label,
                f"{row.placement.flags.n_context_tokens:,}",
                format_bytes(row.placement.needed_bytes),
                row.placement.kind if row.placement.fits else "does not fit",
                speed(row.decode) if row.placement.fits else "–",
                _expected(row.decode_full) if row.placement.fits else "–",
                speed(row.prefill) if row.placement.fits else "–",
            )
            for row in rows
        ),
        right=(1, 2, 4, 5, 6),
    )


def _expected(estimate: SpeedEstimate) -> str:
    return "unknown" if estimate.tokens_per_s is None else rate(estimate.tokens_per_s.expected)


def memory_table(row: FitRow) -> Table:
    """What lies on each device, term by term."""
    loads = [load for load in row.placement.loads if load.terms]
    names = list(dict.fromkeys(term.name for load in loads for term in load.terms))
    body: list[tuple[str, ...]] = []
    for name in names:
        sources = dict.fromkeys(term.source for load in loads for term in load.terms if term.name == name)
        cells = [load.term_bytes(name) for load in loads]
        body.append((name, *(format_bytes(cell) if cell else "–" for cell in cells), "; ".join(sources)))
    body.append(("needed", *(format_bytes(load.needed_bytes) for load in loads), ""))
    body.append(
        ("left", *(format_bytes(load.free_bytes) for load in loads), "of what is free now or installed")
    )
    headers = tuple(f"{load.device.name} {format_bytes(load.device.capacity_bytes)}" for load in loads)
    return Table(
        title=f"Memory: {row.model.storage.label} at {row.placement.flags.n_context_tokens:,} tokens",
        headers=("", *headers, "from"),
        rows=tuple(body),
        right=tuple(range(1, len(loads) + 1)),
    )


def tight(row: FitRow) -> tuple[str, ...]:
    """Devices that hold their part with less room than the driver's share is unsure by."""
    if not row.placement.fits:
        return ()
    return tuple(
        f"{load.device.name} is tight: {format_bytes(load.free_bytes)} left, less than the "
        f"{format_bytes(load.term_bytes('engine and driver'))} assumed for the driver may be off by"
        for load in row.placement.loads
        if load.device.is_gpu and load.terms and load.free_bytes < load.term_bytes("engine and driver")
    )


def _judged_table(rows: Sequence[FitRow], own_choices: Sequence[FitRow]) -> Table:
    """A person's own placement against the planner's."""
    body = []
    for row, own in zip(rows, own_choices, strict=True):
        for whose, one in (("yours", row), ("the planner's", own)):
            placement = one.placement
            on_gpus = [load for load in placement.loads if load.device.is_gpu and load.terms]
            body.append(
                (
                    one.model.storage.label,
                    f"{placement.flags.n_context_tokens:,}",
                    whose,
                    placement.kind if placement.fits else "does not fit",
                    format_bytes(min((load.free_bytes for load in on_gpus), default=0)) if on_gpus else "–",
                    speed(one.decode) if placement.fits else "–",
                )
            )
    return Table(
        title="Your flags against the planner's own choice",
        headers=("quant", "context", "whose", "where", "least left on a GPU", "decode"),
        rows=tuple(body),
        right=(1, 4, 5),
    )


def _concessions_table(concessions: Sequence[Concession]) -> Table:
    return Table(
        title="What would have to give",
        headers=("for", "what gives", "memory", "decode"),
        rows=tuple(
            (
                found.wish,
                (found.gives or "nothing")
                if found.row.placement.fits
                else f"does not fit: {lacking(found.row)}",
                format_bytes(found.row.placement.needed_bytes),
                speed(found.row.decode) if found.row.placement.fits else "–",
            )
            for found in concessions
        ),
        right=(2, 3),
    )


def lacking(row: FitRow) -> str:
    """Which devices are too small and by how much."""
    return listed(
        [
            f"{load.device.name} lacks {format_bytes(-load.free_bytes)}"
            for load in row.placement.loads
            if not load.fits
        ]
    )


def _terms_table(row: FitRow) -> Table:
    body = []
    for what, estimate in (("decode, s per token", row.decode), ("prompt, s", row.prefill)):
        body += [
            (what, term.name, f"{term.value:.4g}", term.basis.value, term.source) for term in estimate.terms
        ]
    return Table(title="Time", headers=("of", "term", "s", "basis", "from"), rows=tuple(body), right=(2,))

"""The report's tables, in the sections that every format shows in the same order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hardware.units import format_bytes
from planner.estimate.fit import PROMPT_TOKENS, FitRow
from planner.estimate.memory import DeviceLoad
from planner.estimate.speed import SpeedEstimate
from planner.estimate.term import Term
from planner.report.described import machine_table, model_tables, run_table
from planner.report.document import Table
from planner.report.drafted_and_together import step_tables
from planner.report.figures import percent, seconds, with_spread
from planner.report.findings import MemoryCheck, SpeedCheck, headline, memory_checks, money, speed_checks
from planner.report.full import FullReport, PricedApi
from planner.report.outside_text import plain
from planner.report.quantities import interval, rate, size, speed, usd, usd_per_mtok

DASH = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, a sentence that says what to see, tables, and the chart that goes with them, by its key."""

    slug: str
    title: str
    lead: str
    tables: tuple[Table, ...]
    chart: str | None = None  # "memory", "speed" or "cost"
    folded: bool = False  # shown on demand where a format can fold


def sections(report: FullReport) -> tuple[Section, ...]:
    """All sections: memory, speed, cost, the machine, the model, and how the numbers were made."""
    return (
        _memory_section(report),
        _speed_section(report),
        _cost_section(report),
        Section(
            slug="machine",
            title="The machine",
            lead="What was inspected here, or what the description says; unknown facts are left open.",
            tables=(machine_table(report.machine),),
        ),
        Section(
            slug="model",
            title="The model",
            lead="What the network is and how its weights are stored.",
            tables=model_tables(report),
        ),
        *_notes_section(report),
        _workings(report),
    )


def _memory_section(report: FullReport) -> Section:
    row = headline(report)
    n = row.placement.flags.n_context_tokens
    fits = "" if row.placement.fits else " It does not fit."
    lead = f"Memory at a context of {n:,} tokens, term by term, against what each device has.{fits}"
    return Section(
        slug="memory", title="Memory", lead=lead, tables=(_memory_table(row),), chart="memory"
    )  # fmt: skip


def _memory_table(row: FitRow) -> Table:
    loads = tuple(load for load in row.placement.loads if load.terms)
    names = tuple(dict.fromkeys(term.name for load in loads for term in load.terms))
    rows = []
    for name in names:
        terms = [term for load in loads for term in load.terms if term.name == name]
        sources = "; ".join(dict.fromkeys(f"{plain(term.source)} ({term.basis})" for term in terms))
        rows.append((name, *(_cell(load, name) for load in loads), sources))
    rows.append(("needed", *(format_bytes(load.needed_bytes) for load in loads), "sum"))
    rows.append(("available", *(format_bytes(load.device.capacity_bytes) for load in loads), "the machine"))
    rows.append(("left over", *(format_bytes(load.free_bytes) for load in loads), ""))
    return Table(
        title=f"Memory by term, {row.placement.flags.n_context_tokens:,} tokens of context",
        headers=("term", *(plain(load.device.name, 40) for load in loads), "from"),
        rows=tuple(rows),
        right=tuple(range(1, len(loads) + 1)),
    )


def _cell(load: DeviceLoad, name: str) -> str:
    n_bytes = load.term_bytes(name)
    return format_bytes(n_bytes) if n_bytes else DASH


def _speed_section(report: FullReport) -> Section:
    checks = speed_checks(report)
    judged = [check for check in checks if check.held is not None]
    if report.run is None and not report.before.placement.fits:
        lead = "Without room for the model there is no speed to give."
    elif report.run is None:
        lead = "Estimates with their 80 % intervals: the truth should lie inside four times in five."
    elif judged:
        n_held = sum(1 for check in judged if check.held)
        lead = (
            f"{n_held} of {len(judged)} measured means lie inside the 80 % interval that was estimated "
            "before any benchmark of this machine."
        )
    else:
        lead = "Measured here; there is no estimate of the same tests to hold against it."
    return Section(
        slug="speed",
        title="Speed",
        lead=lead,
        tables=(_check_table(checks), _context_table(report), *step_tables(headline(report))),
        chart="speed",
    )


def _check_table(checks: Sequence[SpeedCheck]) -> Table:
    return Table(
        title="Estimate against measurement, tokens per second",
        headers=("test", "low", "expected", "high", "measured ± sd", "n", "measured / expected", "inside"),
        rows=tuple(_check_row(check) for check in checks),
        right=(1, 2, 3, 4, 5, 6),
    )


def _check_row(check: SpeedCheck) -> tuple[str | int, ...]:
    found, measured = check.predicted, check.measured
    bounds = (DASH, DASH, DASH)
    if found is not None:
        bounds = (rate(found.low), rate(found.expected), rate(found.high))
    inside = DASH if check.held is None else "yes" if check.held else "no"
    return (
        check.name,
        *bounds,
        DASH if measured is None else with_spread(measured),
        DASH if measured is None else len(measured.samples_s),
        DASH if check.ratio is None else f"{check.ratio:.2f}",
        inside,
    )


def _context_table(report: FullReport) -> Table:
    return Table(
        title="Contexts: memory, and tokens per second as expected (80 % low–high)",
        headers=(
            "context", "runs", "needs", "decode, empty", "decode, full", f"prompt of {PROMPT_TOKENS}", "basis",
        ),
        rows=tuple(_context_row(row) for row in report.rows or (report.before,)),
        right=(0, 2, 3, 4, 5),
    )  # fmt: skip


def _context_row(row: FitRow) -> tuple[str, ...]:
    placement = row.placement
    context = f"{placement.flags.n_context_tokens:,}"
    needs = format_bytes(placement.needed_bytes)
    if not placement.fits:
        return (context, "does not fit", needs, DASH, DASH, DASH, DASH)
    speeds = (row.decode, row.decode_full, row.prefill)
    known = dict.fromkeys(str(item.tokens_per_s.basis) for item in speeds if item.tokens_per_s is not None)
    return (context, placement.kind, needs, *(speed(item) for item in speeds), ", ".join(known) or DASH)


def _cost_section(report: FullReport) -> Section:
    found = money(report)
    share = percent(report.output_fraction)
    lead = (
        f"{report.tokens_per_month:,.0f} tokens a month, prompts and answers together, {share} of them "
        "generated; nothing cached, no batch discount."
    )
    if found.cheapest is not None and not found.cheapest_is_same_model:
        lead += " The APIs serve other models: a price says nothing of how good their answers are."
    return Section(
        slug="cost", title="Cost", lead=lead, tables=_cost_tables(report), chart="cost" if report.apis else None
    )  # fmt: skip


def _cost_tables(report: FullReport) -> tuple[Table, ...]:
    found = money(report)
    apis = Table(
        title="Cost per month by API",
        headers=(
            "provider", "model", "$ per M in", "$ per M out", "$ a month", "source and date", "prices", "note",
        ),
        rows=tuple(_api_row(api) for api in report.apis),
        right=(2, 3, 4),
    )  # fmt: skip
    own = Table(
        title="This machine against the cheapest API",
        headers=("what", "value"),
        rows=(
            ("tokens a month it can make, one request at a time", _tokens(found.capacity_tokens_per_month)),
            (
                "machines that the workload takes",
                DASH if found.n_machines is None else f"{found.n_machines:,}",
            ),
            ("a month of one may cost before the API is cheaper", _usd(found.break_even_usd_per_month)),
            ("the same for one that never rests", _usd(found.full_break_even_usd_per_month)),
            ("a month of one costs", _own_cost(report)),
            ("tokens a month above which one wins", _tokens(found.break_even_tokens_per_month)),
        ),
        right=(),
    )
    return (own, apis) if report.apis else (own,)


def _own_cost(report: FullReport) -> str:
    note = plain(report.own_cost_note)
    if report.own_usd_per_month is None:
        return note or "unknown"
    return f"{usd(report.own_usd_per_month)} ({note})" if note else usd(report.own_usd_per_month)


def _tokens(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _usd(value: float | None) -> str:
    return "unknown" if value is None else usd(value)


def _api_row(api: PricedApi) -> tuple[str, ...]:
    price = api.price
    source = plain(price.source, 60)
    if price.prices_checked is not None:
        source += f", checked {price.prices_checked}"
    elif price.data_date is not None:
        source += f", list of {price.data_date}"
    else:
        source += ", date unknown"
    return (
        plain(price.provider, 60),
        plain(price.model_id, 100),
        usd_per_mtok(price.input_usd_per_mtok),
        usd_per_mtok(price.output_usd_per_mtok),
        usd(api.usd_per_month),
        source,
        plain(price.url or DASH, 300),
        plain(price.note or DASH, 400),
    )


def _workings(report: FullReport) -> Section:
    tables = []
    if report.run is not None:
        tables.append(run_table(report.run))
    checks = memory_checks(report)
    if checks:
        tables.append(_memory_check_table(checks))
    tables.append(_terms_table("before any benchmark", report.before))
    tables += [_terms_table("with what is known now", row) for row in report.rows]
    return Section(
        slug="workings",
        title="How the numbers were made",
        lead="Every estimate is a sum of terms; a sum is only as good as its weakest term. Best first: measured "
        "here, stated by a vendor or in the file, derived by a rule, assumed.",
        tables=tuple(tables),
        folded=True,
    )


def _memory_check_table(checks: Sequence[MemoryCheck]) -> Table:
    rows = [(check.component, check.predicted_bytes, check.reported_bytes) for check in checks]
    rows.append(("sum", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    return Table(
        title="Memory at the benchmark's context: estimate against the engine's own report",
        headers=("component", "estimated", "reported", "reported / estimated"),
        rows=tuple((name, size(a), size(b), f"{b / a:.3f}" if a else DASH) for name, a, b in rows),
        right=(1, 2, 3),
    )


def _terms_table(when: str, row: FitRow) -> Table:
    rows: list[tuple[str, ...]] = []
    for load in row.placement.loads:
        where = f"memory of {plain(load.device.name, 40)}"
        rows += [_term_row(where, term, size(term.value)) for term in load.terms]
    for what, estimate in _speeds(row):
        rows += [_term_row(what, term, seconds(term.value)) for term in estimate.terms]
        if estimate.tokens_per_s is not None:
            found = estimate.tokens_per_s
            rows.append((what, "tokens per second", interval(found), str(found.basis), plain(found.source)))
        else:
            rows.append((what, "tokens per second", "unknown", DASH, plain(estimate.missing or "")))
    n = row.placement.flags.n_context_tokens
    return Table(
        title=f"Terms at {n:,} tokens of context, {when}",
        headers=("estimate of", "term", "value", "basis", "source"),
        rows=tuple(rows),
        right=(2,),
    )


def _term_row(what: str, term: Term, value: str) -> tuple[str, ...]:
    return (what, plain(term.name, 60), value, str(term.basis), plain(term.source))


def _speeds(row: FitRow) -> Iterable[tuple[str, SpeedEstimate]]:
    n = row.placement.flags.n_context_tokens
    yield "decode, empty context", row.decode
    yield f"decode, {n:,} cached", row.decode_full
    yield f"prompt of {min(PROMPT_TOKENS, n)}", row.prefill


def _notes_section(report: FullReport) -> tuple[Section, ...]:
    found = [("report", note) for note in report.notes]
    found += [("machine", problem) for problem in report.machine.problems]
    found += [(plain(gpu.name, 60), gpu.problem) for gpu in report.machine.gpus if gpu.problem]
    found += [("model", note) for note in (*report.opened.notes, *report.opened.network.notes)]
    found += [("benchmark", note) for note in (report.run.notes if report.run else ())]
    for row in (report.before, *report.rows):
        n = row.placement.flags.n_context_tokens
        missing = [(what, estimate.missing) for what, estimate in _speeds(row) if estimate.missing]
        found += [(f"{what}, context {n:,}", reason) for what, reason in missing]
    if not found:
        return ()
    # The report's own notes repeat those of the model, and contexts lack the same facts: the first says it.
    unique = {plain(note, 500): about for about, note in reversed(found)}
    rows = tuple((about, note) for note, about in reversed(unique.items()))
    table = Table(title="Notes and problems", headers=("about", "note"), rows=rows)
    lead = "What was odd, missing or left out."
    return (Section(slug="notes", title="Notes", lead=lead, tables=(table,)),)

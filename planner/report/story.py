"""The report in words and tables: the answer first, then what carries it. Every format shows this story."""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime

from hardware.spec import Basis
from hardware.units import format_bytes, format_count
from planner.estimate.fit import FitRow
from planner.estimate.measurement import Measurement
from planner.estimate.memory import DeviceLoad
from planner.estimate.speed import SpeedEstimate
from planner.estimate.term import Interval
from planner.report.document import Table, listed
from planner.report.figures import percent, with_spread
from planner.report.findings import Money, SpeedCheck, headline, money, speed_checks
from planner.report.full import FullReport, PricedApi
from planner.report.outside_text import plain
from planner.report.quantities import interval, rate, usd
from planner.report.sections import Section, sections


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One number that people look for first: what it is, the number, and what to know about it."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a report says, before any format; all of it is text on one line, not yet escaped for any markup."""

    title: str
    subtitle: str
    answer: tuple[str, ...]  # of a model: does it fit, how fast, what it costs
    figures: tuple[KeyFigure, ...]
    command: str | None  # None when the model does not fit
    sections: tuple[Section, ...]
    command_label: str = "To run it so:"
    footer: str = (
        "GiB are 2³⁰ bytes, GB are 10⁹. An 80 % interval should hold the truth four times in five. "
        "Speeds are of one sequence; “empty” and “full” tell how much of the context is filled."
    )

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables in order."""
        return tuple(table for section in self.sections for table in section.tables)


def story(report: FullReport) -> Story:
    """The report's sentences, key figures and tables; numbers come from the record only."""
    row = headline(report)
    found = money(report)
    checks = speed_checks(report)
    return Story(
        title=f"{_model(report)} on {plain(report.machine.name, 100)}",
        subtitle=f"Capacity report of {_moment(report.made_at)}, planner {plain(report.planner_version, 40)}",
        answer=(
            _fit_sentence(report, row),
            _speed_sentence(report, row, checks),
            _money_sentence(report, found),
        ),
        figures=_key_figures(report, row, found),
        command=plain(shlex.join(row.command), 600) if row.placement.fits else None,
        sections=sections(report),
    )


def _moment(made_at: str) -> str:
    """An ISO 8601 moment in UTC to the minute, or the text itself where it is none."""
    try:
        moment = datetime.fromisoformat(made_at)
    except ValueError:
        return plain(made_at, 40)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _model(report: FullReport) -> str:
    name, label = plain(report.opened.name, 100), plain(report.before.model.storage.label, 40)
    return name if label in name else f"{name} ({label})"  # a file's name often ends in it


def _fit_sentence(report: FullReport, row: FitRow) -> str:
    placement = row.placement
    context = f"a context of {placement.flags.n_context_tokens:,} tokens"
    used = [load for load in placement.loads if load.terms]
    if not placement.fits:
        short = listed([_shortfall(load) for load in used if not load.fits])
        return (
            f"{_model(report)} does not fit on this machine with {context}: {short}; "
            "a smaller quantization, a shorter context or more memory would change that."
        )
    where = placement.kind if placement.kind.startswith(("in ", "on ")) else f"with {placement.kind}"
    needs = _need(used[0]) if len(used) == 1 else listed([f"{_need(load)} {_on(load)}" for load in used])
    longest = row.largest_context_tokens
    more = "" if longest is None else f"; the longest context that fits this way is {longest:,} tokens"
    return f"{_model(report)} fits {where} with {context}: it needs {needs}{more}."


def _on(load: DeviceLoad) -> str:
    return f"{'on' if load.device.is_gpu else 'in'} {plain(load.device.name, 40)}"


def _need(load: DeviceLoad) -> str:
    needed, capacity = format_bytes(load.needed_bytes), format_bytes(load.device.capacity_bytes)
    return f"{needed} of {capacity} (leaving {format_bytes(load.free_bytes)})"


def _shortfall(load: DeviceLoad) -> str:
    return (
        f"{plain(load.device.name, 40)} would need {format_bytes(load.needed_bytes)} and has "
        f"{format_bytes(load.device.capacity_bytes)}, {format_bytes(-load.free_bytes)} too little"
    )


def _speed_sentence(report: FullReport, row: FitRow, checks: tuple[SpeedCheck, ...]) -> str:
    if report.run is None:
        if not row.placement.fits:
            return "Without room for the model there is no speed to give."
        return _predicted_sentence(row)
    run = report.run
    decode, prefill = run.measurement("decode"), run.measurement("prefill")
    parts = []
    if decode is not None:
        parts.append(f"it writes {with_spread(decode)} tokens per second ({decode.name})")
    if prefill is not None:
        parts.append(f"reads prompts at {with_spread(prefill)} tokens per second ({prefill.name})")
    where = f"Measured here in {plain(run.engine, 40)} on {plain(run.backend, 40)}"
    spoken = listed(parts) if parts else "the benchmark finished no test from an empty context"
    return f"{where}, {spoken}; {_verdict(checks)}."


def _predicted_sentence(row: FitRow) -> str:
    known, unknown = [], []
    for estimate, does, asks in (
        (row.decode, "writes", "how fast it writes"),
        (row.prefill, "reads prompts at", "how fast it reads prompts"),
    ):
        found = estimate.tokens_per_s
        if found is None:
            unknown.append(f"{asks} is unknown, because {plain(estimate.missing or 'a fact is missing')}")
        else:
            bounds = f"80 %: {rate(found.low)}–{rate(found.high)}"
            known.append(f"{does} {rate(found.expected)} tokens per second ({bounds})")
    parts = []
    if known:
        speed = row.decode.tokens_per_s
        measured = speed is not None and speed.basis is Basis.MEASURED
        start = "by an earlier benchmark of this file here" if measured else "by estimate"
        limit = f", limited by {plain(row.decode.limited_by)}" if row.decode.limited_by else ""
        parts.append(f"{start} it {' and '.join(known)}{limit}")
    sentence = "; ".join((*parts, *unknown, "for this report nothing was measured."))
    return f"{sentence[0].upper()}{sentence[1:]}"


def _verdict(checks: tuple[SpeedCheck, ...]) -> str:
    judged = [check for check in checks if check.held is not None]
    if not judged:
        reason = next((check.why_not_predicted for check in checks if check.why_not_predicted), None)
        return (
            f"no estimate had been made to hold against it, because {plain(reason or 'no test was finished')}"
        )
    missed = [check for check in judged if not check.held]
    if not missed:
        said = listed([f"{check.name} {interval(check.predicted)}" for check in judged if check.predicted])
        what = "the estimate" if len(judged) == 1 else f"all {len(judged)} estimates"
        return f"{what} made before any benchmark held, with the measurement in the 80 % interval: {said}"
    said = listed([_miss(check) for check in missed])
    return (
        f"{len(judged) - len(missed)} of {len(judged)} estimates made before any benchmark held, with the "
        f"measurement in the 80 % interval, and {said}"
    )


def _miss(check: SpeedCheck) -> str:
    if check.predicted is None or check.ratio is None:
        raise ValueError(f"{check.name} was not judged, so it missed nothing")
    return f"{check.name} came out at {check.ratio:.2f} times the expected {interval(check.predicted)}"


def _money_sentence(report: FullReport, found: Money) -> str:
    volume = f"{format_count(report.tokens_per_month)} tokens a month"
    share = f"{percent(report.output_fraction)} of them generated"
    if found.cheapest is None:
        start = f"No API price is known to hold against {volume}"
    else:
        other = "" if found.cheapest_is_same_model else ", another model"
        start = (
            f"For {volume}, {share}, the cheapest listed API ({_api(found.cheapest)}{other}) "
            f"takes {usd(found.cheapest.usd_per_month)}"
        )
    return f"{start}; {_capacity(report, found)}{_break_even(report, found)}."


def _api(api: PricedApi) -> str:
    return f"{plain(api.price.model_id, 80)} of {plain(api.price.provider, 40)}"


def _capacity(report: FullReport, found: Money) -> str:
    if found.capacity_tokens_per_month is None or found.n_machines is None:
        why = "the model does not fit" if not headline(report).placement.fits else "a speed is unknown"
        return f"how many tokens this machine can make in a month is unknown, because {why}"
    makes = format_count(found.capacity_tokens_per_month)
    text = f"this machine, one request at a time at its {_speed_basis(report)} speed, makes at most {makes}"
    if found.n_machines > 1:
        text += f", so that takes {found.n_machines:,} such machines, or several requests at once"
    return text


def _speed_basis(report: FullReport) -> str:
    row = headline(report)
    speeds = (row.decode.tokens_per_s, row.prefill.tokens_per_s)
    measured = all(speed is not None and speed.basis is Basis.MEASURED for speed in speeds)
    return "measured" if measured else "predicted"


def _break_even(report: FullReport, found: Money) -> str:
    own = report.own_usd_per_month
    known = _own_note(report) if own is None else f"a month of it costs {usd(own)} ({_own_note(report)})"
    if found.cheapest is None or found.break_even_usd_per_month is None:
        return f"; {known}"
    it = "it" if found.n_machines == 1 else "each"
    text = f", and {it} pays off if its month costs less than {usd(found.break_even_usd_per_month)}"
    if found.full_break_even_usd_per_month is not None:
        text += f" ({usd(found.full_break_even_usd_per_month)} if it never rested)"
    if own is None or found.own_usd_per_month is None:
        return f"{text}; {known}"
    bill = found.cheapest.usd_per_month
    cheaper = "the API is cheaper" if found.own_usd_per_month > bill else "owning is cheaper"
    if found.n_machines is not None and found.n_machines > 1:
        known += f", of {found.n_machines:,} {usd(found.own_usd_per_month)}"
    return f"{text}; {known}, so {cheaper} by {usd(abs(found.own_usd_per_month - bill))}{_wins_above(found)}"


def _wins_above(found: Money) -> str:
    needed, capacity = found.break_even_tokens_per_month, found.capacity_tokens_per_month
    if needed is None or capacity is None:
        return ""
    if needed > capacity:
        return f", and a machine would have to make {format_count(needed)} tokens a month to win, more than it can"
    return f", and one machine wins above {format_count(needed)} tokens a month"


def _own_note(report: FullReport) -> str:
    return plain(report.own_cost_note) or "what this machine costs is unknown"


def _key_figures(report: FullReport, row: FitRow, found: Money) -> tuple[KeyFigure, ...]:
    placement = row.placement
    capacity_bytes = sum(load.device.capacity_bytes for load in placement.loads if load.terms)
    run = report.run
    decode = run.measurement("decode") if run else None
    prefill = run.measurement("prefill") if run else None
    figures = [
        KeyFigure(
            label="Memory needed",
            value=format_bytes(placement.needed_bytes),
            note=f"of {format_bytes(capacity_bytes)}, {placement.kind if placement.fits else 'does not fit'}",
        )
    ]
    if placement.fits or run is not None:
        figures += [
            _speed_figure("Writing (decode)", row.decode, report.before.decode, decode),
            _speed_figure("Reading prompts (prefill)", row.prefill, report.before.prefill, prefill),
        ]
    if found.capacity_tokens_per_month is not None:
        figures.append(
            KeyFigure(
                label="Can make a month",
                value=f"{format_count(found.capacity_tokens_per_month)} tokens",
                note=f"one request at a time, {_speed_basis(report)} speed",
            )
        )
    if found.cheapest is not None:
        note = f"{_api(found.cheapest)}, {format_count(report.tokens_per_month)} tokens"
        figures.append(
            KeyFigure(label="Cheapest API a month", value=usd(found.cheapest.usd_per_month), note=note)
        )
    if found.break_even_usd_per_month is not None:
        of = "this machine" if found.n_machines == 1 else f"each of {found.n_machines:,} machines"
        figures.append(
            KeyFigure(
                label="Break-even",
                value=usd(found.break_even_usd_per_month),
                note=f"a month of {of} may cost that much",
            )
        )
    return tuple(figures)


def _speed_figure(
    label: str, now: SpeedEstimate, before: SpeedEstimate, measured: Measurement | None
) -> KeyFigure:
    if measured is not None:
        said = _bounds(before.tokens_per_s)
        note = "measured; not predicted" if said is None else f"measured; predicted {said}"
        return KeyFigure(label=label, value=f"{rate(measured.mean_tokens_per_s)} tok/s", note=note)
    if now.tokens_per_s is None:
        return KeyFigure(label=label, value="unknown", note=plain(now.missing or "", 160))
    return KeyFigure(
        label=label,
        value=f"{rate(now.tokens_per_s.expected)} tok/s",
        note=f"predicted, 80 %: {_bounds(now.tokens_per_s)}",
    )


def _bounds(found: Interval | None) -> str | None:
    return None if found is None else f"{rate(found.low)}–{rate(found.high)}"

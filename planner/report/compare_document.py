"""`planner compare` as a document: the answer first, then each option's month, then what would change the answer."""

from collections.abc import Iterator, Sequence
from math import ceil, log, log1p

from hardware.units import DAYS_PER_MONTH, MILLI, TOKENS_PER_MTOK, format_count
from planner.compare.comparison import Comparison, Duel, OptionYears
from planner.compare.month import OptionMonth
from planner.compare.options import GROWTH, TASKS
from planner.compare.uncertainty import Swing
from planner.estimate.term import Term
from planner.prices.figure import Figure
from planner.prices.machine_cost import to_the_cent
from planner.report.compare_data import compare_data
from planner.report.document import Document, Table, listed
from planner.report.figures import percent
from planner.report.outside_text import plain
from planner.report.quantities import usd

_MOST_SWINGS = 8
_MOST_NAMED = 3


def compare_document(found: Comparison, *, explain: bool = False) -> Document:
    """The comparison; `explain` adds every term of every option, and every figure with its source."""
    tables = [_options_table(found)]
    if found.duel is not None:
        tables.append(_swings_table(found.duel))
    if explain:
        tables.extend(_terms_table(option.month) for option in found.options)
        tables.append(_figures_table(found))
    return Document(
        schema="planner.compare/1",
        title=f"{plain(found.model, 100)}: own machines or an API",
        answer=tuple(answer(found)),
        tables=tuple(tables),
        notes=(
            *(f"left out: {plain(one.name, 100)}: {plain(one.reason, 300)}" for one in found.excluded),
            *(plain(note, 400) for note in found.notes),
            *_spare_notes(found),
            *_seed_note(found),
        ),
        data=compare_data(found),
    )


def answer(found: Comparison) -> Iterator[str]:
    """The sentences that a person reads first."""
    duel = found.duel
    yield _verdict(found)
    if duel is None:
        best = found.best
        yield f"{_named(best)} costs {usd(best.month.usd)} a month, {usd(best.flow.npv_usd)} over {_years(found)} as of today."
        return
    volume = f"{format_count(found.tokens_per_month / DAYS_PER_MONTH)} tokens a day"
    yield (
        f"At {volume} {_named(duel.api)} costs {usd(duel.api.month.usd)} a month and {_named(duel.own)} "
        f"{usd(duel.own.month.usd)}; {_break_even(found, duel)}."
    )
    decides = [_decides(swing) for swing in duel.risk.swings[:_MOST_NAMED]]
    if decides:
        yield f"What decides it: {listed(decides)}."
    saved = duel.usd_saved
    yield (
        f"Over {_years(found)} owning costs {usd(abs(saved))} {'less' if saved > 0 else 'more'} as of today; the probability "
        f"that it is cheaper is {_probability(duel)}."
    )


def _verdict(found: Comparison) -> str:
    if found.verdict == "api":
        crossing = None if found.duel is None else found.duel.cheaper_from_month
        return "Stay on the API for now." if crossing is not None else "Stay on the API."
    if found.verdict == "hybrid":
        return "Take own machines for the base and the API for peaks."
    if not found.duels:
        return (
            "Only own machines are left to choose from."
            if found.excluded
            else "Only own machines were compared."
        )
    return "Take own machines."


def _named(option: OptionYears) -> str:
    return plain(option.name, 120)


def _years(found: Comparison) -> str:
    return f"{found.scenario.n_months} months"


def _probability(duel: Duel) -> str:
    share = duel.risk.probability_own_cheaper
    if share in (0.0, 1.0):
        return "under 1 %" if share == 0 else "over 99 %"
    return percent(share)


def _break_even(found: Comparison, duel: Duel) -> str:
    """From which volume owning wins, in tokens a day, how sure that is, and when it comes."""
    per_day = found.task.tokens.all / DAYS_PER_MONTH
    first = duel.break_even.first_tasks
    if first is None:
        return "owning is cheaper at no volume, as a full machine costs more than what it saves"
    low, _, high = duel.risk.break_even_tasks
    bounds = "" if low is None else f" (80 %: {_to(low * per_day, None if high is None else high * per_day)})"
    words = f"owning wins above {format_count(first * per_day)} tokens a day{bounds}"
    tasks, growth = found.scenario.figures.value(TASKS), found.scenario.figures.value(GROWTH)
    if first <= tasks:
        return (
            f"{words}, below what is asked now"
            if duel.cheaper_from_month == 1
            else f"{words}, with steps of whole machines between"
        )
    if growth > 0:
        months = ceil(12 * log(first / tasks) / log1p(growth))
        stays = duel.cheaper_from_month if duel.own.month.kind == "own" else None
        lasting = f", and stays cheaper from month {stays} on" if stays is not None else ""
        return f"{words}, {months} months away at {percent(growth)} a year{lasting}"
    return f"{words}, {_times(first / tasks)} times what is asked now"


def _times(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.2g}"


def _to(low: float, high: float | None) -> str:
    return f"from {format_count(low)}" if high is None else f"{format_count(low)}–{format_count(high)}"


def _decides(swing: Swing) -> str:
    return f"{_words(swing.figure)} ({_number(swing.low)} to {_number(swing.high)} {plain(swing.unit, 40)})"


def _words(name: str) -> str:
    """A figure's name as words, its unit left to the value."""
    if name.endswith("_usd_per_hour"):
        return f"the wage of {name.removesuffix('_usd_per_hour')}"
    for unit in (
        "_usd_per_machine_month",
        "_usd_per_machine_hour",
        "_usd_per_kwh",
        "_hours_per_month",
        "_per_year",
    ):
        name = name.removesuffix(unit)
    return name.removesuffix("_fraction").replace("_", " ").replace("api", "API")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _options_table(found: Comparison) -> Table:
    tokens = found.tokens_per_month / TOKENS_PER_MTOK
    calls = found.task.n_calls
    rows = []
    for option in found.options:
        month = option.month
        rows.append(
            (
                _named(option),
                usd(month.usd),
                _small(month.usd / tokens),
                _small(month.usd_per_task / calls),
                month.n_machines or None,
                None if month.utilisation is None else percent(month.utilisation),
                usd(option.flow.npv_usd),
            )
        )
    return Table(
        title=f"A month now, and {found.scenario.n_months} months as of today",
        headers=(
            "option",
            "$ a month",
            "$ per M tokens",
            "$ per request",
            "machines",
            "use",
            f"{found.scenario.n_months} months",
        ),
        rows=tuple(rows),
        right=(1, 2, 3, 4, 5, 6),
    )


def _small(value: float) -> str:
    """Dollars that may be far below a cent."""
    return usd(value) if value >= 1 else f"${value:.3g}"


def _swings_table(duel: Duel) -> Table:
    """What each figure alone does to the difference, the widest first."""
    return Table(
        title=f"What would change it: {_named(duel.own)} less {_named(duel.api)}, expected {usd(duel.risk.expected_difference_usd)}",
        headers=("figure", "between", "at the low", "at the high"),
        rows=tuple(
            (
                swing.figure + (f" ({plain(swing.owner, 60)})" if swing.owner else ""),
                f"{_number(swing.low)} and {_number(swing.high)}",
                usd(swing.usd_at_low),
                usd(swing.usd_at_high),
            )
            for swing in duel.risk.swings[:_MOST_SWINGS]
        ),
        right=(2, 3),
    )


def _terms_table(month: OptionMonth) -> Table:
    """Every term of a month, in cents that sum to the total."""
    terms = to_the_cent(month.terms)
    hours = ""
    if month.usd_per_existing_hour is not None and month.usd_per_busy_hour is not None:
        hours = (
            f"; a machine costs {usd(month.usd_per_existing_hour)} an hour of being there and "
            f"{usd(month.usd_per_busy_hour)} an hour of work"
        )
    return Table(
        title=f"{plain(month.name, 120)}: a month{hours}",
        headers=("term", "$", "basis", "as of", "from"),
        rows=(
            *(
                (plain(term.name, 60), f"{term.value:,.2f}", term.basis.value, term.as_of, _source(term))
                for term in terms
            ),
            ("total", f"{sum(term.value for term in terms):,.2f}", None, None, None),
        ),
        right=(1,),
    )


def _source(term: Term) -> str:
    return plain(term.source, 400)


def _figures_table(found: Comparison) -> Table:
    rows = [_figure_row("", figure) for figure in found.scenario.figures.values()]
    seen = set()
    for option in found.options:
        for owner, figures in _specific(option):
            if owner not in seen:
                seen.add(owner)
                rows.extend(_figure_row(owner, figure) for figure in figures)
    return Table(
        title="Figures; replace one with --set NAME=VALUE or --set 'NAME=VALUE(LOW-HIGH)'",
        headers=("figure", "value", "80 %", "unit", "basis", "as of", "from"),
        rows=tuple(rows),
        right=(1,),
    )


def _specific(option: OptionYears) -> Iterator[tuple[str, Sequence[Figure]]]:
    month = option.month
    if month.own is not None:
        yield month.own.machine, tuple(month.own.specific.values())
    if month.api is not None:
        yield month.api.name, tuple(month.api.specific.values())


def _figure_row(owner: str, figure: Figure) -> tuple[str | None, ...]:
    name = figure.name + (f" ({plain(owner, 60)})" if owner else "")
    bounds = None
    if figure.low is not None and figure.high is not None and figure.is_uncertain:
        bounds = f"{_exact(figure.low)}–{_exact(figure.high)}"
    return (
        name, _exact(figure.value), bounds, plain(figure.unit, 40), figure.basis.value, figure.as_of,
        plain(figure.source, 400),
    )  # fmt: skip


def _exact(value: float) -> str:
    return (
        f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}" if abs(value) >= MILLI else f"{value:.3g}"
    )


def _spare_notes(found: Comparison) -> Iterator[str]:
    """What the machines of the best way of owning could do besides."""
    duel = found.duel
    if duel is None or not duel.spare_worth_usd or duel.own.month.utilisation is None:
        return
    level = duel.break_even_utilisation
    needed = (
        ""
        if level is None
        else f"; it would cost what the API does at {percent(level)} use"
        if level <= 1
        else "; it cannot be busy enough to cost what the API does"
    )
    yield (
        f"{_named(duel.own)} is used {percent(duel.own.month.utilisation)}: what it could do besides would cost "
        f"{usd(duel.spare_worth_usd)} a month at {_named(duel.api)}{needed}"
    )


def _seed_note(found: Comparison) -> Iterator[str]:
    if found.duel is not None:
        drawn = found.duel.risk
        yield f"{drawn.n_cases:,} cases drawn with seed {drawn.seed}: every figure between its bounds four times in five"
    if not found.workload.objectives:
        yield "nobody waits for answers here (no objectives), so work is spread evenly; --processing batch asks for the API's batch price"
    yield "US dollars; figures that nobody stated are assumptions, which --explain lists with their sources"

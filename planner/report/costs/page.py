"""The page on own machines against APIs, made from what was kept and nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hardware.units import DAYS_PER_MONTH, format_count
from planner.report.costs.saved import SavedReport
from planner.report.costs.tornado_chart import tornado_chart
from planner.report.costs.volume_chart import volume_chart
from planner.report.costs.years_chart import years_chart
from planner.report.document import Table
from planner.report.drawing import Chart
from planner.report.figures import percent
from planner.report.html import render_story
from planner.report.outside_text import plain
from planner.report.quantities import usd
from planner.report.sections import Section
from planner.report.story import KeyFigure, Story

_FOOTER: Final = (
    "An 80 % interval should hold the truth four times in five. Dollars are US dollars of today; every figure can be "
    "replaced with --set NAME=VALUE."
)


def costs_page(report: SavedReport) -> str:
    """One self-contained HTML page."""
    return render_story(costs_story(report), {chart.key: chart for chart in _charts(report)})


def costs_story(report: SavedReport) -> Story:
    """The page's words and tables, the answer first."""
    document = report.document
    options, swings, terms, figures = _sorted_tables(document.tables)
    data = report.data
    return Story(
        title=document.title,
        subtitle=f"Report of {plain(report.made_at, 40)}, planner {plain(report.planner_version, 40)}",
        answer=document.answer,
        figures=tuple(_key_figures(data)),
        command=plain(report.command, 1_000),
        command_label="To make it again:",
        sections=tuple(_sections(report, options, swings, terms, figures)),
        footer=_FOOTER,
    )


def _sorted_tables(
    tables: tuple[Table, ...],
) -> tuple[list[Table], list[Table], list[Table], list[Table]]:
    """By what they are: options, swings, terms, figures. Their headers tell them apart."""
    groups: tuple[list[Table], ...] = ([], [], [], [])
    for table in tables:
        first = table.headers[0] if table.headers else ""
        kind = {"option": 0, "term": 2}.get(first, 1 if "between" in table.headers else 3)
        groups[kind].append(table)
    return groups[0], groups[1], groups[2], groups[3]


def _sections(
    report: SavedReport,
    options: list[Table],
    swings: list[Table],
    terms: list[Table],
    figures: list[Table],
) -> Iterator[Section]:
    notes = report.document.notes
    yield Section(
        slug="options", title="What each way costs", chart="volume", tables=tuple(options),
        lead="A month at today's volume, and what the years cost as of today. Own machines come in whole steps.",
    )  # fmt: skip
    yield Section(
        slug="years", title="Over the years", chart="years", tables=(),
        lead="What has been paid in all, with growth, falling prices, and machines bought when they are needed.",
    )  # fmt: skip
    if swings:
        yield Section(
            slug="risk", title="How sure it is", chart="tornado", tables=tuple(swings), lead=_risk_words(report.data)
        )  # fmt: skip
    if notes:
        table = Table(title="Notes", headers=("what to know",), rows=tuple((note,) for note in notes))
        yield Section(
            slug="notes", title="Left out, and to know", tables=(table,),
            lead="Options that the conditions exclude, and facts that nobody published.",
        )  # fmt: skip
    if figures:
        yield Section(
            slug="figures", title="Assumptions", tables=tuple(figures), folded=True,
            lead="Every figure with its bounds, its source and the day it is of.",
        )  # fmt: skip
    yield Section(
        slug="terms", title="Every month, term by term", tables=tuple(terms), folded=True,
        lead="The terms of each option sum to its total to the cent.",
    )  # fmt: skip


def _key_figures(data: Mapping[str, Any]) -> Iterator[KeyFigure]:
    cheapest: dict[str, Mapping[str, Any]] = {}
    for option in data["options"]:
        cheapest.setdefault(option["kind"], option)
    for kind, label in (
        ("own", "Own machines, a month"),
        ("api", "API, a month"),
        ("hybrid", "Both, a month"),
    ):
        if kind in cheapest:
            option = cheapest[kind]
            yield KeyFigure(
                label=label, value=usd(float(option["usd_per_month"])), note=plain(option["name"], 80)
            )  # fmt: skip
    yield KeyFigure(
        label="Volume now", value=f"{format_count(float(data['tokens_per_month']) / DAYS_PER_MONTH)} tokens a day",
        note=f"{format_count(float(data['load']['tasks_per_month']))} tasks a month, workload {plain(data['workload'], 40)}",
    )  # fmt: skip
    duel = _duel(data)
    if duel is None:
        return
    risk = duel["risk"]
    first = duel["first_break_even_tasks_per_month"]
    per_task = float(data["tokens_per_month"]) / float(data["load"]["tasks_per_month"])
    yield KeyFigure(
        label="Owning wins above",
        value="no volume" if first is None else f"{format_count(float(first) * per_task / DAYS_PER_MONTH)} tokens a day",
        note="at today's prices, all of it on own machines",
    )  # fmt: skip
    yield KeyFigure(
        label="Owning is cheaper with", value=percent(float(risk["probability_own_cheaper"])),
        note=f"probability over {data['n_months']} months",
    )  # fmt: skip


def _risk_words(data: Mapping[str, Any]) -> str:
    duel = _duel(data)
    if duel is None:
        return ""
    risk = duel["risk"]
    low, middle, high = (float(value) for value in risk["difference_usd_10_50_90"])
    return (
        f"{int(risk['n_cases']):,} cases drawn with seed {int(risk['seed'])} from every interval at once: over the years own "
        f"machines less the API come to {usd(middle)}, eight times in ten between {usd(low)} and {usd(high)}."
    )


def _duel(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The best way of owning against the best API."""
    return max(data["duels"], key=lambda duel: float(duel["usd_saved"]), default=None)


def _charts(report: SavedReport) -> Iterator[Chart]:
    duel = _duel(report.data)
    drawn = (
        volume_chart(report.curves, report.data),
        years_chart(report.data),
        None if duel is None else tornado_chart(duel),
    )
    yield from (chart for chart in drawn if chart is not None)

"""The page on what one answer costs at every setting of the levers."""

from planner.compare.levers import Levers
from planner.report.costs.levers_chart import levers_chart
from planner.report.document import Table
from planner.report.html import render_story
from planner.report.levers_document import levers_document
from planner.report.outside_text import plain
from planner.report.sections import Section
from planner.report.story import KeyFigure, Story


def levers_page(found: Levers, *, command: str, planner_version: str) -> str:
    """One self-contained HTML page."""
    document = levers_document(found)
    chart = levers_chart(document.data["settings"])
    told = Story(
        title=document.title,
        subtitle=f"Prices of {found.at:%Y-%m-%d}, planner {plain(planner_version, 40)}",
        answer=document.answer,
        figures=tuple(_figures(document.tables[0])),
        command=plain(command, 1_000),
        command_label="To make it again:",
        sections=(
            Section(
                slug="levers", title="Every setting", chart="levers", tables=document.tables,
                lead="The same question with more samples, more thinking, more context, or another model.",
            ),
            Section(
                slug="notes", title="To know",
                tables=(Table(title="Notes", headers=("what to know",), rows=tuple((note,) for note in document.notes)),),
                lead="How it was counted.",
            ),
        ),
        footer="Each step of the scale is ten times the one before. Dollars are US dollars of the day.",
    )  # fmt: skip
    return render_story(told, {} if chart is None else {chart.key: chart})


def _figures(table: Table) -> list[KeyFigure]:
    rows = [row for row in table.rows if row[4] is not None]
    if not rows:
        return []
    return [
        KeyFigure(
            label=label, value=str(row[4]), note=f"{row[0]}, {row[1]} samples, {row[2]} thinking, {row[3]} in"
        )
        for label, row in (("The cheapest answer", rows[0]), ("The dearest answer", rows[-1]))
    ]

"""The report as Markdown with GitHub's tables: the same story as the HTML page, without its charts."""

import re

from planner.report.document import Cell, Table
from planner.report.full import FullReport
from planner.report.story import Story, story

# Characters that Markdown, GitHub's formulas or HTML could take for markup; "_" only at the edge of a word.
_MARKUP = re.compile(r"[\\`*~\[\]|$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BLOCK_START = re.compile(r"^(?:([#+=-])|(\d{1,9})([.)]))(?=\s|$)")


def render_markdown(report: FullReport) -> str:
    """The whole report as one Markdown file."""
    return render_story_markdown(story(report))


def render_story_markdown(told: Story) -> str:
    """A story as one Markdown file, without its charts."""
    return "\n\n".join((*_opening(told), *_sections(told))) + "\n"


def escape_markdown(text: str) -> str:
    """Text that shows as it is: no markup, no HTML, no formula, one line."""
    line = " ".join(text.split())
    line = _MARKUP.sub(r"\\\g<0>", line)
    line = "".join(_ENTITIES.get(char, char) for char in line)
    # A line that starts like a heading or a list is none.
    return _BLOCK_START.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", line)


def _opening(told: Story) -> list[str]:
    figures = Table(
        title="Key figures",
        headers=("what", "value", "note"),
        rows=tuple((figure.label, figure.value, figure.note) for figure in told.figures),
        right=(1,),
    )
    return [
        f"# {escape_markdown(told.title)}",
        escape_markdown(told.subtitle),
        *(escape_markdown(sentence) for sentence in told.answer),
        markdown_table(figures),
        *([] if told.command is None else [f"```sh\n{told.command}\n```"]),
    ]


def _sections(told: Story) -> list[str]:
    blocks = []
    for section in told.sections:
        blocks += [f"## {escape_markdown(section.title)}", escape_markdown(section.lead)]
        for table in section.tables:
            blocks += [f"### {escape_markdown(table.title)}", markdown_table(table)]
    return blocks


def markdown_table(table: Table) -> str:
    """A table as GitHub reads it."""
    from tabulate import tabulate

    return tabulate(
        [[_cell(cell) for cell in row] for row in table.rows],
        headers=[escape_markdown(header) for header in table.headers],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["right" if column in table.right else "left" for column in range(len(table.headers))],
    )


def _cell(cell: Cell) -> str:
    if cell is None:
        return "–"
    return escape_markdown(cell if isinstance(cell, str) else f"{cell:,}")

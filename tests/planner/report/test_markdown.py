"""The Markdown: the same story, with tables that keep their columns whatever a name holds."""

import re

import pytest

from planner.report.document import Table
from planner.report.full import FullReport
from planner.report.markdown import escape_markdown, markdown_table, render_markdown
from planner.report.story import story
from tests.planner.report.reports import SLY, cpu_report, gpu_report, hostile_report

REPORTS = {
    "cpu": cpu_report(),
    "gpu": gpu_report(),
    "hostile": hostile_report(),
    "sly": hostile_report(SLY),
}


def columns(line: str) -> int:
    """Cells of a table's line: bars that no backslash escapes, less the one that opens it."""
    return len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) - 1


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_tables_keep_their_columns(report: FullReport) -> None:
    told = story(report)
    blocks = [block for block in render_markdown(report).split("\n\n") if block.startswith("|")]
    assert len(blocks) == len(told.tables) + 1  # and the key figures
    for block, table in zip(blocks[1:], told.tables, strict=True):
        lines = block.rstrip().split("\n")
        assert len(lines) == len(table.rows) + 2
        assert {columns(line) for line in lines} == {len(table.headers)}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_every_sentence_and_cell_is_there(report: FullReport) -> None:
    told = story(report)
    text = render_markdown(report)
    for sentence in told.answer:
        assert escape_markdown(sentence) in text
    for table in told.tables:
        for row in table.rows:
            for cell in row:
                assert escape_markdown(str(cell)) in text


def test_hostile_names_are_text() -> None:
    text = render_markdown(REPORTS["hostile"])
    fenced = text[text.index("```sh") : text.index("```\n")]
    outside = text.replace(fenced, "")
    assert (
        "<script" not in outside
        and "&lt;script&gt;alert(1)&lt;/script&gt; \\$x\\$ \\| \\*\\*b\\*\\*" in outside
    )
    # The command's fence is closed by its own line alone.
    sly = render_markdown(REPORTS["sly"])
    assert len(re.findall(r"^```", sly, flags=re.MULTILINE)) == 2
    sly.encode()


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("a\\|b", r"a\\\|b"),  # a backslash of the name must not undo the one that guards the bar
        ("Q4_K_M", "Q4_K_M"),  # inside a word "_" means nothing
        ("_a_", r"\_a\_"),
        ("# a", r"\# a"),
        ("#a", "#a"),
        ("1. a", r"1\. a"),
        ("- a", r"\- a"),
        ("a - b", "a - b"),
        ("[x](y)", r"\[x\](y)"),
        ("a\nb", "a b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("$1 to $2", r"\$1 to \$2"),
        ("`x`", r"\`x\`"),
    ],
)
def test_markup_is_escaped(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


def test_numbers_stay_as_they_are_and_nothing_is_a_dash() -> None:
    # tabulate would turn "1e5" into 100000 and 0.10 into 0.1 if it were let.
    table = Table(title="t", headers=("a", "b", "c", "d"), rows=(("1e5", "0.10", None, 12_345),), right=(1,))
    cells = [cell.strip() for cell in markdown_table(table).split("\n")[2].strip("|").split("|")]
    assert cells == ["1e5", "0.10", "–", "12,345"]

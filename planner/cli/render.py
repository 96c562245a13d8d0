"""Prints a document as a terminal table, Markdown, CSV or JSON."""

import csv
import io
import json
import re
import shutil
import textwrap
import unicodedata
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import click
import tabulate as tables

from planner.report.document import Cell, Document, Table

tables.MIN_PADDING = 0  # the library widens every header by two, which an 80-column terminal cannot spare

FORMATS = ("table", "json", "csv", "md")
_LEAST_WIDTH = 9  # of a column that is wrapped
_LONGEST_NAME = 22
_LONGEST_WORD = 12  # that is kept in one piece while something else can give way
_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # spreadsheets read the wide ones too
_NUMBER = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?")


def render(document: Document, output_format: str) -> None:
    """Writes the document to standard output."""
    text = {"table": as_table, "json": as_json, "csv": as_csv, "md": as_markdown}[output_format](document)
    click.echo(text)


def as_json(document: Document) -> str:
    """All data under their unit-bearing keys, with the schema's name and version first."""
    return json.dumps({"schema": document.schema, **document.data}, indent=2, default=_json_value)


def _json_value(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return dict(value)


def as_csv(document: Document) -> str:
    """The first table."""
    table = document.main_table
    if table is None:
        return ""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_harmless(header) for header in table.headers])
    writer.writerows([_harmless(cell) for cell in row] for row in table.rows)
    return out.getvalue().rstrip("\n")


def _harmless(cell: Cell) -> str:
    """A cell that no spreadsheet takes for a formula: a name such as "=cmd()" gets an apostrophe in front."""
    text = plain(cell)
    if not text.lstrip().startswith(_FORMULA_STARTS) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def as_markdown(document: Document) -> str:
    """Sentences, tables and commands as GitHub Markdown."""
    parts = [f"## {_escaped(document.title)}", " ".join(_escaped(s) for s in document.answer)]
    for table in document.tables:
        if table.title:
            parts.append(f"### {_escaped(table.title)}")
        rows = [[_escaped(cell) for cell in row] for row in table.rows]
        parts.append(_tabulated(table, rows, "github"))
    parts += [f"```\n{plain(command)}\n```" for command in document.commands]
    if document.notes:
        parts.append("\n".join(f"- {_escaped(note)}" for note in document.notes))
    return "\n\n".join(parts)


def as_table(document: Document, width: int | None = None) -> str:
    """Sentences, tables, the command to copy and notes, within the terminal's width."""
    width = width or shutil.get_terminal_size((80, 24)).columns
    parts = [textwrap.fill(plain(" ".join(document.answer)), width)]
    for table in document.tables:
        if not table.rows:
            continue
        shown = _tabulated(table, [[plain(c) for c in row] for row in table.rows], "simple", width)
        parts.append(f"{plain(table.title)}\n{shown}" if table.title else shown)
    parts += [f"  {plain(command)}" for command in document.commands]
    if document.notes:
        parts.append("\n".join(_note(plain(note), width) for note in document.notes))
    return "\n\n".join(parts)


def wrapped(text: str) -> str:
    """A sentence within the terminal's width."""
    return textwrap.fill(plain(text), shutil.get_terminal_size((80, 24)).columns)


def _note(text: str, width: int) -> str:
    return textwrap.fill(text, width, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def _tabulated(table: Table, rows: Sequence[Sequence[str]], style: str, width: int | None = None) -> str:
    align = ["right" if i in table.right else "left" for i in range(len(table.headers))]
    headers = [plain(header) for header in table.headers]
    if width is not None:  # wrapped here: tabulate's own wrapping takes "1,024" for a number and fails
        widths = _column_widths(table, rows, width)
        headers, *rows = [
            [textwrap.fill(cell, widths[i], break_on_hyphens=i == 0) for i, cell in enumerate(row)]
            for row in (headers, *rows)
        ]
    return tables.tabulate(
        rows, headers=headers, tablefmt=style, colalign=align if rows else None, disable_numparse=True
    )


def _column_widths(table: Table, rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Narrows the widest text columns until the table fits, and splits numbers from their intervals at the worst."""
    columns = list(zip(*rows, strict=True))
    text = [i for i in range(len(columns)) if i not in table.right]
    widths = []
    for i, (header, column) in enumerate(zip(table.headers, columns, strict=True)):
        # Over numbers a header may take several lines; over text it counts like a cell.
        least = max(map(len, header.split()), default=0) if i in table.right else len(header)
        widths.append(max(least, *(len(cell) for cell in column)))
    spare = width - 2 * (len(widths) - 1)
    whole = [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    # Cells between words, then the first column, which names the row and is often copied, then words in two.
    for floors in (
        {i: max(_LEAST_WIDTH, min(whole[i], _LONGEST_WORD)) for i in text if i},
        {0: _LONGEST_NAME},
        {i: _LEAST_WIDTH for i in text if i},
    ):
        while sum(widths) > spare:
            candidates = [i for i, least in floors.items() if i in text and widths[i] > least]
            if not candidates:
                break
            widths[max(candidates, key=lambda i: widths[i])] -= 1
    # Last, a number with its interval over two lines: "682,766" above "(227,361–914,907)".
    for i in sorted(table.right, key=lambda i: -widths[i]):
        if sum(widths) > spare:
            least = max([whole[i], *map(len, table.headers[i].split())])
            widths[i] = max(least, widths[i] - (sum(widths) - spare))
    return [max(1, n) for n in widths]


def plain(cell: Cell) -> str:
    """Text for a terminal: control characters, which could rewrite the screen, become a visible mark."""
    if cell is None:
        return "–"
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in str(cell))


def _escaped(cell: Cell) -> str:
    text = plain(cell).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`")
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")

"""A model card's text in pieces that can be searched: sentences, "label: value" lines and tables.

Cards are Markdown with HTML in it, written by anyone. Nothing here is a Markdown parser: tables of both kinds
are found, markup is dropped, fenced code is left out, and every step takes time in proportion to the text.
"""

import html
import re
from dataclasses import dataclass

_MAX_LINES = 20_000
_MAX_LINE = 4000
_MAX_CELL = 300
_MAX_ROWS = 200
_MAX_COLUMNS = 40
_MAX_TABLES = 100

_TAG = re.compile(r"<[^<>]{0,500}>")
_LINK = re.compile(r"!?\[([^\[\]]{0,300})\]\([^()\s]{0,500}\)")
_MARKUP = re.compile(r"[*`]+|(?<!\w)_{1,3}|_{1,3}(?!\w)|\\(?=\W)")
_TABLE_TAG = re.compile(r"<(/?)table\b[^<>]{0,300}>", re.IGNORECASE)
_CELL_TAG = re.compile(r"<(/?)(tr|td|th)\b([^<>]{0,300})>", re.IGNORECASE)
_SPAN = re.compile(r"\b(row|col)span\s{0,3}=\s{0,3}[\"']?(\d{1,2})", re.IGNORECASE)
_LIST_MARK = re.compile(r"\s{0,40}(?:[-+•*]|\d{1,3}[.)])\s")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+(?=[^\s\d])")
_FENCE = re.compile(r"\s{0,12}(```|~~~)")

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardText:
    """The pieces of a card's text, in order, without markup."""

    title: str | None
    sentences: tuple[str, ...]  # a list item or heading counts as one when it holds no full stop
    tables: tuple[tuple[Row, ...], ...]  # the first row is usually the header


def read_pieces(body: str) -> CardText:
    """Sentences and tables of a card's text."""
    text, tables = _without_html_tables("\n".join(_without_code(body)))
    sentences: list[str] = []
    paragraph: list[str] = []
    title = None
    rows: list[Row] = []

    def close_table() -> None:
        if len(rows) > 1 and len(tables) < _MAX_TABLES:
            tables.append(tuple(rows))
        rows.clear()

    def close_paragraph() -> None:
        if paragraph:
            sentences.extend(_SENTENCE_END.split(clean(" ".join(paragraph))))
        paragraph.clear()

    for line in text.split("\n", _MAX_LINES)[:_MAX_LINES]:
        line = line[:_MAX_LINE].strip()
        if line.count("|") > 1:
            close_paragraph()
            if len(rows) < _MAX_ROWS and not set(line) <= set("|-: \t"):
                rows.append(_pipe_cells(line))
            continue
        close_table()
        if line.startswith("#"):
            close_paragraph()
            heading = clean(line.lstrip("#"))
            title = title or heading or None
            sentences.append(heading)
        elif not line or _LIST_MARK.match(line) or line.startswith((">", "**")):
            close_paragraph()
            paragraph += [line] if line else []
        else:
            paragraph.append(line)
    close_table()
    close_paragraph()
    return CardText(title=title, sentences=tuple(s for s in sentences if s), tables=tuple(tables))


def clean(text: str) -> str:
    """Text without HTML tags, links and emphasis, on one line."""
    text = _LINK.sub(r"\1", _TAG.sub(" ", text))
    return " ".join(_MARKUP.sub("", html.unescape(text)).split())


def _without_code(body: str) -> list[str]:
    """Lines outside fenced code; a fence that is never closed hides nothing."""
    lines = body.split("\n")
    fences = [i for i, line in enumerate(lines) if _FENCE.match(line)]
    for start, end in reversed(list(zip(fences[0::2], fences[1::2], strict=False))):
        del lines[start : end + 1]
    return lines


def _without_html_tables(text: str) -> tuple[str, list[tuple[Row, ...]]]:
    """The text outside HTML tables, and the tables; an inner table ends the outer one."""
    tables: list[tuple[Row, ...]] = []
    outside: list[str] = []
    start: int | None = None
    end = 0
    for tag in _TABLE_TAG.finditer(text):
        if start is None:
            outside.append(text[end : tag.start()])
            end = tag.start()
        if not tag[1]:
            start = tag.end()
        elif start is not None:
            rows = _html_rows(text[start : tag.start()])
            if rows and len(tables) < _MAX_TABLES:
                tables.append(rows)
            start = None
            end = tag.end()
    return "\n\n".join((*outside, text[end:])), tables


def _pipe_cells(line: str) -> Row:
    cells = line.removeprefix("|").removesuffix("|").split("|", _MAX_COLUMNS)[:_MAX_COLUMNS]
    return tuple(clean(cell)[:_MAX_CELL] for cell in cells)


def _html_rows(text: str) -> tuple[Row, ...]:
    """Rows of an HTML table, with cells that span rows or columns repeated where they reach."""
    rows: list[dict[int, str]] = []
    below: dict[int, tuple[int, str]] = {}  # column: rows still to fill, and with what
    tags = list(_CELL_TAG.finditer(text))
    ends = [*(tag.start() for tag in tags[1:]), len(text)]
    for match, end in zip(tags, ends, strict=False):
        if match[1]:
            continue
        if match[2].lower() == "tr":
            if len(rows) >= _MAX_ROWS:
                break
            rows.append({column: cell for column, (_, cell) in below.items()})
            below = {column: (left - 1, cell) for column, (left, cell) in below.items() if left > 1}
        elif rows:
            cell = clean(text[match.end() : end])[:_MAX_CELL]
            spans = {kind.lower(): int(n) for kind, n in _SPAN.findall(match[3])}
            for _ in range(min(max(spans.get("col", 1), 1), _MAX_COLUMNS)):
                column = next((i for i in range(_MAX_COLUMNS) if i not in rows[-1]), None)
                if column is None:
                    break
                rows[-1][column] = cell
                if spans.get("row", 1) > 1:
                    below[column] = (spans["row"] - 1, cell)
    return tuple(tuple(row.get(i, "") for i in range(max(row) + 1)) for row in rows if row)

"""What a command answers, before any format: sentences, tables, a command to copy, and all the data.

A renderer shows a document as a terminal table, Markdown, CSV or JSON; nothing is computed there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under headers; numbers are already text where people read them, raw in `Document.data`."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: tuple[int, ...] = ()  # columns that hold numbers and align right

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headers):
                raise ValueError(
                    f"table {self.title!r}: a row has {len(row)} cells for {len(self.headers)} headers"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One answer. `data` is what `--format json` prints; its keys carry units and `schema` its version."""

    schema: str  # "planner.fit/1"
    title: str
    answer: tuple[str, ...]
    tables: tuple[Table, ...] = ()
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def main_table(self) -> Table | None:
        """The table that `--format csv` prints: the first."""
        return self.tables[0] if self.tables else None


def listed(items: Sequence[str]) -> str:
    """Words joined for a sentence: "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"

"""A table of measurements that somebody wrote as CSV: bounded, and with its row and column in every complaint."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hardware.units import MIB
from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded

MAX_BYTES: Final = 256 * MIB
MAX_ROWS: Final = 500_000
_MAX_COLUMNS: Final = 500
_MAX_CELL_CHARS: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementTable:
    """The columns and the rows of a table; every row has every column, empty where the file ends early."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]

    def has(self, columns: Sequence[str]) -> bool:
        """Whether it has all of these columns."""
        return set(columns) <= set(self.columns)


def read_table(path: Path) -> MeasurementTable:
    """Reads a CSV file with a line of column names; rows count from 0 behind it.

    Raises NotFoundError, AccessError or MalformedError, whose message names row and column.
    """
    data = read_bounded(path, MAX_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedError(
            f"{quoted(path)} is not UTF-8 at byte {error.start:,}; save it as CSV in UTF-8"
        ) from None
    return parse_table(str(path), text)


def parse_table(name: str, text: str) -> MeasurementTable:
    """The table in a CSV file's text; raises MalformedError, whose message names row and column."""
    if "\0" in text:
        raise MalformedError(f"{quoted(name)} holds null characters; it is no CSV file")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    previous = csv.field_size_limit(_MAX_CELL_CHARS)
    try:
        return _table(name, reader)
    finally:
        csv.field_size_limit(previous)


def _table(name: str, reader: Iterator[list[str]]) -> MeasurementTable:
    rows: list[Mapping[str, str]] = []
    columns: tuple[str, ...] = ()
    try:
        columns = tuple(cell.strip() for cell in next(reader, []))
        _check_columns(name, columns)
        for cells in reader:
            if not cells:
                continue
            if len(cells) > len(columns):
                raise MalformedError(
                    f"{quoted(name)}, row {len(rows)}: {len(cells)} cells for {len(columns)} columns; quote cells "
                    "that hold commas"
                )
            if len(rows) >= MAX_ROWS:
                raise MalformedError(f"{quoted(name)} has more than {MAX_ROWS:,} rows; split it")
            padded = (*cells, *("" for _ in range(len(columns) - len(cells))))
            rows.append(dict(zip(columns, padded, strict=True)))
    except csv.Error as error:
        raise MalformedError(f"{quoted(name)}, row {len(rows)}: {error}; it is not readable as CSV") from None
    return MeasurementTable(name=name, columns=columns, rows=tuple(rows))


def _check_columns(name: str, columns: Sequence[str]) -> None:
    if not any(columns):
        raise MalformedError(f"{quoted(name)} is empty; expected a line of column names")
    if len(columns) > _MAX_COLUMNS:
        raise MalformedError(f"{quoted(name)} has {len(columns):,} columns; at most {_MAX_COLUMNS} are read")
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise MalformedError(f"{quoted(name)} has the column {quoted(twice[0])} twice")

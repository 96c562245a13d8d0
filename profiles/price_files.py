"""A person's own prices of APIs: CSV or JSON, checked row by row.

`api_prices.csv` and `api_prices.json` in the user's own folder are always read; a command may be given another file.
"""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from profiles.errors import ProfileError
from profiles.loader import read_text, user_folder
from profiles.price_schema import PRICE_COLUMNS, check_price

OWN_FILES = ("api_prices.csv", "api_prices.json")
_MAX_ROWS = 20_000

Cells = Mapping[str, Any]


def own_price_files() -> tuple[Path, ...]:
    """The price files of the user's own folder that exist."""
    return tuple(path for name in OWN_FILES if (path := user_folder() / name).is_file())


def read_price_file(path: Path) -> tuple[Cells, ...]:
    """The rows of a price file; ProfileError naming file, row and field for one that cannot be right."""
    if not path.is_file():
        raise ProfileError(f"{path}: there is no such file; a price file is CSV or JSON (docs/prices.md)")
    text = read_text(path)
    rows = _json_rows(text, path) if path.suffix.casefold() == ".json" else _csv_rows(text, path)
    if not rows:
        raise ProfileError(f"{path}: holds no prices")
    if len(rows) > _MAX_ROWS:
        raise ProfileError(f"{path}: holds {len(rows):,} rows; at most {_MAX_ROWS:,} are read")
    return rows


def _csv_rows(text: str, path: Path) -> tuple[Cells, ...]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[Cells] = []
    try:
        for cells in reader:
            if None in cells or None in cells.values():
                raise ProfileError(
                    f"{path}, line {reader.line_num}: found more or fewer cells than the header has"
                )
            row = {name.strip(): (cell.strip() or None) for name, cell in cells.items()}
            row["id"] = row.get("id") or f"line {reader.line_num}"
            check_price(row, str(path))
            rows.append(row)
    except csv.Error as error:
        raise ProfileError(f"{path}, line {reader.line_num}: not readable as CSV: {error}") from error
    return tuple(rows)


def _json_rows(text: str, path: Path) -> tuple[Cells, ...]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{path}: not readable as JSON: {error}") from error
    found = content.get("prices") if isinstance(content, dict) else content
    if not isinstance(found, list):
        raise ProfileError(f'{path}: expected a list of prices, or an object with the list under "prices"')
    rows = []
    for number, row in enumerate(found, start=1):
        if not isinstance(row, dict):
            raise ProfileError(f"{path}, price {number}: found a {type(row).__name__}, expected an object")
        rows.append(_json_row(row, number, path))
    return tuple(rows)


def _json_row(row: dict[str, Any], number: int, path: Path) -> Cells:
    """A row checked like one of a table; a whole schedule, where there is one, is read later."""
    cells: dict[str, str | None] = {"id": f"price {number}"}
    for name, value in row.items():
        if name == "schedule":
            continue
        if isinstance(value, bool):
            cells[name] = str(int(value))
        elif value is None or isinstance(value, str | int | float):
            cells[name] = None if value is None else str(value)
        else:
            raise ProfileError(f"{path}, price {number}, field {name[:40]!r}: expected a text or a number")
    if "schedule" not in row:
        check_price(cells, str(path))
        return cells
    # Rates stand in the schedule; the checks of the other cells need some.
    names = {column.name for column in PRICE_COLUMNS if column.name.endswith("_per_mtok")} & set(cells)
    if names:
        raise ProfileError(
            f"{path}, price {number}: found a schedule and {min(names)!r}; give one of the two"
        )
    check_price(cells | {"input_per_mtok": "0", "output_per_mtok": "0"}, str(path))
    return cells | {"schedule": row["schedule"]}

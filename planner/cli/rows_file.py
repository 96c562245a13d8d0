"""--rows OUT.csv: every prediction beside its input row."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def rows_option(command: F) -> F:
    """--rows, a file to write."""
    return click.option(
        "--rows", "rows_file", type=click.Path(dir_okay=False, path_type=Path), default=None,
        help="Also write every prediction beside its row to this CSV file.",
    )(command)  # fmt: skip


def write_rows(path: Path, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Writes a table; one clear line where the file cannot be written."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(lines)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}") from error

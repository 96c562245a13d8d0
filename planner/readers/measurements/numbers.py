"""Numbers out of results that nobody vouches for."""

import math
from collections.abc import Mapping
from typing import Any

from planner.errors import MalformedError
from planner.quoting import quoted


def at(record: Any, *path: str | int) -> Any:
    """What stands at a path of keys and indices; None where it ends early."""
    value = record
    for key in path:
        if isinstance(key, str) and isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(key, int) and isinstance(value, list) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def number(record: Any, *path: str | int) -> float | None:
    """A finite number at a path, which may be written as text; None for anything else."""
    value = at(record, *path)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def words(record: Any, *path: str | int) -> str:
    """Text at a path; empty for anything else."""
    value = at(record, *path)
    return value.strip() if isinstance(value, str) else ""


def positive(record: Any, file: str, row: int, *path: str | int) -> float:
    """A number above 0; raises MalformedError naming file, row and field."""
    found = number(record, *path)
    if found is None or found <= 0:
        field = ".".join(str(key) for key in path)
        raise MalformedError(
            f"{quoted(file)}, result {row}: {field} is {quoted(str(at(record, *path)))}, expected a positive number"
        )
    return found

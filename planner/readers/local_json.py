"""JSON from files that nobody vouches for: bounded in size, depth and number of values."""

import json
from pathlib import Path
from typing import Any

from hardware.units import MIB, format_bytes
from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded

MAX_JSON_BYTES = 16 * MIB
_MAX_DEPTH = 64
_MAX_VALUES = 500_000  # a value takes up to 300 bytes; the longest known config.json holds 50,000
_MAX_TEXT_BYTES = 40 * MIB  # in memory, where one strange character makes a text four times as large


def read_json_object(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The JSON object in a file such as config.json; a file over `max_bytes` is refused unread."""
    return parse_json_object(read_bounded(path, max_bytes), quoted(path))


def parse_json_object(data: bytes, name: str, *, max_values: int = _MAX_VALUES) -> dict[str, Any]:
    """The JSON object in `data`; `name` stands in messages, already quoted.

    NaN and Infinity are allowed, because configurations in use contain them; of a repeated key the last
    value counts. Anything that is not one UTF-8 object of sane depth raises MalformedError.
    """
    # An upper bound of the values, so that a few bytes of "[[],[],…" cannot become gigabytes of objects.
    n_values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if n_values > max_values:
        raise MalformedError(f"{name} holds about {n_values:,} JSON values; at most {max_values:,} are read")
    if not (data.isascii() and b"\\u" not in data) and len(data) > _MAX_TEXT_BYTES // 4:
        raise MalformedError(
            f"{name} has {format_bytes(len(data))}; at most {format_bytes(_MAX_TEXT_BYTES // 4)} are read of a text "
            "that is not plain ASCII"
        )
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise MalformedError(f"{name} is not UTF-8 text: byte {error.start} is invalid") from error
    except RecursionError as error:
        raise MalformedError(f"{name} is nested too deeply; at most {_MAX_DEPTH} levels are read") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedError(f"{name} is not valid JSON: {error.msg} at {place}") from error
    except ValueError as error:  # an integer of thousands of digits
        raise MalformedError(f"{name} is not usable JSON: it holds an absurdly long number") from error
    if not isinstance(value, dict):
        raise MalformedError(f"{name} holds a JSON {type(value).__name__}; an object {{…}} is expected")
    _check_depth(value, name)
    return value


def _check_depth(value: dict[str, Any], name: str) -> None:
    """Refuse deep nesting, on which later recursive code and printing would fail."""
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise MalformedError(f"{name} is nested too deeply; at most {_MAX_DEPTH} levels are read")

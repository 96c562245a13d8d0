"""Arrivals from a recorded trace: CSV or JSON lines with a time, prompt tokens and output tokens each.

Known column names are those of the public traces: Azure's LLM inference traces (TIMESTAMP, ContextTokens,
GeneratedTokens), Mooncake's (timestamp in ms, input_length, output_length) and BurstGPT's (Timestamp, Request
tokens, Response tokens), next to our own (arrival_s, n_prompt_tokens, n_output_tokens).
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hardware.units import MEGA, MIB, format_bytes
from planner.errors import MalformedError, NotFoundError
from planner.load.request_record import RequestPlan

_MAX_BYTES: Final = 512 * MIB
_MAX_ROWS: Final = MEGA
_MAX_TOKENS: Final = 10_000_000
# Times, prompt and output columns; the number is what one unit of time is in seconds.
_COLUMNS: Final = (
    ("arrival_s", "n_prompt_tokens", "n_output_tokens", 1.0),
    ("TIMESTAMP", "ContextTokens", "GeneratedTokens", 1.0),
    ("timestamp", "input_length", "output_length", 1e-3),
    ("Timestamp", "Request tokens", "Response tokens", 1.0),
)


def read_trace(path: Path, *, limit: int = _MAX_ROWS) -> tuple[RequestPlan, ...]:
    """Requests in the order of their arrival, the first at 0; rows without an answer are left out.

    Raises NotFoundError or MalformedError, one line with the row.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise MalformedError(f"the trace {path.name!r} is larger than {format_bytes(_MAX_BYTES)}; cut it")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = _json_rows(stream) if path.suffix in (".jsonl", ".json") else csv.DictReader(stream)
            return _plans(rows, path.name, limit)
    except FileNotFoundError:
        raise NotFoundError(f"there is no trace {str(path)!r}") from None
    except (OSError, UnicodeDecodeError, csv.Error, RecursionError) as error:
        raise MalformedError(f"the trace {path.name!r} cannot be read: {error}") from error


def _json_rows(stream: Iterator[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise MalformedError(f"line {number} of the trace is not JSON") from None
        if not isinstance(row, dict):
            raise MalformedError(f"line {number} of the trace is not an object")
        yield row


def _plans(rows: Iterator[Mapping[str, Any]], name: str, limit: int) -> tuple[RequestPlan, ...]:
    found: list[tuple[float, int, int]] = []
    columns: tuple[str, str, str, float] | None = None
    for number, row in enumerate(rows, 1):
        if columns is None:
            columns = next((known for known in _COLUMNS if set(known[:3]) <= set(row)), None)
            if columns is None:
                wanted = "; ".join(", ".join(known[:3]) for known in _COLUMNS)
                raise MalformedError(f"the trace {name!r} has none of the known columns ({wanted})")
        try:
            when = _time(row[columns[0]]) * columns[3]
            n_prompt, n_output = (int(float(row[column])) for column in columns[1:3])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise MalformedError(
                f"row {number} of the trace {name!r} has no time and two counts of tokens"
            ) from None
        if n_output < 1:
            continue  # a request that failed when it was recorded
        if not 0 < n_prompt <= _MAX_TOKENS or n_output > _MAX_TOKENS or not math.isfinite(when):
            raise MalformedError(f"row {number} of the trace {name!r} has impossible counts or times")
        found.append((when, n_prompt, n_output))
        if len(found) >= limit:
            break
    if not found:
        raise MalformedError(f"the trace {name!r} holds no request")
    found.sort()
    start = found[0][0]
    return tuple(
        RequestPlan(n_prompt_tokens=n_prompt, n_output_tokens=n_output, arrival_s=when - start)
        for when, n_prompt, n_output in found
    )


def _time(value: Any) -> float:
    """Seconds, or a date such as "2024-05-10 00:00:00.009930+00:00", in seconds since 1970."""
    try:
        return float(value)
    except ValueError:
        return datetime.fromisoformat(str(value).strip()[:32]).timestamp()

"""Requests of a log or a trace: CSV or JSON lines with a time, prompt tokens and output tokens each.

What a row means is told by its columns: public traces have their own, servers' logs hold OpenAI's or Anthropic's `usage`.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hardware.units import MEGA, MIB, MILLI, format_bytes
from planner.errors import MalformedError, NotFoundError
from planner.quoting import quoted
from planner.workload.logged_request import LoggedRequest, RequestLog

_MAX_BYTES: Final = 512 * MIB
MAX_ROWS: Final = MEGA
_MAX_TOKENS: Final = 10_000_000
_MAX_LINE: Final = 4 * MIB
_MAX_HASHES: Final = 100_000
_A_DATE_S: Final = 946_684_800.0  # the year 2000: times below count from a start of their own
_MILLISECONDS: Final = 1e11  # numbers above are milliseconds since 1970


@dataclass(frozen=True, slots=True)
class _Format:
    """A table of a trace: its columns of time, prompt and output, and what one unit of time is in seconds."""

    columns: tuple[str, str, str]
    unit_s: float = 1.0
    hashes: str | None = None


_FORMATS: Final = (
    _Format(("arrival_s", "n_prompt_tokens", "n_output_tokens")),
    _Format(("TIMESTAMP", "ContextTokens", "GeneratedTokens")),  # Azure's LLM inference traces
    _Format(("timestamp", "input_length", "output_length"), MILLI, "hash_ids"),  # Mooncake's
    _Format(("Timestamp", "Request tokens", "Response tokens")),  # BurstGPT's
)
_TIMES: Final = ("created", "created_at", "timestamp", "time", "ts", "start_time", "date")
_NESTED: Final = ("response", "body", "data", "result")


def read_request_log(path: Path, *, limit: int = MAX_ROWS) -> RequestLog:
    """A log's requests by time; rows without an answer are left out. Raises NotFoundError or MalformedError, one line."""
    name = quoted(path.name)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise MalformedError(f"the log {name} is larger than {format_bytes(_MAX_BYTES)}; cut it")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = _json_rows(stream, name) if path.suffix in (".jsonl", ".json") else csv.DictReader(stream)
            return _log(rows, path.name, limit)
    except FileNotFoundError:
        raise NotFoundError(f"there is no log or trace {quoted(path)}") from None
    except (OSError, UnicodeDecodeError, csv.Error, RecursionError) as error:
        raise MalformedError(f"the log {name} cannot be read: {quoted(error)[1:-1]}") from error


def _json_rows(stream: Any, name: str) -> Iterator[Mapping[str, Any]]:
    number = 0
    while line := stream.readline(_MAX_LINE):
        number += 1
        if len(line) >= _MAX_LINE:
            raise MalformedError(f"line {number} of the log {name} is longer than {format_bytes(_MAX_LINE)}")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise MalformedError(f"line {number} of the log {name} is not JSON") from None
        if not isinstance(row, dict):
            raise MalformedError(f"line {number} of the log {name} is not an object")
        yield row


def _log(rows: Iterator[Mapping[str, Any]], file_name: str, limit: int) -> RequestLog:
    name = quoted(file_name)
    found: list[LoggedRequest] = []
    read: Callable[[Mapping[str, Any]], LoggedRequest] | None = None
    n_left_out = 0
    for number, row in enumerate(rows, 1):
        if read is None:
            read = _reader_of(row, name)
        try:
            request = read(row)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            raise MalformedError(
                f"row {number} of the log {name} has no time and two counts of tokens"
            ) from None
        if request.n_output_tokens < 1:
            n_left_out += 1  # a request that failed when it was recorded
            continue
        if not _is_possible(request):
            raise MalformedError(f"row {number} of the log {name} has impossible counts or times")
        found.append(request)
        if len(found) >= limit:
            break
    if not found:
        raise MalformedError(f"the log {name} holds no request that was answered")
    found.sort(key=lambda request: request.arrival_s)
    return RequestLog(
        name=file_name,
        requests=tuple(found),
        has_dates=found[0].arrival_s > _A_DATE_S,
        n_left_out=n_left_out,
    )


def _is_possible(request: LoggedRequest) -> bool:
    return (
        0 < request.n_prompt_tokens <= _MAX_TOKENS
        and request.n_output_tokens <= _MAX_TOKENS
        and math.isfinite(request.arrival_s)
        and 0 <= (request.n_thinking_tokens or 0) <= request.n_output_tokens
        and 0 <= (request.n_cached_tokens or 0) <= request.n_prompt_tokens
    )


def _reader_of(row: Mapping[str, Any], name: str) -> Callable[[Mapping[str, Any]], LoggedRequest]:
    for known in _FORMATS:
        if set(known.columns) <= set(row):
            return lambda found: _of_trace(found, known)
    usage = _usage(row)
    if usage is not None and any(time in holder for holder in _holders(row) for time in _TIMES):
        return _of_usage
    wanted = "; ".join(", ".join(known.columns) for known in _FORMATS)
    raise MalformedError(
        f"the log {name} has none of the known columns ({wanted}; or a time such as created and OpenAI's usage: "
        "prompt_tokens, completion_tokens)"
    )


def _of_trace(row: Mapping[str, Any], known: _Format) -> LoggedRequest:
    when, n_prompt, n_output = (row[column] for column in known.columns)
    hashes = row.get(known.hashes) if known.hashes else None
    return LoggedRequest(
        arrival_s=_time(when, known.unit_s),
        n_prompt_tokens=_count(n_prompt),
        n_output_tokens=_count(n_output),
        prefix_hashes=tuple(_count(one) for one in hashes[:_MAX_HASHES])
        if isinstance(hashes, list)
        else None,
    )


def _holders(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The row itself and the answer that it may hold, as gateways and batches log it."""
    found = [row]
    for _ in range(3):
        inner = next((found[-1][key] for key in _NESTED if isinstance(found[-1].get(key), dict)), None)
        if inner is None:
            break
        found.append(inner)
    return found


def _usage(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for holder in _holders(row):
        usage = holder.get("usage", holder)
        if isinstance(usage, dict) and ("prompt_tokens" in usage or "input_tokens" in usage):
            return usage
    return None


def _of_usage(row: Mapping[str, Any]) -> LoggedRequest:
    usage = _usage(row)
    if usage is None:
        raise KeyError("usage")
    when = next(
        holder[key] for holder in _holders(row) for key in _TIMES if holder.get(key) not in (None, "")
    )
    if "prompt_tokens" in usage:
        prompt, output, of_prompt, of_output = (
            usage["prompt_tokens"], usage.get("completion_tokens"), "prompt_tokens_details", "completion_tokens_details",
        )  # fmt: skip
    else:
        prompt, output, of_prompt, of_output = (
            usage["input_tokens"], usage.get("output_tokens"), "input_tokens_details", "output_tokens_details",
        )  # fmt: skip
    cached = _detail(usage, of_prompt, "cached_tokens")
    n_prompt = _count(prompt)
    if "cache_read_input_tokens" in usage:  # Anthropic's: what is cached is not among the input tokens
        cached = _count(usage["cache_read_input_tokens"] or 0)
        n_prompt += cached + _count(usage.get("cache_creation_input_tokens") or 0)
    return LoggedRequest(
        arrival_s=_time(when, 1.0),
        n_prompt_tokens=n_prompt,
        n_output_tokens=_count(output or 0),
        n_thinking_tokens=_detail(usage, of_output, "reasoning_tokens"),
        n_cached_tokens=cached,
    )


def _detail(usage: Mapping[str, Any], table: str, key: str) -> int | None:
    details = usage.get(table)
    value = details.get(key) if isinstance(details, dict) else usage.get(key)
    return None if value in (None, "") else _count(value)


def _count(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("true and false are no counts")
    return int(float(value))


def _time(value: Any, unit_s: float) -> float:
    """Seconds; of a date such as "2024-05-10 00:00:00.009930+00:00" since 1970, in UTC where it names no zone."""
    try:
        number = float(value)
    except ValueError:
        found = datetime.fromisoformat(str(value).strip()[:40])
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if unit_s == 1.0 and number > _MILLISECONDS:
        unit_s = MILLI
    return number * unit_s

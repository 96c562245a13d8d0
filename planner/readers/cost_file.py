"""A person's own figures of costs, in a TOML file: NAME = 0.2, NAME = "0.2(0.15-0.3)", or a table with value, low, high, source."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from planner.errors import MalformedError, PriceError
from planner.prices.figure import Figure, Figures, stated
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded

MAX_BYTES = 256 * 1024
_KEYS = frozenset(("value", "low", "high", "currency", "source", "as_of"))
_MAX_TEXT = 500


def read_cost_file(
    path: Path, known: Figures, units: Mapping[str, str], day: date | None = None
) -> tuple[Figure, ...]:
    """The figures of a file; ReadError or PriceError, one line that names the file and the figure, for anything else."""
    return parse_costs(read_bounded(path, MAX_BYTES), quoted(path), known, units, day)


def parse_costs(
    data: bytes, shown: str, known: Figures, units: Mapping[str, str], day: date | None = None
) -> tuple[Figure, ...]:
    """The figures in the bytes of a file; `shown` stands in messages, already quoted."""
    try:
        tables = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{shown} is not readable as TOML: {quoted(error)[1:-1]}") from error
    return tuple(_figure(name, found, shown, known, units, day) for name, found in tables.items())


def _figure(
    name: str, found: Any, shown: str, known: Figures, units: Mapping[str, str], day: date | None
) -> Figure:
    source, as_of = f"stated in {shown}", None
    if isinstance(found, dict):
        strange = sorted(set(found) - _KEYS)
        if strange or "value" not in found:
            raise MalformedError(
                f"{shown}, {quoted(name)}: has {quoted(strange[0]) if strange else 'no value'}; "
                "a table holds value, and low, high, currency, source and as_of if wanted"
            )
        source = _text(found.get("source"), source)
        as_of = _text(found.get("as_of"), "") or None
        low, high = found.get("low", found["value"]), found.get("high", found["value"])
        currency = found.get("currency", "")
        text = f"{_number(found['value'])}({_number(low)}-{_number(high)}) {currency}"
    else:
        text = found if isinstance(found, str) else _number(found)
    try:
        figure = stated(name, text, known, units, day)
    except PriceError as error:
        raise PriceError(f"{shown}: {error}") from error
    in_dollars = figure.source == "as stated"
    return replace(figure, source=source if in_dollars else f"{source}; {figure.source}", as_of=as_of)


def _number(value: Any) -> str:
    """A number as text; anything else as a text that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return repr(value)[:60]
    return f"{value:.12g}"


def _text(value: Any, otherwise: str) -> str:
    return " ".join(str(value).split())[:_MAX_TEXT] if value is not None else otherwise

"""Frozen records as JSON data and back, after their own field names and types.

The fields say it all: a record that gains one needs no change here. Supported types are str, int, float, bool,
enums of text, Literal, other records, None, unions of these, tuples, frozen sets and mappings from text.
Reading takes nothing on trust: every value has the type of its field, numbers are finite and not negative, texts
and lists are bounded, and the error names the place.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

Record = TypeVar("Record")

MAX_TEXT = 10_000
MAX_ITEMS = 10_000
_MAX_INTEGER = 2**63 - 1
_MAX_SHOWN = 60


class RecordError(ValueError):
    """A value is not what its field asks for; the message says where and what was found."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Where a record's JSON differs from its fields: keys that need their unit, and values that are only shown."""

    names: Mapping[tuple[type, str], str]
    shown: Mapping[type, tuple[str, ...]]  # properties that are written, never read

    def of(self, kind: type, field: str) -> str:
        """The key under which a field stands."""
        return self.names.get((kind, field), field)


def record_to_data(record: Any, keys: Keys) -> dict[str, Any]:
    """A record as what `json.dumps` takes; None stands for what nobody knows."""
    kind = type(record)
    data = {
        keys.of(kind, field.name): _to_data(getattr(record, field.name), keys)
        for field in dataclasses.fields(record)
    }
    return data | {name: getattr(record, name) for name in keys.shown.get(kind, ())}


def record_from_data(kind: type[Record], data: Any, keys: Keys, unread: list[str] | None = None) -> Record:
    """The record that `record_to_data` wrote; keys that no field has are added to `unread`.

    Raises RecordError for anything else. A field that is missing takes its default, where it has one.
    """
    return typing.cast(Record, _record(kind, data, "", keys, [] if unread is None else unread))


def _to_data(value: Any, keys: Keys) -> Any:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return record_to_data(value, keys)
    if isinstance(value, Mapping):
        return {name: _to_data(item, keys) for name, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(_to_data(item, keys) for item in value)
    if isinstance(value, tuple | list):
        return [_to_data(item, keys) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordError(f"{value} is no number that JSON can hold")
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _record(kind: type, data: Any, where: str, keys: Keys, unread: list[str]) -> Any:
    if not isinstance(data, dict):
        raise _wrong(where, data, "an object")
    known = set(keys.shown.get(kind, ()))
    values = {}
    for field in dataclasses.fields(kind):
        key = keys.of(kind, field.name)
        known.add(key)
        place = f"{where}.{key}" if where else key
        if key in data:
            values[field.name] = _value(_hints(kind)[field.name], data[key], place, keys, unread)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise RecordError(f"{place} is missing")
    unread.extend(_shown(f"{where}.{key}" if where else key) for key in data if key not in known)
    try:
        return kind(**values)
    except ValueError as error:  # what the record itself refuses
        raise RecordError(f"{where or 'it'} is contradictory: {error}") from error


def _value(kind: Any, data: Any, where: str, keys: Keys, unread: list[str]) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(inner, data, where, keys, unread)
    if origin is Literal:
        if data not in inner:
            raise _wrong(where, data, f"one of {', '.join(map(str, inner))}")
        return data
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        if len(_list(data, where)) != len(inner):
            raise _wrong(where, data, f"a list of {len(inner)}")
        pairs = zip(inner, data, strict=True)
        return tuple(_value(one, item, f"{where}[{i}]", keys, unread) for i, (one, item) in enumerate(pairs))
    if origin in (tuple, frozenset):
        items = _list(data, where)
        return origin(_value(inner[0], item, f"{where}[{i}]", keys, unread) for i, item in enumerate(items))
    if isinstance(origin, type) and issubclass(origin, Mapping) and inner[0] is str:
        return MappingProxyType(dict(_items(inner[1], data, where, keys, unread)))
    if dataclasses.is_dataclass(kind):
        return _record(typing.cast(type, kind), data, where, keys, unread)
    if isinstance(kind, type) and issubclass(kind, Enum):
        if not isinstance(data, str) or data not in {member.value for member in kind}:
            raise _wrong(where, data, f"one of {', '.join(str(member.value) for member in kind)}")
        return kind(data)
    return _scalar(kind, data, where)


def _one_of(kinds: tuple[Any, ...], data: Any, where: str, keys: Keys, unread: list[str]) -> Any:
    """A union: None for null, else the one kind there is, or the first that has this very type."""
    if data is None and types.NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not types.NoneType]
    exact = [kind for kind in others if type(data) is kind]
    chosen = exact or ([float] if type(data) is int and float in others else others)
    return _value(chosen[0], data, where, keys, unread)


def _scalar(kind: Any, data: Any, where: str) -> str | int | float | bool:
    if kind is str:
        if not isinstance(data, str):
            raise _wrong(where, data, "text")
        if len(data) > MAX_TEXT:
            raise RecordError(f"{where} has {len(data):,} characters, at most {MAX_TEXT:,} are read")
        if any("\ud800" <= char <= "\udfff" for char in data):
            raise _wrong(where, data, "Unicode text")
        return data
    if kind is bool:
        if not isinstance(data, bool):
            raise _wrong(where, data, "true or false")
        return data
    if kind is int:
        if type(data) is not int or not 0 <= data <= _MAX_INTEGER:
            raise _wrong(where, data, "a whole number of 0 or more, below 2^63")
        return data
    if kind is float:
        # An integer may be too large for a float; its comparison with one is exact.
        if type(data) not in (int, float) or not 0 <= data <= 1.7e308:
            raise _wrong(where, data, "a finite number of 0 or more")
        return float(data)
    raise TypeError(f"{where}: records with a field of type {kind!r} cannot be read from JSON yet")


def _items(kind: Any, data: Any, where: str, keys: Keys, unread: list[str]) -> Iterator[tuple[str, Any]]:
    if not isinstance(data, dict) or len(data) > MAX_ITEMS:
        raise _wrong(where, data, f"an object of at most {MAX_ITEMS:,} entries")
    for name, item in data.items():
        place = f"{where}.{_shown(name)}"
        yield str(_scalar(str, name, place)), _value(kind, item, place, keys, unread)


def _list(data: Any, where: str) -> list[Any]:
    if not isinstance(data, list):
        raise _wrong(where, data, "a list")
    if len(data) > MAX_ITEMS:
        raise RecordError(f"{where} has {len(data):,} entries, at most {MAX_ITEMS:,} are read")
    return data


def _wrong(where: str, data: Any, wanted: str) -> RecordError:
    found = {dict: "an object", list: "a list", types.NoneType: "null"}.get(type(data)) or _shown(data)
    return RecordError(f"{where or 'it'} is {found}, not {wanted}")


def _shown(value: Any) -> str:
    """A value of unknown size and content, short and on one line."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**_MAX_SHOWN:
        return f"a number of {value.bit_length():,} bits"
    text = ascii(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"

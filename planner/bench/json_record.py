"""JSON from disk as one of our frozen records: every field is checked, and what is wrong is said in one line."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read_json(path: Path, max_bytes: int) -> object:
    """What a file holds; raises ValueError for one that is too large or no JSON, OSError where it cannot be read."""
    if path.stat().st_size > max_bytes:
        raise ValueError(f"larger than {max_bytes:,} bytes")
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def record_from(content: object, kind: str, version: int, key: str, record: type[T]) -> T:
    """The record that an object of a kind and version holds; raises ValueError saying what is wrong with it."""
    if not isinstance(content, Mapping) or content.get("kind") != kind:
        raise ValueError(f'its "kind" is not {kind!r}')
    if content.get("schema_version") != version:
        raise ValueError(f"schema_version {_short(content.get('schema_version'))}, known is {version}")
    return _record(content.get(key), record)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _record(value: object, record: type[T]) -> T:
    return record(**_facts(value, record))


def _facts(value: object, record: Any) -> dict[str, Any]:
    """A JSON object checked against a record's fields: none missing or unknown, each of its type.

    A field that has a default may be missing, so that files stay readable when records grow.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"a {record.__name__} is not an object")
    names = {item.name for item in fields(record)}
    needed = {item.name for item in fields(record) if item.default is MISSING}
    if wrong := (set(value) - names) | (needed - set(value)):
        raise ValueError(f"{record.__name__} lacks or adds {_short(sorted(wrong))}")
    hints = get_type_hints(record)
    return {name: _typed(f"{record.__name__}.{name}", item, hints[name]) for name, item in value.items()}


def _typed(name: str, value: object, hint: Any) -> object:
    if get_origin(hint) in (UnionType, Union):  # only "… | None" among stored fields
        return None if value is None else _typed(name, value, get_args(hint)[0])
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return _record(value, hint)
    if hint is float and type(value) is int:
        return float(value)
    if hint in (str, int, bool, float):
        if type(value) is not hint:
            raise ValueError(f"{name} is {_short(value)}, not of type {hint.__name__}")
        return value
    if get_origin(hint) is tuple:
        return _tuple(name, value, get_args(hint))
    if value not in get_args(hint):  # a Literal
        raise ValueError(f"{name} is {_short(value)}, not one of {get_args(hint)}")
    return value


def _tuple(name: str, value: object, hints: tuple[Any, ...]) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is not a list")
    if hints[-1] is Ellipsis:
        return tuple(_typed(name, item, hints[0]) for item in value)
    if len(value) != len(hints):
        raise ValueError(f"{name} has {len(value)} parts, not {len(hints)}")
    return tuple(_typed(name, item, hint) for item, hint in zip(value, hints, strict=True))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"

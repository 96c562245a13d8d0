"""Benchmark runs on disk: one JSON file each, in a folder that the caller names."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hardware.units import MIB
from planner.errors import BenchError
from planner.estimate.measurement import BenchRun, EngineMemory, Measurement

SCHEMA_VERSION = 1
_KIND = "planner-bench-run"
_MAX_FILE_BYTES = MIB


def save_run(run: BenchRun, folder: Path) -> Path:
    """Writes a run into the folder, whole or not at all, and returns the new file's path."""
    text = json.dumps({"kind": _KIND, "schema_version": SCHEMA_VERSION, "run": asdict(run)}, indent=1)
    path = folder / _file_name(run, text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            temporary = Path(file.name)
            try:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise BenchError(
            f"could not save the benchmark in {folder}: {error.strerror}; set PLANNER_DATA_DIR to a folder "
            "that can be written"
        ) from error
    return path


def load_runs(folder: Path) -> tuple[tuple[BenchRun, ...], tuple[str, ...]]:
    """All runs in the folder, oldest first, and one line for each file that could not be used."""
    runs: list[BenchRun] = []
    warnings: list[str] = []
    for path in sorted(folder.glob("*.json")):
        try:
            runs.append(_read(path))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            warnings.append(f"{str(path)!r} was skipped, it is not a benchmark run: {reason}")
    runs.sort(key=lambda run: run.measured_at)
    return tuple(runs), tuple(warnings)


def _file_name(run: BenchRun, text: str) -> str:
    when = re.sub(r"[^0-9T]", "", run.measured_at.split("+")[0])
    name = re.sub(r"[^A-Za-z0-9]+", "-", run.model_name).strip("-")[:60]
    return f"{when}-{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"


def _read(path: Path) -> BenchRun:
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ValueError(f"larger than {_MAX_FILE_BYTES:,} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return run_from(content)


def is_run(content: object) -> bool:
    """Whether JSON calls itself a benchmark run."""
    return isinstance(content, Mapping) and content.get("kind") == _KIND


def run_from(content: object) -> BenchRun:
    """The run that JSON holds; raises ValueError saying what is wrong with it."""
    if not isinstance(content, Mapping) or not is_run(content):
        raise ValueError(f'its "kind" is not {_KIND!r}')
    if content.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"schema_version {_short(content.get('schema_version'))}, known is {SCHEMA_VERSION}")
    return _run(content.get("run"))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _run(value: object) -> BenchRun:
    facts = _facts(value, BenchRun, nested=frozenset({"measurements", "memory"}))
    memory = facts["memory"]
    measurements = facts["measurements"]
    if not isinstance(measurements, list):
        raise ValueError("measurements is not a list")
    facts["measurements"] = tuple(Measurement(**_facts(item, Measurement)) for item in measurements)
    facts["memory"] = None if memory is None else EngineMemory(**_facts(memory, EngineMemory))
    return BenchRun(**facts)


def _facts(value: object, record: type, nested: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A JSON object checked against a record's fields: none missing or unknown, each of its type.

    A field that has a default may be missing, so that runs stay readable when records grow.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"a {record.__name__} is not an object")
    names = {item.name for item in fields(record)}
    needed = {item.name for item in fields(record) if item.default is MISSING}
    if wrong := (set(value) - names) | (needed - set(value)):
        raise ValueError(f"{record.__name__} lacks or adds {_short(sorted(wrong))}")
    hints = get_type_hints(record)
    return {
        name: item if name in nested else _typed(f"{record.__name__}.{name}", item, hints[name])
        for name, item in value.items()
    }


def _typed(name: str, value: object, hint: Any) -> object:
    if isinstance(hint, UnionType):  # only "… | None" among stored fields
        return None if value is None else _typed(name, value, get_args(hint)[0])
    if hint is float and type(value) is int:
        return float(value)
    if hint in (str, int, bool, float):
        if type(value) is not hint:
            raise ValueError(f"{name} is {_short(value)}, not of type {hint.__name__}")
        return value
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{name} is not a list")
        return tuple(_typed(name, item, get_args(hint)[0]) for item in value)
    if value not in get_args(hint):  # a Literal
        raise ValueError(f"{name} is {_short(value)}, not one of {get_args(hint)}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"

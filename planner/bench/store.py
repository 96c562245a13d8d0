"""Benchmark runs on disk: one JSON file each, in a folder that the caller names. Files are added, never changed.

A file gets its name only when all of it is on the disk, so a reader never meets half a run, and neither a second
program nor a kill at any moment can damage what was kept. Where the system can, it has no name at all before
that, and a kill leaves nothing behind.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hardware.units import MIB
from planner.errors import BenchError, NotFoundError
from planner.estimate.measurement import BenchRun

SCHEMA_VERSION = 1
NEWEST = "last"
_KIND = "planner-bench-run"
_MAX_FILE_BYTES = MIB
_ID_CHARACTERS = 8
_UNFINISHED = "unfinished-"
_STALE_S = 3600.0  # no run takes that long to write
_MAX_NAMED = 5
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.EPERM}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run and the file that holds it."""

    path: Path
    run: BenchRun

    @property
    def id(self) -> str:
        """The short name that commands take: part of the file's name."""
        return self.path.stem[-_ID_CHARACTERS:]


def save_run(run: BenchRun, folder: Path) -> Path:
    """Writes a run into the folder, whole or not at all, and returns the new file's path."""
    text = json.dumps({"kind": _KIND, "schema_version": SCHEMA_VERSION, "run": asdict(run)}, indent=1) + "\n"
    path = folder / _file_name(run, text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        # The name holds a hash of the text: where it is taken, this very run is there already.
        with contextlib.suppress(FileExistsError):
            _write_new(path, text.encode())
        _sync_folder(folder)
    except OSError as error:
        raise BenchError(
            f"could not save the benchmark in {folder}: {error.strerror}; set PLANNER_DATA_DIR to a folder "
            "that can be written"
        ) from error
    return path


def _write_new(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o644)
    except (AttributeError, OSError) as error:  # not Linux, or a file system without nameless files
        if isinstance(error, OSError) and error.errno not in _NO_NAMELESS_FILES:
            raise
        _write_renamed(path, data)
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        # With a folder's descriptor, Python calls linkat, which follows the link to the file itself; link() would not.
        os.link(f"/proc/self/fd/{file.fileno()}", path, src_dir_fd=file.fileno(), follow_symlinks=True)


def _write_renamed(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """The new name survives a power cut too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(folder: Path) -> None:
    """Removes what a killed program left unfinished."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                path.unlink()


def load_runs(folder: Path) -> tuple[tuple[BenchRun, ...], tuple[str, ...]]:
    """All runs in the folder, oldest first, and one line for each file that could not be used."""
    stored, warnings = stored_runs(folder)
    return tuple(item.run for item in stored), warnings


def stored_runs(folder: Path) -> tuple[tuple[StoredRun, ...], tuple[str, ...]]:
    """The same with their files."""
    runs: list[StoredRun] = []
    warnings: list[str] = []
    for path in sorted(folder.glob("*.json")):
        try:
            runs.append(StoredRun(path=path, run=_read(path)))
        except FileNotFoundError:  # removed since the folder was listed
            continue
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            warnings.append(f"{str(path)!r} was skipped, it is not a benchmark run: {reason}")
    runs.sort(key=lambda item: item.run.measured_at)
    return tuple(runs), tuple(warnings)


def find_run(name: str, folder: Path) -> StoredRun:
    """The run that an id (or its beginning), "last" or a file's path names; NotFoundError with what there is."""
    path = Path(name)
    if path.suffix == ".json" and path.is_file():
        try:
            return StoredRun(path=path, run=_read(path))
        except (OSError, ValueError) as error:
            raise NotFoundError(f"{name!r} is not a benchmark run: {error}") from error
    runs, _ = stored_runs(folder)
    if name == NEWEST and runs:
        return runs[-1]
    found = [item for item in runs if name and item.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if not runs:
        raise NotFoundError(f"no benchmark is kept in {folder}; measure one with planner bench FILE.gguf")
    if found:
        ids = ", ".join(item.id for item in found[:_MAX_NAMED])
        raise NotFoundError(f"{name!r} begins the ids of {len(found)} benchmarks ({ids}); give more of it")
    ids = ", ".join(item.id for item in runs[-_MAX_NAMED:])
    raise NotFoundError(f"no benchmark has the id {name[:40]!r}; newest: {ids}; all: planner bench list")


def remove_run(stored: StoredRun) -> None:
    """Removes one run for good."""
    try:
        stored.path.unlink()
    except OSError as error:
        raise BenchError(f"could not remove {stored.path}: {error.strerror}") from error


def _file_name(run: BenchRun, text: str) -> str:
    when = re.sub(r"[^0-9T]", "", run.measured_at.split("+")[0])
    name = re.sub(r"[^A-Za-z0-9]+", "-", run.model_name).strip("-")[:60]
    return f"{when}-{name}-{hashlib.sha256(text.encode()).hexdigest()[:_ID_CHARACTERS]}.json"


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
    run = _record(content.get("run"), BenchRun)
    assert isinstance(run, BenchRun)
    return run


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _record(value: object, record: type) -> object:
    return record(**_facts(value, record))


def _facts(value: object, record: type) -> dict[str, Any]:
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
    return {name: _typed(f"{record.__name__}.{name}", item, hints[name]) for name, item in value.items()}


def _typed(name: str, value: object, hint: Any) -> object:
    if isinstance(hint, UnionType):  # only "… | None" among stored fields
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
        if not isinstance(value, list):
            raise ValueError(f"{name} is not a list")
        return tuple(_typed(name, item, get_args(hint)[0]) for item in value)
    if value not in get_args(hint):  # a Literal
        raise ValueError(f"{name} is {_short(value)}, not one of {get_args(hint)}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"

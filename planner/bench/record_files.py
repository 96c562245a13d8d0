"""Records on disk: one JSON file each, in a folder that the caller names. Files are added, never changed.

A file gets its name only when all of it is on the disk, so a reader never meets half a record, and neither a second
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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from planner.bench.json_record import read_json, record_from
from planner.errors import BenchError, NotFoundError

T = TypeVar("T")
NEWEST = "last"
_ID_CHARACTERS = 8
_UNFINISHED = "unfinished-"
_STALE_S = 3600.0  # no record takes that long to write
_MAX_NAMED = 5
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.EPERM}


@dataclass(frozen=True, kw_only=True)
class Stored(Generic[T]):
    """A record and the file that holds it."""

    path: Path
    run: T

    @property
    def id(self) -> str:
        """The short name that commands take: part of the file's name."""
        return self.path.stem[-_ID_CHARACTERS:]


@dataclass(frozen=True, kw_only=True)
class RecordKind(Generic[T]):
    """What files of one kind hold, and how that is called."""

    record: type[T]
    kind: str
    key: str  # under which the record stands
    noun: str  # "benchmark"
    version: int
    max_bytes: int

    def is_one(self, content: object) -> bool:
        """Whether JSON calls itself of this kind."""
        return isinstance(content, Mapping) and content.get("kind") == self.kind

    def of(self, content: object) -> T:
        """The record that JSON holds; raises ValueError saying what is wrong with it."""
        return record_from(content, self.kind, self.version, self.key, self.record)

    def save(self, record: T, folder: Path, *, name: str, measured_at: str) -> Path:
        """Writes a record into the folder, whole or not at all, and returns the new file's path."""
        facts: Any = asdict(record)  # type: ignore[call-overload]
        text = (
            json.dumps({"kind": self.kind, "schema_version": self.version, self.key: facts}, indent=1) + "\n"
        )
        path = folder / _file_name(name, measured_at, text)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_stale(folder)
            # The name holds a hash of the text: where it is taken, this very record is there already.
            with contextlib.suppress(FileExistsError):
                _write_new(path, text.encode())
            _sync_folder(folder)
        except OSError as error:
            raise BenchError(
                f"could not save the {self.noun} in {folder}: {error.strerror}; set PLANNER_DATA_DIR to a folder "
                "that can be written"
            ) from error
        return path

    def read(self, path: Path) -> Stored[T]:
        """One file; raises OSError or ValueError."""
        return Stored(path=path, run=self.of(read_json(path, self.max_bytes)))

    def stored(self, folder: Path) -> tuple[tuple[Stored[T], ...], tuple[str, ...]]:
        """All in the folder, oldest first by name, and one line for each file that could not be used."""
        found: list[Stored[T]] = []
        warnings: list[str] = []
        for path in sorted(folder.glob("*.json")):
            try:
                found.append(self.read(path))
            except FileNotFoundError:  # removed since the folder was listed
                continue
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                warnings.append(f"{str(path)!r} was skipped, it is not a {self.noun}: {reason}")
        return tuple(found), tuple(warnings)


def find_stored(name: str, items: Sequence[Stored[T]], folder: Path) -> Stored[T]:
    """The one of an id, of its beginning or "last"; `items` are oldest first. NotFoundError with what there is."""
    if name == NEWEST and items:
        return items[-1]
    found = [item for item in items if name and item.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if not items:
        raise NotFoundError(f"no benchmark is kept in {folder}; measure one with planner bench FILE.gguf")
    if found:
        ids = ", ".join(item.id for item in found[:_MAX_NAMED])
        raise NotFoundError(f"{name!r} begins the ids of {len(found)} benchmarks ({ids}); give more of it")
    ids = ", ".join(item.id for item in items[-_MAX_NAMED:])
    raise NotFoundError(f"no benchmark has the id {name[:40]!r}; newest: {ids}; all: planner bench list")


def remove_stored(stored: Stored[Any]) -> None:
    """Removes one for good."""
    try:
        stored.path.unlink()
    except OSError as error:
        raise BenchError(f"could not remove {stored.path}: {error.strerror}") from error


def _file_name(name: str, measured_at: str, text: str) -> str:
    when = re.sub(r"[^0-9T]", "", measured_at.split("+")[0])
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60]
    return f"{when}-{plain}-{hashlib.sha256(text.encode()).hexdigest()[:_ID_CHARACTERS]}.json"


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

"""Answers on disk as they come, one line each, so that a sweep that was stopped goes on where it was.

A line is whole or worth nothing: it carries a hash of itself, and a reader takes what is whole. Errors are not kept:
what failed is tried again.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from planner.errors import PlannerError
from planner.quoting import quoted
from planner.sweep.cell import Answered, Data, canonical

_KIND: Final = "planner-sweep-journal/1"
_MAX_LINE_BYTES: Final = 2**24


class Journal:
    """The journal of one sweep; open for as long as it runs, and for one sweep at a time.

    `about` says what answers depend on besides the question. A journal about something else is
    refused, since its answers would not be those of today.
    """

    def __init__(self, path: Path, about: Data) -> None:
        self._path = path
        self._about = canonical(about)
        self._file: BinaryIO | None = None
        self.answers: Mapping[str, Data] = {}

    def __enter__(self) -> "Journal":
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._close()
            raise PlannerError(
                f"another sweep writes to {quoted(self._path)}; wait for it, or choose another --journal"
            ) from error
        except OSError as error:
            raise PlannerError(
                f"cannot keep a journal in {quoted(self._path)}: {error.strerror}; choose another --journal"
            ) from error
        try:
            self._read(self._file)
        except PlannerError:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def add(self, answered: Answered) -> None:
        """Keeps an answer; it is on the disk when this returns."""
        if self._file is None:
            raise ValueError("the journal is not open")
        if answered.answer is not None:
            self._write({"key": answered.cell.key, "answer": answered.answer})

    def _read(self, file: BinaryIO) -> None:
        file.seek(0)
        found: dict[str, Data] = {}
        end = 0
        heading: Any = None
        while line := file.readline(_MAX_LINE_BYTES):
            data = _whole(line)
            if data is None:
                break  # cut off by a kill; what would follow it was never written
            if heading is None:
                heading = data
                if data.get("kind") != _KIND:
                    break
            else:
                found[data["key"]] = data["answer"]
            end = file.tell()
        if heading is None and end == 0:
            file.seek(0)
            if file.read(1) and not self._is_cut_heading(file):
                raise self._foreign()
            file.truncate(0)
            self._write({"kind": _KIND, "about": self._about})
            return
        if heading.get("kind") != _KIND:
            raise self._foreign()
        if heading.get("about") != self._about:
            raise PlannerError(
                f"{quoted(self._path)} holds answers of another version of the planner or its data; remove it, or choose "
                "another --journal"
            )
        file.truncate(end)
        self.answers = found

    def _is_cut_heading(self, file: BinaryIO) -> bool:
        file.seek(0)
        begun = file.read(_MAX_LINE_BYTES)
        return _line({"kind": _KIND, "about": self._about}).startswith(begun)

    def _foreign(self) -> PlannerError:
        return PlannerError(
            f"{quoted(self._path)} is no journal of a sweep and is left as it is; choose another --journal"
        )

    def _write(self, data: Data) -> None:
        if self._file is None:
            raise ValueError("the journal is not open")
        self._file.write(_line(data))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(data: Data) -> bytes:
    text = canonical(data)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]} {text}\n".encode()


def _whole(line: bytes) -> dict[str, Any] | None:
    """The data of a line; None for one that was cut off or changed."""
    mark, _, text = line.partition(b" ")
    if not line.endswith(b"\n") or hashlib.sha256(text[:-1]).hexdigest()[:16].encode() != mark:
        return None
    try:
        data = json.loads(text)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None

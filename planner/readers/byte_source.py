"""Where a reader's bytes come from: a local file or a server, behind the same bounded `read`."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hardware.units import format_bytes
from planner.errors import AccessError, MalformedError, NotFoundError, ReadError
from planner.quoting import quoted

ReadRange = Callable[[int, int], bytes]
"""`read(offset, size)` gives up to `size` bytes from `offset` on; fewer only at the end of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteSource:
    """A file that can be read in ranges: its name for messages, its size, and how to read it."""

    name: str
    n_bytes: int
    read: ReadRange


def open_regular_file(path: Path) -> BinaryIO:
    """Open a file for reading, refusing what would block or never end (pipes, devices, folders)."""
    # Non-blocking, because merely opening a pipe that nobody writes to waits for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise file_error(path, error) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise MalformedError(f"{quoted(path)} is {kind}; name a file")
    return os.fdopen(descriptor, "rb")


def file_error(path: Path, error: OSError | ValueError) -> ReadError:
    """The planner's own error for what the operating system said about a path."""
    if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
        return NotFoundError(f"{quoted(path)} does not exist; check the path")
    if isinstance(error, PermissionError):
        return AccessError(f"{quoted(path)} may not be read by this user; check its permissions")
    return ReadError(f"{quoted(path)} could not be read: {error.strerror or error}")


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """All bytes of a small file; a file larger than `max_bytes` is refused before it is read."""
    with open_regular_file(path) as file:
        n_bytes = os.fstat(file.fileno()).st_size
        # One byte more than allowed is asked for, because a growing or virtual file may lie about its size.
        data = b"" if n_bytes > max_bytes else _read(path, file, max_bytes + 1)
    if n_bytes > max_bytes or len(data) > max_bytes:
        size = format_bytes(max(n_bytes, len(data)))
        raise MalformedError(
            f"{quoted(path)} has {size}; at most {format_bytes(max_bytes)} are read for such a file"
        )
    return data


def local_source(path: Path) -> ByteSource:
    """A local file as a source; the file is opened for each read, so that no handle is left open."""
    with open_regular_file(path) as file:
        n_bytes = os.fstat(file.fileno()).st_size

    def read(offset: int, size: int) -> bytes:
        with open_regular_file(path) as file:
            file.seek(offset)
            return _read(path, file, size)

    return ByteSource(name=str(path), n_bytes=n_bytes, read=read)


def _read(path: Path, file: BinaryIO, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise file_error(path, error) from error

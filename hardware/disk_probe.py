"""How fast the disk under a folder reads a large file from its start to its end, without the cache's help.

The file is read with O_DIRECT, which goes past the page cache, in blocks of 8 MiB, one after the other, as loading
weights does. A file system that has no O_DIRECT is told to drop the file from the cache first. Without a file to
read, a temporary one of random bytes is written (compression would otherwise read nothing) and deleted again.
"""

import fcntl
import mmap
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from hardware.errors import HardwareError
from hardware.spec import MeasuredRate
from hardware.units import GIB, MIB, format_bytes

Progress = Callable[[float], None]  # told the fraction done, 0 to 1
Clock = Callable[[], float]  # seconds, from any start

_BLOCK_BYTES = 8 * MIB
_MAX_FILE_BYTES = 2 * GIB
_FREE_SHARE = 20  # a temporary file takes at most 1/20 of what is free
_SAMPLE_BLOCKS = 4  # a sample is 32 MiB: long against one request, short against the budget
_WRITING_SHARE = 0.4
_MIN_SAMPLES = 3
_MIN_FILE_BYTES = _BLOCK_BYTES * _SAMPLE_BLOCKS * _MIN_SAMPLES


def measure_disk_read(
    folder: Path,
    budget_s: float = 2.5,
    progress: Progress | None = None,
    *,
    file: Path | None = None,
    clock: Clock = time.perf_counter,
) -> MeasuredRate:
    """Bytes per second of one sequential read under `folder`: of `file`, or of a temporary file.

    The rate is that of all bytes over all time, since a disk that stalls now and then loads no faster for it.
    Raises HardwareError, one line, where the folder cannot be written or the file is too small to measure.
    """
    deadline = clock() + budget_s
    try:
        if file is not None:
            return _read(file, deadline, clock, progress, what=f"of {file.name}")
        with tempfile.NamedTemporaryFile(prefix=".disk-read-", suffix=".tmp", dir=folder) as temporary:
            path = Path(temporary.name)
            n_bytes = _write(path, folder, clock() + budget_s * _WRITING_SHARE, clock)
            what = f"of a temporary file of {format_bytes(n_bytes)}"
            return _read(path, deadline, clock, progress, what=what)
    except OSError as error:
        raise HardwareError(
            f"cannot measure the disk under {folder}: {error.strerror or error}; "
            "name a folder that you can write, or a large file to read"
        ) from error


def _write(path: Path, folder: Path, deadline: float, clock: Clock) -> int:
    """Fill a file until the time or its share of free space is used up; the bytes are on the disk afterwards."""
    usage = os.statvfs(folder)
    most = min(_MAX_FILE_BYTES, usage.f_bavail * usage.f_frsize // _FREE_SHARE)
    if most < _MIN_FILE_BYTES:
        raise HardwareError(
            f"measuring the disk under {folder} takes a file of {format_bytes(_MIN_FILE_BYTES)}, at most "
            f"1/{_FREE_SHARE} of what is free, and only {format_bytes(usage.f_bavail * usage.f_frsize)} are free; "
            "name a large file to read instead"
        )
    n_bytes = 0
    with closing(mmap.mmap(-1, _BLOCK_BYTES)) as block:  # memory pages: O_DIRECT wants aligned ones
        block.write(os.urandom(_BLOCK_BYTES))
        descriptor, _ = _open(path, os.O_WRONLY)
        try:
            while n_bytes + _BLOCK_BYTES <= most and (n_bytes < _MIN_FILE_BYTES or clock() < deadline):
                block[:8] = n_bytes.to_bytes(8, "little")  # no two blocks are equal, so none is stored once
                written = os.write(descriptor, block)
                if written != _BLOCK_BYTES:
                    break
                n_bytes += written
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return n_bytes


def _read(path: Path, deadline: float, clock: Clock, progress: Progress | None, *, what: str) -> MeasuredRate:
    size = path.stat().st_size // _BLOCK_BYTES * _BLOCK_BYTES
    if size < _MIN_FILE_BYTES:
        raise HardwareError(
            f"{path.name} has {format_bytes(path.stat().st_size)}, too little to measure a disk with; name a file "
            f"of at least {format_bytes(_MIN_FILE_BYTES)}"
        )
    started = clock()
    samples: list[float] = []
    position = 0
    with closing(mmap.mmap(-1, _BLOCK_BYTES)) as block:
        descriptor, direct = _open(path, os.O_RDONLY)
        try:
            while len(samples) < _MIN_SAMPLES or clock() < deadline:
                if position + _BLOCK_BYTES * _SAMPLE_BLOCKS > size:
                    position = 0
                    if not direct:
                        _drop_cache(descriptor)
                before = clock()
                for _ in range(_SAMPLE_BLOCKS):
                    if os.preadv(descriptor, [block], position) != _BLOCK_BYTES:
                        raise OSError(f"{path.name} became shorter while it was read")
                    position += _BLOCK_BYTES
                samples.append(clock() - before)
                if progress is not None:
                    span = max(deadline - started, 1e-9)
                    progress(min(1.0, (clock() - started) / span))
        finally:
            os.close(descriptor)
    if progress is not None:
        progress(1.0)
    sample_bytes = _BLOCK_BYTES * _SAMPLE_BLOCKS
    rates = sorted(sample_bytes / seconds for seconds in samples)
    how = "O_DIRECT" if direct else "page cache dropped"
    return MeasuredRate(
        per_s=sample_bytes / statistics.fmean(samples),
        method=f"sequential read {what}, blocks of {format_bytes(_BLOCK_BYTES)}, {how}",
        n_threads=1,
        n_samples=len(rates),
        spread_fraction=(rates[-1] - rates[len(rates) // 4]) / rates[-1],
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _open(path: Path, flags: int) -> tuple[int, bool]:
    """A descriptor that goes past the page cache, and whether it really does."""
    direct = getattr(os, "O_DIRECT", 0)
    if direct:
        try:
            return os.open(path, flags | direct), True
        except OSError:
            # tmpfs and some others refuse the flag itself; a path that cannot be opened at all fails again here
            descriptor = os.open(path, flags)
    else:
        descriptor = os.open(path, flags)
        no_cache = getattr(fcntl, "F_NOCACHE", None)  # macOS
        if no_cache is not None:
            fcntl.fcntl(descriptor, no_cache, 1)
            return descriptor, True
    if flags == os.O_RDONLY:
        _drop_cache(descriptor)
    return descriptor, False


def _drop_cache(descriptor: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

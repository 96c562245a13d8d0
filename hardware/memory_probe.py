"""How fast this machine really reads main memory and multiplies matrices: short measurements in NumPy.

NumPy is loaded only when a measurement runs. `benchmarks/compare_bandwidth.py` and `benchmarks/stream.py` hold the
memory rate against loops in C on the same machine.

Linux gives NumPy's arrays huge pages (2 MiB) where it can. Weights lie in a mapped file, whose pages are small on
most file systems and huge on some, and looking up small pages costs some processors a tenth or more. So a mapped
file is measured too, and each rate says which pages it met.
"""

import importlib
import math
import mmap
import re
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardware.errors import HardwareError
from hardware.host import host_cpu, host_memory
from hardware.other_work import OtherWork
from hardware.probes.container import read_limits
from hardware.probes.memory import installed_bytes
from hardware.spec import Cpu, MeasuredRate
from hardware.units import KIB, MIB, format_bytes

Progress = Callable[[float], None]  # told the fraction done, 0 to 1

_MIN_BUFFER_BYTES = 256 * MIB
_MIN_BYTES_PER_THREAD = 32 * MIB
_UNKNOWN_L3_BYTES = 64 * MIB
_L3_MULTIPLE = 4  # what stays in the cache from the pass before is then at most a quarter
_MEMORY_SHARE = 8  # never take more than 1/8 of what is free
_SAMPLE_S = 0.04  # long against starting the threads (well under 1 ms)
_MIN_SAMPLES = 4
_ITEM_BYTES = 8
_BLOCK_BYTES = 8 * MIB
_NEARLY_ALL = 0.9
_MATRIX_SIZES = (512, 1024, 2048, 4096, 8192)
_MATRIX_SAMPLE_S = 0.02


def measure_memory_bandwidth(
    n_threads: int | None = None,
    budget_s: float = 2.0,
    progress: Progress | None = None,
    *,
    buffer_bytes: int | None = None,
) -> MeasuredRate:
    """Bytes per second that all usable threads together read from main memory, sustained.

    Each thread goes over a buffer of its own; together the buffers are at least four times the last-level
    cache. Which loop reaches the memory's limit differs between processors, so a third of the time goes to
    choosing one and the rest to measuring it: choosing and measuring on the same samples would favour luck.
    The result is the upper quartile of the rate, since a slow sample is another program's doing.
    """
    limits = read_limits(total_bytes=installed_bytes())
    cpu, memory = host_cpu(limits=limits), host_memory(limits=limits)
    n_threads = n_threads or cpu.n_usable_threads
    if buffer_bytes is None:
        buffer_bytes = bandwidth_buffer_bytes(cpu, n_threads, memory.available_bytes)
    np = importlib.import_module("numpy")
    n_items = buffer_bytes // n_threads // _ITEM_BYTES
    sampled = _sample_reads(
        n_threads, n_items, lambda _: np.full(n_items, 1.0).view(np.int64), budget_s, progress
    )
    return _rate(
        sampled.rates,
        method=f"numpy {sampled.kernel} over {format_bytes(buffer_bytes)}, upper quartile",
        n_threads=n_threads,
        pages=sampled.pages,
        n_busy_elsewhere=sampled.n_busy_elsewhere,
    )


def measure_mapped_read(
    folder: Path,
    n_threads: int | None = None,
    budget_s: float = 1.2,
    progress: Progress | None = None,
) -> MeasuredRate:
    """Bytes per second that all usable threads read from a file in the page cache, mapped, as llama.cpp reads weights.

    A temporary file is written under `folder`, whose file system decides on the pages, and deleted again. Raises
    HardwareError, one line, where that cannot be.
    """
    np = importlib.import_module("numpy")
    limits = read_limits(total_bytes=installed_bytes())
    cpu, memory = host_cpu(limits=limits), host_memory(limits=limits)
    n_threads = n_threads or cpu.n_usable_threads
    n_bytes = bandwidth_buffer_bytes(cpu, n_threads, memory.available_bytes)
    n_items = n_bytes // n_threads // _ITEM_BYTES
    try:
        with tempfile.TemporaryFile(prefix=".mapped-read-", suffix=".tmp", dir=folder) as file:
            block = np.full(
                _BLOCK_BYTES // _ITEM_BYTES, 1.0
            )  # not small integers: as floats they are slow to add
            for _ in range(0, n_bytes, _BLOCK_BYTES):
                file.write(block)
            file.flush()
            mapped = np.frombuffer(mmap.mmap(file.fileno(), n_bytes, access=mmap.ACCESS_READ), np.int64)
    except OSError as error:
        raise HardwareError(
            f"cannot measure a mapped file under {folder}: {error.strerror or error}; free "
            f"{format_bytes(n_bytes)} there, or name a folder that you can write"
        ) from error
    sampled = _sample_reads(
        n_threads, n_items, lambda place: mapped[place * n_items : (place + 1) * n_items], budget_s, progress
    )
    return _rate(
        sampled.rates,
        method=f"numpy {sampled.kernel} over a mapped file of {format_bytes(n_bytes)}, upper quartile",
        n_threads=n_threads,
        pages=sampled.pages,
        n_busy_elsewhere=sampled.n_busy_elsewhere,
    )


def bandwidth_buffer_bytes(cpu: Cpu, n_threads: int, available_bytes: int) -> int:
    """How much memory the bandwidth measurement goes over: far past the cache, at most 1/8 of what is free."""
    l3_bytes = cpu.cache_l3_bytes or _UNKNOWN_L3_BYTES
    wanted = max(_MIN_BUFFER_BYTES, _L3_MULTIPLE * l3_bytes, _MIN_BYTES_PER_THREAD * n_threads)
    allowed = available_bytes // _MEMORY_SHARE
    if allowed < _L3_MULTIPLE * l3_bytes:
        raise HardwareError(
            f"measuring memory bandwidth takes {format_bytes(_L3_MULTIPLE * l3_bytes)} "
            f"({_L3_MULTIPLE} x the last-level cache), at most 1/{_MEMORY_SHARE} of free memory, and only "
            f"{format_bytes(available_bytes)} are free; close other programs or raise the container's limit"
        )
    return min(wanted, allowed)


def measure_matrix_throughput(budget_s: float = 1.0, progress: Progress | None = None) -> MeasuredRate:
    """FLOP per second of a large fp32 matrix product: what the processor's own arithmetic can sustain.

    A product of two n x n matrices is 2·n³ operations. NumPy's linear algebra library picks its threads
    itself; `n_threads` records how many this process may use.
    """
    np = importlib.import_module("numpy")
    limits = read_limits(total_bytes=installed_bytes())
    cpu, memory = host_cpu(limits=limits), host_memory(limits=limits)
    deadline = time.perf_counter() + budget_s
    allowed = memory.available_bytes // _MEMORY_SHARE
    size = _MATRIX_SIZES[0]
    for size in (n for n in _MATRIX_SIZES if 3 * 4 * n * n <= allowed):
        left, right = (np.full((size, size), value, dtype=np.float32) for value in (0.5, 0.25))
        product = np.empty_like(left)
        np.matmul(left, right, out=product)  # the first call starts the library's threads
        # The best of a few: one that another program delays would pass for the time of a larger matrix.
        if min(_timed(lambda: np.matmul(left, right, out=product)) for _ in range(3)) >= _MATRIX_SAMPLE_S:  # noqa: B023
            break
    rates: list[float] = []
    others = OtherWork()
    started = time.perf_counter()
    while len(rates) < _MIN_SAMPLES or time.perf_counter() < deadline:
        rates.append(2 * size**3 / _timed(lambda: np.matmul(left, right, out=product)))
        _report(progress, started, deadline)
    return _rate(
        rates,
        method=f"numpy matmul {size} x {size} fp32, upper quartile",
        n_threads=cpu.n_usable_threads,
        n_busy_elsewhere=others.n_busy(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sampled:
    """The loop that read fastest, its rates, and what pages the memory turned out to have."""

    kernel: str
    rates: Sequence[float]
    pages: str | None
    n_busy_elsewhere: float | None


def _sample_reads(
    n_threads: int,
    n_items: int,
    own_part: Callable[[int], Any],
    budget_s: float,
    progress: Progress | None,
) -> _Sampled:
    """The loop that reads fastest here, and its rates; candidates take turns, so a slow moment meets all.

    `own_part` gives each thread its `n_items` integers of 8 bytes.
    """
    np = importlib.import_module("numpy")
    deadline = time.perf_counter() + budget_s
    own = threading.local()
    barrier = threading.Barrier(n_threads, timeout=60.0 + budget_s)
    huge_before = _huge_bytes()
    others = OtherWork()

    def allocate(place: int) -> None:
        # Written, or first read, by the thread that will read it: its pages then lie near that thread's processor.
        own.integers = own_part(place)
        own.floats = own.integers.view(np.float64)
        own.halves = own.floats[: n_items // 2], own.floats[-(n_items // 2) :]
        barrier.wait()

    kernels: dict[str, Callable[[], Any]] = {
        "bitwise_or.reduce": lambda: np.bitwise_or.reduce(own.integers),
        "maximum.reduce": lambda: np.maximum.reduce(own.integers),
        "add.reduce": lambda: np.add.reduce(own.floats),
        # Two streams at once: a core that waits for its one prefetcher reaches the memory's limit only so.
        "einsum of two halves": lambda: np.einsum("i,i->", *own.halves),
    }
    trials: dict[str, list[float]] = {name: [] for name in kernels}
    rates: list[float] = []
    with ThreadPoolExecutor(n_threads) as pool:

        def sample(kernel: Callable[[], Any], n_passes: int) -> float:
            """Bytes per second from the first thread's start to the last one's end."""

            def work(_: int) -> tuple[float, float]:
                barrier.wait()  # also makes sure that every thread takes exactly one task
                start = time.perf_counter()
                for _ in range(n_passes):
                    kernel()
                return start, time.perf_counter()

            spans = list(pool.map(work, range(n_threads)))
            span_s = max(end for _, end in spans) - min(start for start, _ in spans)
            return _ITEM_BYTES * n_items * n_threads * n_passes / span_s

        list(pool.map(allocate, range(n_threads)))
        started = time.perf_counter()
        fastest = max(sample(kernel, 1) for kernel in kernels.values())
        n_passes = max(1, math.ceil(_SAMPLE_S * fastest / (_ITEM_BYTES * n_items * n_threads)))
        pages = _pages(huge_before, _huge_bytes(), _ITEM_BYTES * n_items * n_threads)
        choosing_ends = started + (deadline - started) / 3
        while not all(trials.values()) or time.perf_counter() < choosing_ends:
            for name, kernel in kernels.items():
                trials[name].append(sample(kernel, n_passes))
            _report(progress, started, deadline)
        chosen = max(trials, key=lambda name: _upper_quartile(trials[name]))
        while len(rates) < _MIN_SAMPLES or time.perf_counter() < deadline:
            rates.append(sample(kernels[chosen], n_passes))
            _report(progress, started, deadline)
    return _Sampled(kernel=chosen, rates=rates, pages=pages, n_busy_elsewhere=others.n_busy())


def _huge_bytes(root: Path = Path("/")) -> int | None:
    """How much of this process's memory is mapped in huge pages; None where the system does not tell."""
    try:
        text = (root / "proc/self/smaps_rollup").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.findall(r"^(?:AnonHugePages|FilePmdMapped|ShmemPmdMapped):\s+(\d+) kB", text, re.MULTILINE)
    return sum(map(int, found)) * KIB if found else None


def _pages(huge_before: int | None, huge_after: int | None, n_bytes: int) -> str | None:
    """In words, what pages a buffer got: "huge pages", "4 KiB pages", or the share of each."""
    if huge_before is None or huge_after is None:
        return None
    share = (huge_after - huge_before) / n_bytes
    small = f"{mmap.PAGESIZE // KIB} KiB pages"
    if share > _NEARLY_ALL:
        return "huge pages"
    return small if share < 1 - _NEARLY_ALL else f"{share:.0%} in huge pages, the rest in {small}"


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _report(progress: Progress | None, started: float, deadline: float) -> None:
    if progress is not None:
        progress(min(1.0, (time.perf_counter() - started) / max(deadline - started, 1e-9)))


def _upper_quartile(rates: Sequence[float]) -> float:
    return sorted(rates)[(3 * len(rates)) // 4]


def _rate(
    rates: Sequence[float],
    *,
    method: str,
    n_threads: int,
    n_busy_elsewhere: float | None,
    pages: str | None = None,
) -> MeasuredRate:
    ordered = sorted(rates)
    return MeasuredRate(
        per_s=_upper_quartile(ordered),
        method=method,
        n_threads=n_threads,
        n_samples=len(ordered),
        spread_fraction=(ordered[-1] - ordered[len(ordered) // 4]) / ordered[-1],
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        pages=pages,
        n_busy_elsewhere=n_busy_elsewhere,
    )

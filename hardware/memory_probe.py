"""How fast this machine really reads main memory and multiplies matrices: short measurements in NumPy.

NumPy is loaded only when a measurement runs. `benchmarks/compare_bandwidth.py` holds the memory rate against
a loop in C on the same machine.
"""

import importlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from hardware.errors import HardwareError
from hardware.host import host_cpu, host_memory
from hardware.probes.container import read_limits
from hardware.probes.memory import installed_bytes
from hardware.spec import Cpu, MeasuredRate
from hardware.units import MIB, format_bytes

Progress = Callable[[float], None]  # told the fraction done, 0 to 1

_MIN_BUFFER_BYTES = 256 * MIB
_MIN_BYTES_PER_THREAD = 32 * MIB
_UNKNOWN_L3_BYTES = 64 * MIB
_L3_MULTIPLE = 4  # what stays in the cache from the pass before is then at most a quarter
_MEMORY_SHARE = 8  # never take more than 1/8 of what is free
_SAMPLE_S = 0.04  # long against starting the threads (well under 1 ms)
_MIN_SAMPLES = 4
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
    deadline = time.perf_counter() + budget_s
    name, rates = _sample_reads(n_threads, buffer_bytes, budget_s, deadline, progress)
    return _rate(
        rates,
        method=f"numpy {name} over {format_bytes(buffer_bytes)}, upper quartile",
        n_threads=n_threads,
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
        if _timed(lambda: np.matmul(left, right, out=product)) >= _MATRIX_SAMPLE_S:  # noqa: B023
            break
    rates: list[float] = []
    started = time.perf_counter()
    while len(rates) < _MIN_SAMPLES or time.perf_counter() < deadline:
        rates.append(2 * size**3 / _timed(lambda: np.matmul(left, right, out=product)))
        _report(progress, started, deadline)
    return _rate(
        rates, method=f"numpy matmul {size} x {size} fp32, upper quartile", n_threads=cpu.n_usable_threads
    )


def _sample_reads(
    n_threads: int, buffer_bytes: int, budget_s: float, deadline: float, progress: Progress | None
) -> tuple[str, list[float]]:
    """The loop that reads fastest here, and its rates; candidates take turns, so a slow moment meets all."""
    np = importlib.import_module("numpy")
    n_items = buffer_bytes // n_threads // 8
    own = threading.local()
    barrier = threading.Barrier(n_threads, timeout=60.0 + budget_s)

    def allocate(_: int) -> None:
        # Written by the thread that will read it, so that its pages lie near that thread's processor.
        own.integers = np.full(n_items, 1, dtype=np.int64)
        own.floats = own.integers.view(np.float64)
        barrier.wait()

    kernels: dict[str, Callable[[], Any]] = {
        "bitwise_or.reduce": lambda: np.bitwise_or.reduce(own.integers),
        "maximum.reduce": lambda: np.maximum.reduce(own.integers),
        "add.reduce": lambda: np.add.reduce(own.floats),
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
            return 8 * n_items * n_threads * n_passes / span_s

        list(pool.map(allocate, range(n_threads)))
        started = time.perf_counter()
        fastest = max(sample(kernel, 1) for kernel in kernels.values())
        n_passes = max(1, math.ceil(_SAMPLE_S * fastest / (8 * n_items * n_threads)))
        choosing_ends = started + (deadline - started) / 3
        while not all(trials.values()) or time.perf_counter() < choosing_ends:
            for name, kernel in kernels.items():
                trials[name].append(sample(kernel, n_passes))
            _report(progress, started, deadline)
        chosen = max(trials, key=lambda name: _upper_quartile(trials[name]))
        while len(rates) < _MIN_SAMPLES or time.perf_counter() < deadline:
            rates.append(sample(kernels[chosen], n_passes))
            _report(progress, started, deadline)
    return chosen, rates


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _report(progress: Progress | None, started: float, deadline: float) -> None:
    if progress is not None:
        progress(min(1.0, (time.perf_counter() - started) / max(deadline - started, 1e-9)))


def _upper_quartile(rates: Sequence[float]) -> float:
    return sorted(rates)[(3 * len(rates)) // 4]


def _rate(rates: Sequence[float], *, method: str, n_threads: int) -> MeasuredRate:
    ordered = sorted(rates)
    return MeasuredRate(
        per_s=_upper_quartile(ordered),
        method=method,
        n_threads=n_threads,
        n_samples=len(ordered),
        spread_fraction=(ordered[-1] - ordered[len(ordered) // 4]) / ordered[-1],
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )

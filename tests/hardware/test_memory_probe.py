"""Quick sanity of the measurements; `benchmarks/compare_bandwidth.py` compares them with C."""

import datetime as dt
import mmap
from pathlib import Path

import pytest

from hardware.errors import HardwareError
from hardware.memory_probe import (
    _huge_bytes,
    _pages,
    bandwidth_buffer_bytes,
    measure_mapped_read,
    measure_matrix_throughput,
    measure_memory_bandwidth,
)
from hardware.spec import Cpu, MeasuredRate
from hardware.units import GIB, MIB


def cpu(n_threads: int, l3_bytes: int | None) -> Cpu:
    return Cpu(
        model="x",
        n_sockets=1,
        n_physical_cores=n_threads,
        n_usable_threads=n_threads,
        cache_l3_bytes=l3_bytes,
    )


@pytest.mark.parametrize(
    ("n_threads", "l3_mib", "available_gib", "buffer_mib"),
    [
        (2, 32, 24, 256),  # the least
        (4, 96, 24, 384),  # four times the cache
        (64, 256, 512, 2048),  # 32 MiB for each of 64 threads
        (64, 384, 16, 2048),  # 4 x 384 = 1,536 and 64 x 32 = 2,048, the eighth of 16 GiB
        (64, 32, 8, 1024),  # wanted 2,048, allowed an eighth of 8 GiB
        (4, None, 24, 256),  # cache unknown: taken as 64 MiB
    ],
)
def test_the_buffer_is_far_larger_than_the_cache(
    n_threads: int, l3_mib: int | None, available_gib: int, buffer_mib: int
) -> None:
    l3_bytes = None if l3_mib is None else l3_mib * MIB
    assert (
        bandwidth_buffer_bytes(cpu(n_threads, l3_bytes), n_threads, available_gib * GIB) == buffer_mib * MIB
    )


def test_too_little_memory_is_said_before_measuring_the_cache() -> None:
    with pytest.raises(HardwareError, match=r"128\.0 MiB .* only 512\.0 MiB are free"):
        bandwidth_buffer_bytes(cpu(2, 32 * MIB), 2, 512 * MIB)


def plausible(rate: MeasuredRate) -> bool:
    now = dt.datetime.now(dt.UTC)
    age = now - dt.datetime.fromisoformat(rate.measured_at)
    return rate.n_samples >= 3 and 0 <= rate.spread_fraction < 1 and age < dt.timedelta(minutes=5)


def test_memory_bandwidth_is_of_this_world() -> None:
    told: list[float] = []
    rate = measure_memory_bandwidth(budget_s=0.4, progress=told.append)
    # From a phone's 1 GB/s to twice today's largest two-socket servers.
    assert 1e9 < rate.per_s < 2000e9
    assert plausible(rate)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_mapped_file_is_read_and_gone(tmp_path: Path) -> None:
    rate = measure_mapped_read(tmp_path, budget_s=0.3)
    assert 1e9 < rate.per_s < 2000e9
    assert plausible(rate)
    assert "mapped file of" in rate.method
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_hold_the_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="name a folder that you can write"):
        measure_mapped_read(tmp_path / "absent", budget_s=0.1)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0, 256 * MIB, "huge pages"),
        (64 * MIB, 64 * MIB, f"{mmap.PAGESIZE // 1024} KiB pages"),
        (0, 64 * MIB, f"25% in huge pages, the rest in {mmap.PAGESIZE // 1024} KiB pages"),
        (None, 0, None),  # macOS, or a kernel without smaps_rollup
    ],
)
def test_the_pages_are_named(before: int | None, after: int | None, words: str | None) -> None:
    assert _pages(before, after, 256 * MIB) == words


def test_huge_pages_are_counted_as_the_kernel_says(tmp_path: Path) -> None:
    rollup = tmp_path / "proc/self/smaps_rollup"
    assert _huge_bytes(tmp_path) is None
    rollup.parent.mkdir(parents=True)
    rollup.write_text(
        "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss:  600000 kB\nAnonHugePages:  262144 kB\n"
        "ShmemPmdMapped:  0 kB\nFilePmdMapped:  2048 kB\n"
    )
    assert _huge_bytes(tmp_path) == 258 * MIB


def test_one_thread_does_not_read_more_than_all() -> None:
    # One thread reads at most what all read together; 2x leaves room for other programs on the machine.
    one, all_threads = measure_memory_bandwidth(1, budget_s=0.3), measure_memory_bandwidth(budget_s=0.3)
    assert one.n_threads == 1
    assert one.per_s < 2 * all_threads.per_s


def test_a_larger_buffer_reads_about_as_fast() -> None:
    # Both are far beyond the cache, so the size must not matter; 3x leaves room for other programs.
    small, large = (measure_memory_bandwidth(budget_s=0.3, buffer_bytes=n * MIB) for n in (256, 512))
    assert "512.0 MiB" in large.method
    assert 1 / 3 < large.per_s / small.per_s < 3


def test_matrix_throughput_is_of_this_world() -> None:
    rate = measure_matrix_throughput(budget_s=0.2)
    assert 1e8 < rate.per_s < 1e15
    assert plausible(rate)
    assert "matmul" in rate.method

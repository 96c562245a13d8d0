"""Main memory within its limits, and this machine held against free."""

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from hardware.probes.container import ContainerLimits
from hardware.probes.memory import installed_bytes, parse_meminfo, read_memory
from hardware.units import GIB, KIB, MIB
from tests.hardware.file_tree import tree

MEMINFO = """MemTotal:       65536000 kB
MemFree:         1024000 kB
MemAvailable:   40960000 kB
Buffers:          102400 kB
Cached:          2048000 kB
SwapTotal:       8388608 kB
HugePages_Total:       0
"""
PSUTIL = SimpleNamespace(
    virtual_memory=lambda: SimpleNamespace(total=36 * GIB, available=20 * GIB),
    swap_memory=lambda: SimpleNamespace(total=2 * GIB),
)


def test_linux_without_a_limit(tmp_path: Path) -> None:
    memory = read_memory(tree(tmp_path, {"proc/meminfo": MEMINFO}))
    assert memory.total_bytes == 65_536_000 * KIB
    assert memory.available_bytes == 40_960_000 * KIB
    assert memory.swap_total_bytes == 8 * GIB
    assert (memory.limit_bytes, memory.usable_bytes) == (None, 65_536_000 * KIB)
    assert installed_bytes(tmp_path) == 65_536_000 * KIB


def test_a_container_gets_what_its_limit_leaves(tmp_path: Path) -> None:
    limits = ContainerLimits(
        memory_limit_bytes=8 * GIB,
        memory_limit_source="/sys/fs/cgroup/memory.max",
        memory_headroom_bytes=5 * GIB,
    )
    memory = read_memory(tree(tmp_path, {"proc/meminfo": MEMINFO}), limits)
    assert (memory.usable_bytes, memory.available_bytes) == (8 * GIB, 5 * GIB)
    assert memory.limit_source == "/sys/fs/cgroup/memory.max"
    # A machine with less free than the limit allows: the machine decides.
    wide = ContainerLimits(memory_limit_bytes=60 * GIB, memory_headroom_bytes=55 * GIB)
    assert read_memory(tmp_path, wide).available_bytes == 40_960_000 * KIB


def test_an_old_kernel_without_memavailable(tmp_path: Path) -> None:
    text = "\n".join(line for line in MEMINFO.splitlines() if "MemAvailable" not in line)
    memory = read_memory(tree(tmp_path, {"proc/meminfo": text}))
    assert memory.available_bytes == (1_024_000 + 102_400 + 2_048_000) * KIB


def test_elsewhere_psutil_answers(tmp_path: Path) -> None:
    memory = read_memory(tmp_path, psutil_module=PSUTIL)
    assert (memory.total_bytes, memory.available_bytes, memory.swap_total_bytes) == (
        36 * GIB,
        20 * GIB,
        2 * GIB,
    )


def test_a_file_without_a_total_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MemTotal"):
        read_memory(tree(tmp_path, {"proc/meminfo": "MemFree: 1 kB\n"}))


def test_counts_without_a_unit_are_not_sizes() -> None:
    assert "HugePages_Total" not in parse_meminfo(MEMINFO)


@pytest.mark.skipif(shutil.which("free") is None, reason="needs free to compare with")
def test_this_machine_agrees_with_free() -> None:
    lines = subprocess.run(["free", "-b"], capture_output=True, text=True, check=True).stdout.splitlines()
    columns, values = lines[0].split(), lines[1].split()[1:]
    free = {name: int(value) for name, value in zip(columns, values, strict=True)}
    memory = read_memory()
    assert memory.total_bytes == free["total"]
    # The two looks are milliseconds apart, while other programs go on.
    assert memory.available_bytes == pytest.approx(free["available"], abs=1024 * MIB)
    assert memory.swap_total_bytes == int(lines[2].split()[1])

"""The whole inspection on file trees, with probes that fail, and on this machine."""

from dataclasses import replace
from pathlib import Path

import pynvml

from hardware.inspect import inspect_machine, machine_fingerprint
from hardware.units import GIB, KIB, MIB
from tests.hardware.accelerator_table import ROWS
from tests.hardware.fake_nvml import FakeCard, FakeNvml
from tests.hardware.file_tree import V2_MOUNT, tree
from tests.hardware.test_cpu import XEON
from tests.hardware.test_memory import MEMINFO

NO_NVIDIA = FakeNvml(init_error=pynvml.NVMLError_LibraryNotFound())
FILES = {
    "proc/cpuinfo": XEON,
    "proc/meminfo": MEMINFO,
    "proc/self/cgroup": "0::/\n",
    "proc/self/mountinfo": V2_MOUNT,
    "sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
    "sys/fs/cgroup/memory.current": f"{GIB}\n",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
}


def test_a_container_with_a_card(tmp_path: Path) -> None:
    nvml = FakeNvml([FakeCard(name="NVIDIA GeForce RTX 4090", uuid="GPU-1", memory_bytes=24_564 * MIB)])
    machine = inspect_machine(tree(tmp_path, FILES), nvml, environ={}, rows=ROWS, system="Linux")
    assert machine.cpu is not None
    assert machine.cpu.model == "Intel(R) Xeon(R) Platinum 8480+"
    assert machine.memory is not None
    assert machine.memory.total_bytes == 65_536_000 * KIB
    assert (machine.memory.usable_bytes, machine.memory.available_bytes) == (8 * GIB, 7 * GIB)
    assert [gpu.name for gpu in machine.gpus] == ["NVIDIA GeForce RTX 4090"]
    assert (machine.os, machine.gpu_driver) == ("Debian GNU/Linux 12 (bookworm)", "580.65.06")
    assert (machine.problems, machine.described) == ((), False)


def test_a_probe_that_fails_costs_one_line(tmp_path: Path) -> None:
    broken = {**FILES, "proc/cpuinfo": "", "sys/fs/cgroup/memory.max": "plenty\n"}
    machine = inspect_machine(tree(tmp_path, broken), NO_NVIDIA, environ={}, rows=ROWS, system="Linux")
    assert machine.cpu is None
    assert machine.memory is not None  # still known, only its limit is not
    assert machine.memory.limit_bytes is None
    assert len(machine.problems) == 2
    assert machine.problems[0].startswith("container limits: ")
    assert machine.problems[1].startswith("processors: ")
    assert not any("\n" in line for line in machine.problems)


def test_a_broken_driver_leaves_the_rest(tmp_path: Path) -> None:
    nvml = FakeNvml(init_error=pynvml.NVMLError_LibRmVersionMismatch())
    machine = inspect_machine(tree(tmp_path, FILES), nvml, environ={}, rows=ROWS, system="Linux")
    assert machine.cpu is not None
    assert machine.gpus == ()
    assert len(machine.problems) == 1


def test_this_machine_can_be_inspected() -> None:
    machine = inspect_machine(nvml=NO_NVIDIA)
    assert machine.problems == ()
    assert machine.cpu is not None
    assert machine.memory is not None
    assert 0 < machine.memory.available_bytes <= machine.memory.total_bytes
    assert machine_fingerprint(machine) == machine_fingerprint(inspect_machine(nvml=NO_NVIDIA))


def test_the_fingerprint_follows_processor_threads_and_cards(tmp_path: Path) -> None:
    root = tree(tmp_path, FILES)
    card = FakeCard(name="NVIDIA GeForce RTX 4090", uuid="GPU-1", memory_bytes=24_564 * MIB)
    one = inspect_machine(root, FakeNvml([card]), environ={}, rows=ROWS, system="Linux")
    two = inspect_machine(root, FakeNvml([card, card]), environ={}, rows=ROWS, system="Linux")
    none = inspect_machine(root, NO_NVIDIA, environ={}, rows=ROWS, system="Linux")
    assert one.cpu is not None
    fewer = replace(one, cpu=replace(one.cpu, n_usable_threads=one.cpu.n_usable_threads + 1))
    assert len({machine_fingerprint(machine) for machine in (one, two, none, fewer)}) == 4
    # What changes from minute to minute must not make a new machine of it.
    assert one.memory is not None
    later = replace(one, memory=replace(one.memory, available_bytes=1), gpu_driver="999", problems=("x",))
    assert machine_fingerprint(later) == machine_fingerprint(one)
    assert all(digit in "0123456789abcdef" for digit in machine_fingerprint(one))

"""What the probes say of this very machine, held against lscpu, free, /proc and the control groups' files."""

import json
import resource
import shutil
import subprocess
from pathlib import Path

import pynvml
import pytest

from hardware.inspect import inspect_machine
from hardware.probes.container import parse_cpu_list
from hardware.spec import Machine
from hardware.units import KIB, MIB
from tests.hardware.fake_nvml import FakeNvml

LINUX = pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs Linux")


@pytest.fixture(scope="module")
def machine() -> Machine:
    return inspect_machine(nvml=FakeNvml(init_error=pynvml.NVMLError_LibraryNotFound()))


def lscpu() -> dict[str, str]:
    """The answers of lscpu by name, whatever level they stand on."""
    answer = json.loads(subprocess.run(["lscpu", "-J"], capture_output=True, text=True, check=True).stdout)
    fields: dict[str, str] = {}
    stack = list(answer["lscpu"])
    while stack:
        entry = stack.pop()
        fields[entry["field"].rstrip(":")] = entry.get("data") or ""
        stack += entry.get("children", [])
    return fields


@LINUX
@pytest.mark.skipif(shutil.which("lscpu") is None, reason="needs lscpu to compare with")
def test_processors_agree_with_lscpu(machine: Machine) -> None:
    fields = lscpu()
    assert machine.cpu is not None
    details = machine.cpu.details
    assert details is not None
    online = parse_cpu_list(fields["On-line CPU(s) list"])
    assert details.n_online_threads == len(online)
    if fields.get("Thread(s) per core", "-") not in ("-", ""):
        assert details.n_threads_per_core == int(fields["Thread(s) per core"])
    if "NUMA node(s)" in fields:
        assert len(details.numa_nodes) == int(fields["NUMA node(s)"])
        for node in details.numa_nodes:
            assert parse_cpu_list(node.cpus) == parse_cpu_list(fields[f"NUMA node{node.index} CPU(s)"])
    if fields["Architecture"] == "x86_64":
        assert details.is_virtual is ("hypervisor" in fields["Flags"].split())
        for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"):
            assert (flag in machine.cpu.instruction_sets) == (flag in fields["Flags"].split())
    if fields.get("Model name", "-") not in ("-", ""):
        assert machine.cpu.model == fields["Model name"]
    sockets, cores = fields.get("Socket(s)", "-"), fields.get("Core(s) per socket", "-")
    if sockets.isdecimal() and cores.isdecimal() and len(online) == machine.cpu.n_usable_threads:
        assert machine.cpu.n_sockets == int(sockets)
        assert machine.cpu.n_physical_cores == int(sockets) * int(cores)
    if fields.get("CPU max MHz"):
        assert machine.cpu.max_hz == pytest.approx(float(fields["CPU max MHz"]) * 1e6, rel=0.01)


@LINUX
@pytest.mark.skipif(shutil.which("free") is None, reason="needs free to compare with")
def test_memory_agrees_with_free() -> None:
    # Free memory changes while other programs run, so `free` is asked before and after: ours lies between,
    # give or take 256 MiB.
    def ask() -> dict[str, list[int]]:
        lines = subprocess.run(
            ["free", "-b"], capture_output=True, text=True, check=True
        ).stdout.splitlines()[1:]
        return {line.split(":")[0]: [int(value) for value in line.split(":")[1].split()] for line in lines}

    before = ask()
    memory = inspect_machine(nvml=FakeNvml(init_error=pynvml.NVMLError_LibraryNotFound())).memory
    after = ask()
    assert memory is not None
    assert memory.total_bytes == before["Mem"][0]
    assert memory.swap_total_bytes == before["Swap"][0]
    if memory.limit_bytes is None:
        low, high = sorted((before["Mem"][5], after["Mem"][5]))
        assert low - 256 * MIB <= memory.available_bytes <= high + 256 * MIB


@LINUX
def test_huge_pages_and_locking_agree_with_proc(machine: Machine) -> None:
    assert machine.memory is not None
    details = machine.memory.details
    assert details is not None
    sizes = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line)
    if "Hugepagesize" in sizes and details.huge_pages:
        default = int(sizes["Hugepagesize"].split()[0]) * KIB
        (pages,) = (pages for pages in details.huge_pages if pages.page_bytes == default)
        assert (pages.n_total, pages.n_free) == (int(sizes["HugePages_Total"]), int(sizes["HugePages_Free"]))
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit == resource.RLIM_INFINITY:
        assert details.lock_is_unlimited
    else:
        assert details.lock_limit_bytes == limit


@LINUX
def test_limits_agree_with_the_control_groups_own_files(machine: Machine) -> None:
    # The probe names the file that holds the tightest limit: that file must say the very number.
    assert machine.memory is not None
    source = machine.memory.limit_source
    if source is None:
        plain = Path("/sys/fs/cgroup/memory.max")
        assert (
            not plain.exists()
            or plain.read_text().strip() == "max"
            or (int(plain.read_text()) >= machine.memory.total_bytes)
        )
    elif source.endswith("memory.stat"):
        assert f"hierarchical_memory_limit {machine.memory.limit_bytes}" in Path(source).read_text()
    else:
        assert int(Path(source).read_text()) == machine.memory.limit_bytes
    if machine.container is not None and machine.container.cpu_quota_source is not None:
        assert machine.container.n_cpus_quota is not None
        assert machine.container.n_cpus_quota > 0
        assert Path(machine.container.cpu_quota_source).exists()


@LINUX
def test_nothing_is_left_out_here(machine: Machine) -> None:
    assert not [line for line in machine.problems if line.startswith("left out")]
    assert machine.disk is not None
    assert machine.disk.free_bytes is not None
    assert machine.disk.total_bytes is not None
    assert 0 < machine.disk.free_bytes <= machine.disk.total_bytes

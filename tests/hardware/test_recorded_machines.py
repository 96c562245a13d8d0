"""Whole machines from recorded and constructed files, each as it is and with one thing broken in it.

A fault must cost its own fact and a line, and leave the rest of the answer as it was.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hardware.inspect import inspect_machine
from hardware.machine_json import machine_from_json, machine_to_json_data
from hardware.spec import Basis, Cpu, Machine, Memory
from hardware.units import GIB, KIB, MIB
from tests.hardware.fixtures import amd, hosts, intel
from tests.hardware.fixtures.recorded import UNREADABLE, Recorded, cpuinfo, meminfo

ALL = (
    amd.MI300X_8, amd.RX_7900_XTX, amd.STRIX_HALO, amd.RX_9070_XT, intel.ARC_B580, intel.ARC_A770, hosts.EPYC_2S,
    hosts.XEON_AMX, hosts.GRAVITON, hosts.RASPBERRY, hosts.JETSON_ORIN, hosts.DGX_SPARK, hosts.POD,
    hosts.MAC_STUDIO, hosts.MACBOOK,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing broken in a machine: how, what that costs, and a word of the line that says so (None: no line)."""

    machine: Recorded
    broken: Recorded
    costs: Callable[[Machine], bool]
    line: str | None
    leaves: tuple[str, ...]  # fields of Machine that stay exactly as they were


CARD3 = "sys/class/drm/card3/device"
GTT = "sys/class/drm/card1/device/mem_info_gtt_total"
KFD_BANK = "sys/class/kfd/kfd/topology/nodes/1/mem_banks/0/properties"
FAULTS = {
    "one MI300X of eight is lost": Fault(
        machine=amd.MI300X_8,
        broken=amd.MI300X_8.with_fault({f"{CARD3}/mem_info_vram_total": UNREADABLE}),
        costs=lambda m: m.gpus[2].memory_bytes is None and all(gpu.accelerator for gpu in m.gpus[3:]),
        line="mem_info_vram_total",
        leaves=("cpu", "memory", "disk", "os", "container"),
    ),
    "a card's sensors do not answer": Fault(
        machine=amd.RX_7900_XTX,
        broken=amd.RX_7900_XTX.with_fault(
            {f"{amd._GPU}/hwmon/hwmon2/power1_cap": UNREADABLE, f"{amd._GPU}/gpu_busy_percent": "lost\n"}
        ),
        costs=lambda m: m.gpus[0].power_limit_w is None and m.gpus[0].memory_bytes == 24_560 * MIB,
        line=None,  # named in the card's own `not_answered`
        leaves=("cpu", "memory", "disk"),
    ),
    "Strix Halo's compute driver is not loaded": Fault(
        machine=amd.STRIX_HALO,
        broken=replace(
            amd.STRIX_HALO,
            files={name: text for name, text in amd.STRIX_HALO.files.items() if "/kfd/" not in name},
        ),
        # The larger of 4 GiB carved out and 96 GiB of GTT is still known.
        costs=lambda m: m.gpus[0].memory_bytes == 96 * GIB and m.gpus[0].backend == "vulkan",
        line=None,
        leaves=("cpu", "memory", "disk", "cpu_memory_bytes_per_s"),
    ),
    "a PCI id that nobody named": Fault(
        machine=amd.RX_9070_XT,
        broken=amd.RX_9070_XT.with_fault({"sys/class/drm/card0/device/device": "0x7fff\n"}),
        costs=lambda m: m.gpus[0].name == "AMD GPU 1002:7fff rev c0" and m.gpus[0].accelerator is None,
        line="--on",
        leaves=("cpu", "memory", "disk"),
    ),
    "an Arc of unknown name": Fault(
        machine=intel.ARC_B580,
        broken=intel.ARC_B580.with_fault({"sys/class/drm/card0/device/device": "0xe2ff\n"}),
        costs=lambda m: m.gpus[0].memory_bytes is None and m.gpus[0].problem is not None,
        line="root only",
        leaves=("cpu", "memory", "disk"),
    ),
    "xpu-smi cannot start": Fault(
        machine=intel.ARC_A770,
        broken=intel.ARC_A770.with_answer(
            ("xpu-smi", "discovery", "-j"), OSError("xpu-smi: exit status 1")
        ),
        # Two cards are called Arc A770, with 8 and 16 GB: without a size nothing may be assumed.
        costs=lambda m: m.gpus[0].memory_bytes is None and m.gpus[0].accelerator is None,
        line="exit status 1",
        leaves=("cpu", "memory", "disk"),
    ),
    "a memory controller and a NUMA node are unreadable": Fault(
        machine=hosts.EPYC_2S,
        broken=hosts.EPYC_2S.with_fault(
            {"sys/devices/system/node/node1/cpulist": "0-banana\n",
             "sys/devices/system/edac/mc/mc0/dimm0/dimm_location": UNREADABLE}
        ),
        costs=lambda m: (
            cpu_of(m).details is not None
            and [node.index for node in cpu_of(m).details.numa_nodes] == [0]  # type: ignore[union-attr]
            and memory_of(m).total_bytes == 1_585_000_000 * KIB
        ),
        line="node1/cpulist",
        leaves=("gpus", "disk", "os", "container"),
    ),
    "the frequency driver fails": Fault(
        machine=intel.ARC_A770,
        broken=intel.ARC_A770.with_fault({"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": UNREADABLE}),
        costs=lambda m: cpu_of(m).details is not None and cpu_of(m).details.governor is None,  # type: ignore[union-attr]
        line="scaling_governor",
        leaves=("gpus", "memory", "disk"),
    ),
    "a virtual machine without firmware names": Fault(
        machine=hosts.XEON_AMX,
        broken=hosts.XEON_AMX.with_fault(
            {"sys/class/dmi/id/sys_vendor": UNREADABLE, "sys/class/dmi/id/product_name": None}
        ),
        costs=lambda m: cpu_of(m).details is not None and cpu_of(m).details.is_virtual is True,  # type: ignore[union-attr]
        line="sys_vendor",
        leaves=("memory", "disk"),
    ),
    "an ARM core that nobody named": Fault(
        machine=hosts.GRAVITON,
        broken=hosts.GRAVITON.with_fault(
            {"proc/cpuinfo": hosts.GRAVITON.files["proc/cpuinfo"].replace("0xd4f", "0xfff")}
        ),
        costs=lambda m: cpu_of(m).model == "ARM implementer 0x41 part 0xfff",
        line=None,
        leaves=("memory", "disk", "gpus"),
    ),
    "a damaged list of mounts": Fault(
        machine=hosts.RASPBERRY,
        broken=hosts.RASPBERRY.with_fault({"proc/self/mountinfo": "26 1 179:2\n- -\n"}),
        costs=lambda m: m.disk is not None and m.disk.file_system is None and m.disk.free_bytes is not None,
        line=None,
        leaves=("cpu", "memory"),
    ),
    "a Jetson of unknown part": Fault(
        machine=hosts.JETSON_ORIN,
        broken=hosts.JETSON_ORIN.with_fault({"proc/device-tree/compatible": UNREADABLE}),
        # The board's name gives the family, installed memory the size on the label.
        costs=lambda m: m.gpus[0].name == "Jetson AGX Orin 64GB" and m.gpus[0].accelerator is not None,
        line=None,
        leaves=("cpu", "memory", "gpus", "disk"),
    ),
    "a DGX Spark whose memory is not told": Fault(
        machine=hosts.DGX_SPARK,
        broken=hosts.DGX_SPARK.with_fault({"proc/meminfo": "nothing\n"}),
        costs=lambda m: m.memory is None and m.gpus[0].name == "NVIDIA GB10",
        line="MemTotal",
        leaves=("cpu", "disk", "gpu_driver"),
    ),
    "a pod whose quota is damaged": Fault(
        machine=hosts.POD,
        broken=hosts.POD.with_fault({"sys/fs/cgroup/cpu.max": "plenty\n"}),
        costs=lambda m: m.container is not None and m.container.n_cpus_quota is None,
        line="container limits",
        leaves=("memory", "disk", "gpus"),
    ),
    "system_profiler fails": Fault(
        machine=hosts.MAC_STUDIO,
        broken=hosts.MAC_STUDIO.with_answer(("system_profiler",), OSError("system_profiler: timed out")),
        costs=lambda m: m.gpus[0].memory_bytes == 384 * GIB and m.gpus[0].name == "Apple M3 Ultra",
        line="timed out",
        leaves=("cpu", "memory", "disk"),
    ),
    "a Mac without the iogpu values": Fault(
        machine=hosts.MACBOOK,
        broken=hosts.MACBOOK.with_answer(("sysctl", "iogpu"), OSError("sysctl: unknown oid 'iogpu'")),
        costs=lambda m: m.gpus[0].memory_bytes == 96 * GIB,  # the default, three quarters
        line="unknown oid",
        leaves=("cpu", "memory", "disk"),
    ),
}  # fmt: skip


def cpu_of(machine: Machine) -> Cpu:
    assert machine.cpu is not None
    return machine.cpu


def memory_of(machine: Machine) -> Memory:
    assert machine.memory is not None
    return machine.memory


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_its_own_fact_and_a_line(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    whole, broken = (
        machine.inspect(tmp_path / part) for part, machine in (("a", fault.machine), ("b", fault.broken))
    )
    assert fault.costs(broken)
    new = [line for line in broken.problems if line not in whole.problems]
    if fault.line is not None:
        assert any(fault.line in line for line in new), new
    assert not any("\n" in line for line in broken.problems)
    for field in fault.leaves:
        assert _without_free_space(broken, field) == _without_free_space(whole, field), field


def _without_free_space(machine: Machine, field: str) -> object:
    if field == "disk" and machine.disk is not None:
        return replace(machine.disk, free_bytes=None, total_bytes=None)
    return getattr(machine, field)


@pytest.mark.parametrize("recorded", ALL, ids=lambda recorded: recorded.name)
def test_every_machine_can_be_written_as_json_and_read_back(recorded: Recorded, tmp_path: Path) -> None:
    machine = recorded.inspect(tmp_path)
    assert machine.cpu is not None
    assert machine_from_json(json.dumps(machine_to_json_data(machine)), source="m.json") == machine


DAMAGE = ("", "garbage\n", UNREADABLE, "-1\n", f"{'9' * 30}\n", "0x\n", "\0\xff\n", "1 2 3 - 4 5\n")


@pytest.mark.parametrize("recorded", ALL, ids=lambda recorded: recorded.name)
def test_no_damaged_file_stops_the_inspection(recorded: Recorded, tmp_path: Path) -> None:
    # Some files of each machine, each time with the next kind of damage.
    every = max(1, len(recorded.files) // 6)
    names = sorted(recorded.files)[len(recorded.name) % every :: every]
    for number, name in enumerate(names):
        machine = recorded.with_fault({name: DAMAGE[number % len(DAMAGE)]}).inspect(tmp_path / str(number))
        assert machine.name == "this machine"
        assert machine_from_json(json.dumps(machine_to_json_data(machine)), source="m.json") == machine


def test_eight_mi300x_are_joined_by_xgmi(tmp_path: Path) -> None:
    machine = amd.MI300X_8.inspect(tmp_path)
    assert [gpu.index for gpu in machine.gpus] == list(range(8))
    assert machine.problems == ()
    assert machine.gpu_driver == "6.12.12"
    for gpu in machine.gpus:
        assert gpu.accelerator is not None
        assert gpu.accelerator.id == "mi300x"
        assert (gpu.backend, gpu.compute_capability, gpu.power_limit_w) == ("rocm", "gfx942", 750.0)
        assert gpu.details is not None
        # Seven peers, each over a link of 64 GB/s one way: 448 GB/s out of each GPU.
        assert [peer.index for peer in gpu.details.peers] == [n for n in range(8) if n != gpu.index]
        assert gpu.details.links[0].bytes_per_s == 448e9
        assert gpu.details.pcie is not None
        assert (gpu.details.pcie.generation, gpu.details.pcie.width) == (5, 16)
    third = machine.gpus[2].details
    assert third is not None
    assert third.processes is not None
    assert [(one.pid, one.name, one.used_bytes) for one in third.processes] == [(4242, "vllm", 160 * GIB)]


def test_hidden_amd_gpus_are_left_out_of_the_peers_too(tmp_path: Path) -> None:
    # ROCR leaves GPUs 6, 5 and 1 in this order; HIP then counts those and takes the last two.
    environ = {"ROCR_VISIBLE_DEVICES": "6,GPU-1000000000000006,1", "HIP_VISIBLE_DEVICES": "1,2"}
    machine = replace(amd.MI300X_8, environ=environ).inspect(tmp_path)
    assert [gpu.uuid for gpu in machine.gpus] == ["GPU-1000000000000006", "GPU-1000000000000002"]
    assert [gpu.index for gpu in machine.gpus] == [0, 1]
    assert machine.gpus[0].details is not None
    assert [peer.index for peer in machine.gpus[0].details.peers] == [1]
    assert any("ROCR_VISIBLE_DEVICES" in line and "hides 5 of 8" in line for line in machine.problems)
    assert any("HIP_VISIBLE_DEVICES" in line and "hides 1 of 3" in line for line in machine.problems)


def test_a_radeon_reports_its_slot_and_not_its_own_switch(tmp_path: Path) -> None:
    machine = amd.RX_7900_XTX.inspect(tmp_path)
    (gpu,) = machine.gpus  # the processor's small GPU is named, not counted
    assert gpu.name == "AMD Radeon RX 7900 XTX"  # 744c is also the XT, the GRE and the 7900M
    assert gpu.free_bytes == 23_536 * MIB  # 24,560 MiB less 1 GiB in use
    assert gpu.details is not None
    assert gpu.details.pcie is not None
    # The GPU's own function says 16 GT/s x16; the riser carries 8 GT/s x4.
    assert (gpu.details.pcie.generation, gpu.details.pcie.width) == (3, 4)
    assert gpu.details.clocks is not None
    assert (gpu.details.clocks.core_hz, gpu.details.clocks.core_max_hz) == (31e6, 2526e6)
    assert any("610M" in line and "not counted" in line for line in machine.problems)


def test_integrated_gpus_count_when_asked(tmp_path: Path) -> None:
    root = amd.RX_7900_XTX.write(tmp_path)
    machine = inspect_machine(
        root,
        amd.RX_7900_XTX.nvml(),
        environ={},
        run=amd.RX_7900_XTX.run,
        system="Linux",
        count_integrated=True,
    )
    assert [gpu.name for gpu in machine.gpus] == ["AMD Radeon RX 7900 XTX", "AMD Radeon 610M"]


def test_strix_halo_has_the_larger_pool_not_the_sum(tmp_path: Path) -> None:
    # https://github.com/noamsto/nix-amd-ai/issues/42: GTT of 103079215104 bytes, and llama.cpp's HIP backend
    # reports 98304 MiB, not the 102,400 of both pools.
    machine = amd.STRIX_HALO.inspect(tmp_path)
    (gpu,) = machine.gpus
    assert gpu.memory_bytes == 98_304 * MIB
    assert gpu.accelerator is not None
    assert gpu.accelerator.unified_memory
    assert (machine.cpu_memory_bytes_per_s, machine.cpu_memory_basis) == (256e9, Basis.VENDOR)
    assert any("ttm.pages_limit" in line for line in machine.problems)


def test_a_limit_above_installed_memory_limits_nothing(tmp_path: Path) -> None:
    # amdgpu.gttsize=131072 on a machine of 124.9 GiB: https://github.com/unslothai/unsloth/pull/7960
    broken = amd.STRIX_HALO.with_fault({GTT: f"{128 * GIB}\n", KFD_BANK: None})
    (gpu,) = broken.inspect(tmp_path).gpus
    assert gpu.memory_bytes == 129_000_000 * KIB


def test_arc_cards(tmp_path: Path) -> None:
    (b580,) = intel.ARC_B580.inspect(tmp_path / "b").gpus
    assert b580.accelerator is not None
    assert b580.memory_bytes == b580.accelerator.memory_bytes  # the driver does not tell; the note says so
    machine = intel.ARC_A770.inspect(tmp_path / "a")
    (a770,) = machine.gpus
    assert (a770.memory_bytes, a770.free_bytes) == (17_079_205_888, 16_700_000_000)
    assert a770.accelerator is not None
    assert a770.accelerator.id == "arc-a770-16"
    assert a770.details is not None
    assert a770.details.pcie is not None
    assert (a770.details.pcie.max_generation, a770.details.pcie.max_width) == (4, 16)
    assert a770.details.pcie.width is None  # "x1" is the card's inside
    assert any("UHD Graphics 770" in line and "not counted" in line for line in machine.problems)
    cpu = cpu_of(machine).details
    assert cpu is not None
    assert [(kind.name, kind.n_threads) for kind in cpu.core_kinds] == [
        ("performance", 16),
        ("efficiency", 8),
    ]


def test_gpus_that_a_container_was_not_given_are_left_out(tmp_path: Path) -> None:
    # /sys shows all eight; the container has the files of two, and not the compute driver's.
    given = amd.MI300X_8.with_fault({"dev/dri/renderD128": "", "dev/dri/renderD136": ""})
    machine = given.inspect(tmp_path)
    assert [gpu.backend for gpu in machine.gpus] == ["vulkan", "vulkan"]
    assert any("6 of 8 AMD GPUs" in line and "/dev/dri" in line for line in machine.problems)
    assert any("/dev/kfd" in line for line in machine.problems)


def test_two_vendors_do_not_share_a_number(tmp_path: Path) -> None:
    both = replace(amd.RX_9070_XT, files={**amd.RX_9070_XT.files, **{
        name.replace("card0", "card7"): text for name, text in intel.ARC_B580.files.items() if "/drm/" in name
    }})  # fmt: skip
    machine = both.inspect(tmp_path)
    assert [(gpu.index, gpu.backend) for gpu in machine.gpus] == [(0, "vulkan"), (1, "sycl")]


def test_a_server_of_two_sockets(tmp_path: Path) -> None:
    machine = hosts.EPYC_2S.inspect(tmp_path)
    cpu, memory = cpu_of(machine), memory_of(machine)
    assert (cpu.n_sockets, cpu.n_physical_cores) == (2, 64)
    assert cpu.details is not None
    assert cpu.details.n_threads_per_core == 2
    assert [(node.n_threads, node.distances) for node in cpu.details.numa_nodes] == [
        (64, (10, 32)),
        (64, (32, 10)),
    ]
    assert (cpu.details.governor, cpu.details.is_virtual) == ("performance", False)
    assert memory.details is not None
    assert memory.details.modules is not None
    assert (memory.details.modules.n_channels, memory.details.modules.kind) == (24, "DDR5")
    assert machine.cpu_memory_bytes_per_s is None  # the controllers do not tell the speed
    assert [pages.n_total for pages in memory.details.huge_pages] == [1024, 0]
    assert (memory.details.transparent_huge_pages, memory.details.lock_is_unlimited) == ("always", True)


def test_cloud_machines_are_virtual_and_their_disks_too(tmp_path: Path) -> None:
    for name, recorded, vendor in (
        ("x", hosts.XEON_AMX, "Google Compute Engine"),
        ("g", hosts.GRAVITON, "Amazon EC2"),
    ):
        machine = recorded.inspect(tmp_path / name)
        details = cpu_of(machine).details
        assert details is not None
        assert (details.is_virtual, details.hypervisor) == (True, vendor)
        assert machine.disk is not None
        assert machine.disk.kind == "virtual"  # NVMe in name: network storage behind it
    assert {"amx_int8", "amx_bf16"} <= set(cpu_of(hosts.XEON_AMX.inspect(tmp_path / "y")).instruction_sets)
    assert {"sve", "sve2", "i8mm", "bf16"} <= set(cpu_of(machine).instruction_sets)


def test_unified_boards(tmp_path: Path) -> None:
    jetson = hosts.JETSON_ORIN.inspect(tmp_path / "j")
    assert [(gpu.name, gpu.memory_bytes) for gpu in jetson.gpus] == [
        ("Jetson AGX Orin 64GB", 64_349_532 * KIB)
    ]
    spark = hosts.DGX_SPARK.inspect(tmp_path / "s")
    assert spark.gpus[0].memory_bytes == 125_513_452 * KIB  # all of main memory
    assert spark.gpus[0].problem is None
    details = cpu_of(spark).details
    assert details is not None
    assert [kind.name for kind in details.core_kinds] == ["ARM Cortex-X925", "ARM Cortex-A725"]


def test_a_raspberry_has_no_gpu_that_counts(tmp_path: Path) -> None:
    machine = hosts.RASPBERRY.inspect(tmp_path)
    assert (machine.gpus, machine.problems) == ((), ())
    assert cpu_of(machine).model == "ARM Cortex-A76"


def test_a_pod_knows_its_limits(tmp_path: Path) -> None:
    machine = hosts.POD.inspect(tmp_path)
    assert machine.container is not None
    assert machine.container.kind == "Kubernetes"
    assert (machine.container.n_cpus_quota, machine.container.memory_limit_bytes) == (2.5, 8 * GIB)
    assert machine.container.cpus is None  # all 16 processors are no limit
    assert machine.container.swap_limit_bytes == 0
    assert cpu_of(machine).n_usable_threads <= 3  # two and a half processors keep three threads partly busy
    assert memory_of(machine).available_bytes == 5 * GIB
    assert machine.disk is not None
    assert (machine.disk.kind, machine.disk.mount_point) == ("network", "/models")


def test_macs(tmp_path: Path) -> None:
    studio, book = hosts.MAC_STUDIO.inspect(tmp_path / "a"), hosts.MACBOOK.inspect(tmp_path / "b")
    assert studio.gpus[0].memory_bytes == 384 * GIB  # three quarters of 512
    assert studio.gpus[0].accelerator is not None
    assert studio.gpus[0].accelerator.id == "apple-m3-ultra"
    assert book.gpus[0].memory_bytes == 112 * GIB  # the owner's 114,688 MiB
    details = cpu_of(studio).details
    assert details is not None
    assert [(kind.name, kind.n_cores) for kind in details.core_kinds] == [
        ("performance", 24),
        ("efficiency", 8),
    ]


def test_a_plain_machine_has_no_container(tmp_path: Path) -> None:
    plain = Recorded(
        name="plain", source="test", files={"proc/cpuinfo": cpuinfo(4, "x", "avx2", 4), "proc/meminfo": meminfo(8_000_000)}
    )  # fmt: skip
    assert plain.inspect(tmp_path).container is None

"""Whole NVIDIA configurations: what is read of each, and that one fault costs one line and nothing else."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hardware.gpu_details import GpuDetails, GpuPeer
from hardware.inspect import inspect_machine
from hardware.probes.nvidia import NvidiaReport, read_nvidia_gpus
from hardware.spec import Gpu
from hardware.units import GIB, KIB, MIB
from tests.hardware.file_tree import V2_MOUNT, tree
from tests.hardware.nvml_recordings import KEYS, recording


def read(key: str, *, faulty: bool = False) -> NvidiaReport:
    recorded = recording(key)
    return read_nvidia_gpus(recorded.nvml(faulty=faulty), {}, main_memory=recorded.main_memory)


def details(gpu: Gpu) -> GpuDetails:
    assert gpu.details is not None
    return gpu.details


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a record with its path; a list's items share one path, in order."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        yield f"{path}#", len(value)
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


def changed(healthy: Gpu, faulty: Gpu) -> set[str]:
    """Paths of what two readings of one GPU do not share."""
    before, after = list(leaves(facts(healthy))), list(leaves(facts(faulty)))
    either = {path for path, _ in [*before, *after]}
    return {path for path in either if values(before, path) != values(after, path)}


def facts(gpu: Gpu) -> dict[str, Any]:
    """A GPU as plain data; its profile is compared whole."""
    accelerator = gpu.accelerator
    data = {name: getattr(gpu, name) for name in gpu.__slots__ if name not in ("accelerator", "details")}
    return {
        **data,
        "accelerator": accelerator,
        "details": None if gpu.details is None else asdict(gpu.details),
    }


def values(found: list[tuple[str, Any]], path: str) -> list[Any]:
    return [value for at, value in found if at == path]


def under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith((f"{prefix}.", f"{prefix}#"))


def test_there_are_recordings_enough() -> None:
    assert len(KEYS) >= 15


@pytest.mark.parametrize("key", KEYS)
def test_a_healthy_configuration_is_read_in_full(key: str) -> None:
    recorded = recording(key)
    nvml = recorded.nvml()
    report = read_nvidia_gpus(nvml, {}, main_memory=recorded.main_memory)
    assert nvml.n_open == 0
    assert report.driver_version == recorded.data["system"]["nvmlSystemGetDriverVersion"]
    assert all(gpu.problem is None and gpu.memory_bytes for gpu in report.gpus)
    assert all(details(gpu).not_answered == () for gpu in report.gpus)
    # A call costs 10 to 100 µs in the driver, so 150 of them for one GPU stay within a few milliseconds.
    assert nvml.n_calls / max(len(report.gpus), 1) < 150


@pytest.mark.parametrize("key", KEYS)
def test_a_fault_costs_its_own_field_and_one_line(key: str) -> None:
    recorded = recording(key)
    fault = recorded.fault
    healthy, faulty = read(key), read(key, faulty=True)
    assert faulty.driver_version == healthy.driver_version
    assert len(faulty.gpus) == len(healthy.gpus)
    new = [line for line in faulty.problems if line not in healthy.problems]
    expected = fault["line"]
    assert len(new) == (0 if expected is None else 1)
    assert all(expected in line and "\n" not in line for line in new)
    assert [line for line in healthy.problems if line not in faulty.problems] == []
    at = fault.get("slice", fault.get("device"))
    for position, (before, after) in enumerate(zip(healthy.gpus, faulty.gpus, strict=True)):
        difference = changed(before, after)
        if fault.get("lost"):
            # Nothing can be placed on a lost GPU, and the others have one peer less.
            assert (after.memory_bytes is None and after.problem == "GPU is lost") == (position == at)
            if position != at:
                assert all(under(path, "details.peers") for path in difference)
                assert len(details(after).peers) == len(details(before).peers) - 1
            continue
        allowed = [*fault["costs"], "details.not_answered"] if position == at else []
        assert all(any(under(path, each) for each in allowed) for path in difference)
        assert all(any(under(path, each) for path in difference) for each in allowed[: len(fault["costs"])])


def test_eight_h100_on_switches() -> None:
    report = read("hgx_h100_8")
    assert report.problems == ()
    first = report.gpus[0]
    assert first.accelerator is not None
    assert first.accelerator.id == "h100-sxm-80"
    # Driver's figures: 81,559 MiB in all, 551 reserved, 72,400 used, the rest free.
    assert (first.memory_bytes, first.reserved_bytes) == (81_559 * MIB, 551 * MIB)
    assert first.free_bytes == (81_559 - 551 - 72_400) * MIB
    known = details(first)
    assert (known.architecture, known.runtime_version, first.compute_capability) == ("Hopper", "12.4", "9.0")
    assert known.clocks is not None
    assert (known.clocks.core_hz, known.clocks.memory_max_hz) == (1_980e6, 2_619e6)
    assert known.throttle_reasons == ()
    assert known.power is not None
    assert (known.power.draw_w, known.power.limit_w, known.power.max_limit_w) == (612.0, 700.0, 700.0)
    assert known.pcie is not None
    assert known.pcie.address == "0000:1b:00.0"
    # PCIe 5 x16: 32 GT/s · 16 lanes · 128/130 / 8 bits = 63.0 GB/s one way.
    assert known.pcie.bytes_per_s == pytest.approx(63.0e9, rel=1e-3)
    (links,) = known.links
    assert (links.kind, links.n_links, links.n_active, links.version) == ("NVLink", 18, 18, "4.0")
    # 18 links · 26.562 GB/s one way: the data sheet's 450 GB/s plus the line's coding.
    assert links.bytes_per_s == pytest.approx(478.1e9, rel=1e-3)
    assert links.to_switch
    assert len(known.peers) == 7
    assert known.peers[0] == GpuPeer(index=1, link="NVSwitch", peer_access=True, distance="one NUMA node")
    assert known.peers[-1].distance == "across sockets"
    assert [details(gpu).numa_node for gpu in report.gpus] == [0] * 4 + [1] * 4
    assert known.fabric is not None
    assert (known.fabric.is_ready, known.fabric.cluster, known.fabric.health) == (True, None, ())
    assert (known.ecc, known.mig_enabled) == (True, False)
    assert known.confidential is not None
    assert not known.confidential.enabled
    assert known.processes is not None
    (process,) = known.processes
    assert (process.pid, process.name, process.used_bytes) == (41_000, "/usr/bin/python3", 72_300 * MIB)


def test_slices_of_an_a100() -> None:
    report = read("a100_mig")
    assert [gpu.mig_profile for gpu in report.gpus] == ["1g.20gb", "1g.20gb", "1c.3g.40gb", "2c.3g.40gb"]
    assert [gpu.memory_bytes for gpu in report.gpus] == [19_968 * MIB] * 2 + [40_192 * MIB] * 2
    parts = [details(gpu).mig_slice for gpu in report.gpus]
    assert [part is not None and part.shares_memory for part in parts] == [False, False, True, True]
    assert parts[3] is not None
    assert (parts[3].gpu_instance, parts[3].compute_instance) == (1, 1)
    assert (parts[3].n_gpu_slices, parts[3].n_compute_slices, parts[3].n_multiprocessors) == (3, 2, 28)
    assert parts[3].instance_memory_bytes == 40_192 * MIB
    # The table's A100 SXM 80 GB has 312 TFLOP/s: one compute slice of seven has 44.6.
    accelerator = report.gpus[0].accelerator
    assert accelerator is not None
    assert accelerator.dense_flop_per_s["fp16"] == pytest.approx(312e12 / 7)
    assert all(details(gpu).peers == () and details(gpu).mig_enabled for gpu in report.gpus)
    shared, single = report.problems
    assert shared.startswith("GPU 0: 2 slices (1c.3g.40gb, 2c.3g.40gb) share the 39.2 GiB")
    assert single.startswith("4 MIG slices: a CUDA program uses one of them")


def test_geforce_cards_have_no_peer_access() -> None:
    report = read("rtx_4090_pair")
    first, second = map(details, report.gpus)
    assert first.links == ()
    assert first.peers == (
        GpuPeer(
            index=1,
            link="PCIe",
            peer_access=False,
            why_not="GPU not supported",
            distance="one host bridge",
        ),
    )
    assert first.throttle_reasons == ("idle",)
    assert first.processes is not None
    # Xorg draws; the Python process is in both lists with the same 500 MiB, which count once.
    assert [(each.pid, each.kind) for each in first.processes] == [
        (3300, "compute and graphics"),
        (2211, "graphics"),
    ]
    assert first.processes[0].used_bytes == 500 * MIB
    # Idle cards drop to generation 1, which is no trouble; a slot of four lanes is.
    (line,) = report.problems
    assert line.startswith("GPU 1 (NVIDIA GeForce RTX 4090): PCIe gives it 4 lanes at most")
    assert second.processes == ()


def test_a_hot_card_is_named() -> None:
    report = read("l40s_4")
    assert [details(gpu).throttle_reasons for gpu in report.gpus] == [
        ("power limit",),
        ("power limit",),
        ("hardware slowdown", "too hot (hardware)"),
        ("power limit",),
    ]
    (line,) = report.problems  # a card at its power limit is at work, not in trouble
    assert line == (
        "GPU 2 (NVIDIA L40S): slowed down now: hardware slowdown, too hot (hardware) at 93 °C; "
        "check cooling and power supply"
    )


def test_a_grace_blackwell_tray() -> None:
    report = read("gb200_tray")
    assert report.problems == ()
    known = details(report.gpus[1])
    nvlink, c2c = known.links
    assert (nvlink.version, nvlink.bytes_per_s_each) == ("5.0", 53.125e9)
    # Ten chip-to-chip links of 44.712 GB/s: the 450 GB/s one way of the data sheet.
    assert (c2c.kind, c2c.n_active, c2c.to_switch) == ("NVLink-C2C", 10, False)
    assert c2c.bytes_per_s == pytest.approx(447e9, rel=1e-3)
    assert known.fabric is not None
    assert (known.fabric.cluster, known.fabric.clique) == ("9c6f5af3-53bf-49b5-a436-b66766c413c3", 4026)
    assert known.fabric.health == ()  # every part of the mask says "no"
    assert known.pcie is not None
    assert known.pcie.address == "0009:01:00.0"


def test_a_chip_without_memory_of_its_own_has_main_memory() -> None:
    (gpu,) = read("gb10_spark").gpus
    # MemTotal and MemAvailable of that machine, in kB.
    assert (gpu.memory_bytes, gpu.free_bytes) == (127_600_748 * KIB, 118_566_368 * KIB)
    assert gpu.accelerator is not None
    assert gpu.accelerator.unified_memory
    assert details(gpu).unified_memory
    assert details(gpu).pcie is None  # the driver's "generation 1, one lane" stands for no slot at all
    assert details(gpu).fabric is None


def test_the_inspection_hands_main_memory_to_such_a_chip(tmp_path: Path) -> None:
    meminfo = "MemTotal:       127600748 kB\nMemAvailable:   118566368 kB\n"
    root = tree(tmp_path, {"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n"})
    machine = inspect_machine(root, recording("gb10_spark").nvml(), environ={}, system="Linux")
    (gpu,) = machine.gpus
    assert (gpu.memory_bytes, gpu.free_bytes) == (127_600_748 * KIB, 118_566_368 * KIB)
    # A container's limit holds for the GPU too.
    limited = {"sys/fs/cgroup/memory.max": f"{64 * GIB}\n", "proc/self/mountinfo": V2_MOUNT}
    machine = inspect_machine(tree(root, limited), recording("gb10_spark").nvml(), environ={}, system="Linux")
    assert machine.gpus[0].memory_bytes == 64 * GIB


def test_a_jetson_answers_little() -> None:
    report = read("jetson_orin")
    (gpu,) = report.gpus
    assert (gpu.name, gpu.compute_capability, gpu.memory_bytes) == ("Orin (nvgpu)", "8.7", 61 * GIB)
    known = details(gpu)
    assert known.unified_memory
    assert (known.clocks, known.power, known.pcie, known.processes) == (None, None, None, None)


def test_an_older_driver_is_asked_by_the_older_names() -> None:
    report = read("t4_cloud")
    (gpu,) = report.gpus
    known = details(gpu)
    assert known.throttle_reasons == ()
    assert known.processes is not None
    assert [(each.pid, each.used_bytes) for each in known.processes] == [(900, 1_027 * MIB)]
    assert (known.virtualization, known.runtime_version) == ("passthrough", "11.7")
    assert known.pcie is not None
    assert (known.pcie.width, known.pcie.max_width) == (8, 16)
    assert report.problems == ()  # idle: the lanes may be asleep


def test_bridged_cards_count_their_links() -> None:
    first, second = map(details, read("a100_pcie_bridge").gpus)
    assert first.peers == (
        GpuPeer(index=1, link="NVLink", n_links=12, peer_access=True, distance="across sockets"),
    )
    assert second.peers[0].n_links == 12
    assert first.links[0].bytes_per_s == 12 * 25e9


def test_directly_joined_h100() -> None:
    known = details(read("hgx_h100_4").gpus[0])
    assert known.links[0].to_switch is False
    assert [(peer.link, peer.n_links) for peer in known.peers] == [("NVLink", 6)] * 3
    assert known.numa_node == 3


def test_a_slow_riser_shows_under_load() -> None:
    report = read("rtx_3090_bridge")
    assert [details(gpu).peers[0].n_links for gpu in report.gpus] == [4, 4]
    assert details(report.gpus[0]).links[0].version == "3.1"
    lanes, generation = report.problems
    assert "GPU 1 (NVIDIA GeForce RTX 3090): runs on 8 of 16 PCIe lanes while busy" in lanes
    assert "runs on PCIe generation 1 of 4 while busy" in generation


def test_confidential_computing() -> None:
    report = read("h200_confidential")
    assert report.problems == ()
    confidential = details(report.gpus[0]).confidential
    assert confidential is not None
    # The state of a single GPU reads "off" in this mode; the mode itself is what protects.
    assert (confidential.enabled, confidential.multi_gpu) == (True, "protected PCIe")
    assert confidential.environment == "production"
    assert (confidential.protected_bytes, confidential.unprotected_bytes) == (143_271 * MIB, 0)
    assert confidential.protected_free_bytes == 143_000 * MIB


def test_a_vgpu_guest_answers_in_part() -> None:
    (gpu,) = read("l40s_vgpu").gpus
    assert details(gpu).virtualization == "vGPU"
    assert gpu.power_limit_w is None
    assert details(gpu).clocks is None


def test_memory_under_wsl_falls_back_to_the_first_version() -> None:
    (gpu,) = read("wsl_rtx_4080", faulty=True).gpus
    assert gpu.memory_bytes == 16_376 * MIB
    assert gpu.free_bytes == (16_376 - 300 - 1_900) * MIB
    assert gpu.reserved_bytes is None
    processes = details(gpu).processes
    assert processes is not None
    assert [(each.pid, each.used_bytes) for each in processes] == [(77, None)]

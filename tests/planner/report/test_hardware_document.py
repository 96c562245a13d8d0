"""`planner hardware` of machines with real profile rows, in every format."""

import json
from dataclasses import replace

import pytest

from hardware.described import describe_machine
from hardware.gpu_details import GpuDetails, PcieLink
from hardware.host_details import CpuDetails, Disk, HugePages, MemoryDetails, MemoryModules, NumaNode
from hardware.machine_json import machine_from_json
from hardware.spec import Cpu, GpuCopies, Machine, MeasuredRate, Memory
from planner.cli.render import as_csv, as_json, as_markdown, as_table
from planner.report.hardware_document import hardware_document


@pytest.mark.parametrize("words", ["2x RTX 4090, 64GiB DDR5-5600", "M4 Max, 128GiB", "cpu only, 32GiB"])
def test_a_machine_in_every_format(words: str) -> None:
    machine = describe_machine(words)
    document = hardware_document(machine)
    data = json.loads(as_json(document))
    assert data["schema"] == "planner.hardware/1"
    assert len(data["gpus"]) == len(machine.gpus)
    for gpu in data["gpus"]:
        assert gpu["accelerator"]["memory_bytes_per_s"] > 0
        assert gpu["accelerator"]["dense_flop_per_s"]["fp16"] > 0
    for shown in (as_table(document), as_markdown(document), as_csv(document)):
        assert all(gpu.name in shown.replace("\n", " ") for gpu in machine.gpus[:1])


def test_host_details_are_shown_where_they_matter() -> None:
    gib = 2**30
    node = NumaNode(index=0, cpus="0-31", n_threads=32)
    machine = Machine(
        name="this machine",
        cpu=Cpu(
            model="EPYC 9654", n_sockets=1, n_physical_cores=96, n_usable_threads=192,
            details=CpuDetails(
                n_online_threads=192, numa_nodes=(node, replace(node, index=1, cpus="32-63")), is_virtual=True,
                hypervisor="KVM",
            ),
        ),
        memory=Memory(
            total_bytes=384 * gib, available_bytes=300 * gib,
            details=MemoryDetails(
                huge_pages=(HugePages(page_bytes=gib, n_total=16, n_free=4),),
                # Twelve channels of 8 bytes at 4.8 billion transfers: 460.8 GB/s.
                modules=MemoryModules(
                    source="SMBIOS", n_channels=12, kind="DDR5", transfers_per_s=4.8e9, channel_bits=64
                ),
            ),
        ),
        disk=Disk(folder="/models", mount_point="/models", kind="NVMe", file_system="xfs", free_bytes=900 * gib),
    )  # fmt: skip
    text = as_table(hardware_document(machine))
    for shown in ("2 NUMA nodes", "a virtual machine on KVM", "12 channels of DDR5", "460.8 GB/s in theory",
                  "16 huge pages of 1.0 GiB", "4 free", "NVMe, xfs", "900.0 GiB free"):  # fmt: skip
        assert shown in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= 80


def test_what_gpus_copy_is_shown_beside_what_their_link_promises() -> None:
    machine = describe_machine("2x RTX 4090, 64GiB DDR5-5600")

    def rate(per_s: float) -> MeasuredRate:
        return MeasuredRate(
            per_s=per_s, method="CUDA driver 12.8", n_threads=1, n_samples=20, spread_fraction=0.02,
            measured_at="2026-11-27T12:00:00+00:00",
        )  # fmt: skip

    # PCIe 4.0 x16: 16 lanes of 16 Gbit/s, 128 of 130 bits used: 31.5 GB/s. 25.2 of them are 80 %.
    first = replace(
        machine.gpus[0],
        copies=GpuCopies(within=rate(920e9), from_host=rate(25.2e9), to_host=rate(24.9e9)),
        details=GpuDetails(pcie=PcieLink(max_generation=4, max_width=16)),
    )
    second = replace(machine.gpus[1], copies=GpuCopies(to_host=rate(12e9)))
    document = hardware_document(replace(machine, gpus=(first, second)))
    rows = {row[1]: row[2] for row in document.tables[0].rows if row[0] == "measured"}
    assert rows == {
        "GPU 0 copies 920.0 GB/s in its memory, both ways counted": "spread 2%, 2026-11-27",
        "GPU 0 copies 25.2 GB/s from and 24.9 GB/s to main memory": "80% of its PCIe link, 2026-11-27",
        "GPU 1 copies 12.0 GB/s to main memory": "2026-11-27",
    }
    assert max(len(line) for line in as_table(document).splitlines()) <= 80
    data = json.loads(as_json(document))
    assert data["gpus"][0]["copies"]["from_host"]["per_s"] == 25.2e9
    # The JSON is a machine again, rates included.
    assert machine_from_json(as_json(document), source="m.json").gpus == (first, second)


def test_rates_that_were_measured_beside_other_work_are_doubted() -> None:
    rate = MeasuredRate(
        per_s=18e9, method="numpy", n_threads=2, n_samples=20, spread_fraction=0.02,
        measured_at="2026-11-27T12:00:00+00:00", pages="4 KiB pages", n_busy_elsewhere=0.1,
    )  # fmt: skip
    machine = replace(describe_machine("cpu only, 32GiB"), memory_bandwidth=rate, mapped_read=rate)
    quiet = hardware_document(machine)
    assert not [note for note in quiet.notes if "busy" in note]
    rows = [row for row in quiet.tables[0].rows if row[0] == "measured"]
    assert [row[1] for row in rows] == [
        "reads 18.0 GB/s from memory",
        "reads 18.0 GB/s from a cached file, as weights are",
    ]
    assert rows[0][2] == "2 threads, 4 KiB pages, spread 2%, 2026-11-27"
    disturbed = hardware_document(
        replace(machine, matrix_throughput=replace(rate, pages=None, n_busy_elsewhere=1.6))
    )
    (line,) = [note for note in disturbed.notes if "busy" in note]
    assert "1.6 processors" in line and "--measure again" in line

"""GPUs in `planner hardware`: what the drivers say, on 80 columns, and all of it in the JSON."""

import json

import pytest

from hardware.gpu_details import GpuDetails, GpuProcess
from hardware.machine_json import machine_from_json
from hardware.probes.nvidia import read_nvidia_gpus
from hardware.spec import Gpu, Machine
from planner.cli.render import as_csv, as_json, as_markdown, as_table
from planner.report.gpu_details import gpu_rows, gpu_table
from planner.report.hardware_document import hardware_document
from tests.hardware.nvml_recordings import KEYS, recording


def machine(key: str, *, faulty: bool = False) -> Machine:
    recorded = recording(key)
    report = read_nvidia_gpus(recorded.nvml(faulty=faulty), {}, main_memory=recorded.main_memory)
    return Machine(
        name=key, cpu=None, memory=recorded.main_memory, gpus=report.gpus, problems=report.problems
    )


def told(key: str) -> list[tuple[str, str, str]]:
    table = gpu_table(machine(key).gpus)
    assert table is not None
    return [(str(what), str(which), str(line)) for what, which, line in table.rows]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("faulty", [False, True])
def test_every_configuration_fits_eighty_columns(key: str, faulty: bool) -> None:
    document = hardware_document(machine(key, faulty=faulty))
    assert max(map(len, as_table(document, 80).splitlines())) <= 80
    assert as_markdown(document)
    assert as_csv(document)


@pytest.mark.parametrize("key", KEYS)
def test_json_gives_the_same_gpus_back(key: str) -> None:
    there = machine(key)
    text = as_json(hardware_document(there))
    back = machine_from_json(text, source="m.json")
    assert [gpu.details for gpu in back.gpus] == [gpu.details for gpu in there.gpus]
    (first, *_) = json.loads(text)["gpus"]
    assert {"clocks", "pcie", "links", "peers", "processes", "power"} <= set(first["details"])


def test_gpus_that_agree_share_a_row() -> None:
    rows = told("hgx_h100_8")
    assert ("chip", "all", "Hopper, compute capability 9.0, ECC on") in rows
    assert ("PCIe", "0–3", "5 x16, 63.0 GB/s one way, NUMA node 0") in rows
    assert ("PCIe", "4–7", "5 x16, 63.0 GB/s one way, NUMA node 1") in rows
    # 18 · 26.562 GB/s
    assert ("links", "all", "18 × NVLink 4.0, 478.1 GB/s one way, to switches") in rows
    assert ("peers", "all", "NVSwitch (7 GPUs)") in rows
    assert ("used by", "3", "python3 (41003) 70.6 GiB") in rows


def test_a_slow_slot_and_a_missing_peer_are_seen() -> None:
    rows = told("rtx_4090_pair")
    assert ("PCIe", "1", "4 x4, 7.9 GB/s one way, now 1 x4, NUMA node 0") in rows
    assert ("peers", "all", "no peer access: GPU not supported (1 GPU)") in rows
    assert not [row for row in rows if row[0] == "held back"]  # idle is not held back
    assert ("held back", "2", "hardware slowdown, too hot (hardware)") in told("l40s_4")


def test_slices_are_told_apart_and_their_memory_counts_once() -> None:
    rows = told("a100_mig")
    assert (
        "slice",
        "0 2c.3g.40gb",
        "GPU instance 1, 28 multiprocessors, memory shared with another slice",
    ) in rows
    # Two slices of 19.5 GiB and two that share 39.25 GiB: 78.2 GiB, not 117.5.
    assert "with 78.2 GiB of memory" in hardware_document(machine("a100_mig")).answer[0]


def test_many_users_are_cut_short() -> None:
    processes = tuple(GpuProcess(pid=pid, name="/opt/\x1b[31mserver", used_bytes=2**30) for pid in range(9))
    gpu = Gpu(
        index=0,
        name="A",
        memory_bytes=None,
        free_bytes=None,
        accelerator=None,
        details=GpuDetails(processes=processes),
    )
    table = gpu_table([gpu])
    assert table is not None
    ((what, _, line),) = table.rows
    assert what == "used by"
    assert str(line).endswith("and 6 more")
    document = hardware_document(Machine(name="x", cpu=None, memory=None, gpus=(gpu,)))
    assert "\x1b" not in as_table(document, 80)  # a process may call itself anything


def test_a_described_gpu_has_one_row_and_no_table() -> None:
    gpu = Gpu(index=0, name="RTX 4090", memory_bytes=24 * 2**30, free_bytes=None, accelerator=None)
    assert gpu_rows([gpu]) == [("GPU 0", "RTX 4090, 24.0 GiB", "")]
    assert gpu_table([gpu]) is None

"""Small pieces of the GPU probes: PCI names, gfx numbers, damaged files, xpu-smi and amdsmi that misbehave."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from hardware.probes.amd import read_amd_gpus
from hardware.probes.arm_parts import arm_core_name
from hardware.probes.intel import read_intel_gpus
from hardware.probes.jetson import read_jetson
from hardware.probes.kernel_files import KernelFolder, numbered
from hardware.probes.kfd import gfx_name, read_kfd_nodes
from hardware.unified import apu_gpu_bytes
from hardware.units import GIB, KIB
from profiles.pci_devices import find_pci_device, pci_devices
from tests.hardware.file_tree import tree
from tests.hardware.fixtures import amd, hosts, intel


@pytest.mark.parametrize(
    ("version", "name"),
    [(90402, "gfx942"), (90010, "gfx90a"), (90500, "gfx950"), (110501, "gfx1151"), (120001, "gfx1201"), (100306, "gfx1036")],
)  # fmt: skip
def test_gfx_names(version: int, name: str) -> None:
    # Two digits each for the minor version and the step, which the name writes in hexadecimal.
    assert gfx_name(version) == name


def test_a_recorded_node_of_four_mi210(tmp_path: Path) -> None:
    # nodes/2 of ROCm/k8s-device-plugin testdata/topo-mi210-xgmi-pcie, the lines that matter.
    text = (
        "cpu_cores_count 0\nsimd_count 416\nsimd_per_cu 4\ngfx_target_version 90010\ndevice_id 29711\n"
        "location_id 25344\ndomain 0\ndrm_render_minor 128\nhive_id 12609507387757274807\nnum_xcc 1\n"
        "unique_id 1801979520617338022\nmax_engine_clk_fcompute 1700\n"
    )
    link = "type 11\nnode_from 2\nnode_to 3\nweight 15\nmin_bandwidth 50000\nmax_bandwidth 50000\nflags 1\n"
    base = "sys/class/kfd/kfd/topology/nodes/2"
    (node,) = read_kfd_nodes(
        tree(tmp_path, {f"{base}/properties": text, f"{base}/io_links/1/properties": link})
    )
    assert (node.gfx, node.n_compute_units, node.max_hz) == ("gfx90a", 104, 1.7e9)
    assert node.address == "0000:63:00.0"  # 25344 = 0x6300
    assert node.uuid == f"GPU-{1801979520617338022:016x}"
    assert [(one.node, one.is_xgmi, one.n_links, one.bytes_per_s_each) for one in node.links] == [
        (3, True, 1, 50e9)
    ]


def test_pci_names_need_the_revision_where_it_decides() -> None:
    named = find_pci_device(0x1002, 0x744C, 0xC8)
    assert named is not None
    assert named.name == "AMD Radeon RX 7900 XTX"
    assert find_pci_device(0x1002, 0x744C, 0xCE) != named  # the GRE
    assert find_pci_device(0x1002, 0x744C, None) is None
    arc = find_pci_device(0x8086, 0xE211, 0x00)
    assert arc is not None
    assert arc.name == "Intel(R) Arc(TM) Pro B60 Graphics"


def test_every_pci_row_is_whole() -> None:
    for (vendor_id, device_id, revision), device in pci_devices().items():
        assert vendor_id in (0x1002, 0x8086)
        assert 0 < device_id <= 0xFFFF
        assert revision is None or 0 <= revision <= 0xFF
        assert device.source.startswith("https://")
        assert device.name.startswith({0x1002: "AMD ", 0x8086: "Intel(R) "}[vendor_id])


def test_files_of_the_kernel(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {"ten": " 10\n", "hex": "0x1002\n", "word": "lost\n", "two": "a  b\n", "node10/x": "", "node2/x": ""},
    )
    (tmp_path / "broken").mkdir()
    folder = KernelFolder(tmp_path)
    assert (folder.number("ten"), folder.number("hex"), folder.line("two")) == (10, 0x1002, "a b")
    assert folder.number("absent") is None
    assert folder.failures == []  # an absent file is normal
    assert folder.number("word") is None
    assert folder.text("broken") is None
    assert len(folder.failures) == 2
    assert [path.name for path in numbered(tmp_path, "node[0-9]*")] == ["node2", "node10"]


@pytest.mark.parametrize(
    ("carve_out", "gtt", "installed", "stated", "expected"),
    [
        (4 * GIB, 96 * GIB, 123 * GIB, None, 96 * GIB),
        (
            96 * GIB,
            16 * GIB,
            31 * GIB,
            None,
            96 * GIB,
        ),  # carved out in firmware; little is left to the system
        (GIB // 2, 128 * GIB, 124 * GIB, None, 124 * GIB),  # a limit above what is there
        (None, None, 124 * GIB, None, None),
        (4 * GIB, 96 * GIB, 123 * GIB, 62 * GIB, 62 * GIB),  # the compute driver knows better
        (4 * GIB, 0, 12 * GIB, 64 * GIB, 16 * GIB),  # but not more than there is
    ],
)
def test_what_an_apu_may_use(
    carve_out: int | None, gtt: int | None, installed: int | None, stated: int | None, expected: int | None
) -> None:
    assert apu_gpu_bytes(carve_out, gtt, installed, stated) == expected


class AmdSmi:
    """Answers like the amdsmi module, and can fail after its start."""

    class AmdSmiException(Exception):
        pass

    def __init__(self, broken: bool = False) -> None:
        self.broken, self.n_open = broken, 0

    def amdsmi_init(self) -> None:
        self.n_open += 1

    def amdsmi_shut_down(self) -> None:
        self.n_open -= 1

    def amdsmi_get_processor_handles(self) -> list[str]:
        return ["0000:03:00.0"]

    def amdsmi_get_gpu_asic_info(self, handle: str) -> dict[str, str]:
        if self.broken:
            raise self.AmdSmiException("Error code:\n2 | AMDSMI_STATUS_NOT_SUPPORTED")
        return {"market_name": "AMD Radeon RX 9070 XT"}

    def amdsmi_get_gpu_driver_info(self, handle: str) -> dict[str, str]:
        return {"driver_version": "6.14.14"}

    def amdsmi_get_gpu_device_bdf(self, handle: str) -> str:
        return handle


def test_amdsmi_names_what_the_files_do_not(tmp_path: Path) -> None:
    unnamed = amd.RX_9070_XT.with_fault({"sys/class/drm/card0/device/device": "0x7fff\n"})
    smi = AmdSmi()
    report = read_amd_gpus(unnamed.write(tmp_path), amdsmi=smi)
    assert report.driver_version == "6.14.14"
    assert [gpu.accelerator and gpu.accelerator.id for gpu in report.gpus] == ["rx-9070-xt"]
    assert smi.n_open == 0


def test_an_amdsmi_that_fails_costs_one_line(tmp_path: Path) -> None:
    smi = AmdSmi(broken=True)
    report = read_amd_gpus(amd.RX_9070_XT.write(tmp_path), amdsmi=smi)
    assert [gpu.name for gpu in report.gpus] == ["AMD Radeon RX 9070 XT"]
    assert sum(line.startswith("amdsmi: ") for line in report.problems) == 1
    assert not any("\n" in line for line in report.problems)
    assert smi.n_open == 0


@pytest.mark.parametrize(
    "answer",
    ["", "not json", "[]", '{"error": "No device discovered"}', '{"device_list": 3}', '{"device_list": [{"device_id": true}]}'],
)  # fmt: skip
def test_an_xpu_smi_that_talks_nonsense_leaves_the_card(answer: str, tmp_path: Path) -> None:
    report = read_intel_gpus(intel.ARC_B580.write(tmp_path), run=lambda _: answer)
    assert [gpu.name for gpu in report.gpus] == ["Intel(R) Arc(TM) B580 Graphics"]
    assert not any("\n" in line for line in report.problems)


def test_without_intel_cards_xpu_smi_is_not_started(tmp_path: Path) -> None:
    def run(_: object) -> str:
        raise AssertionError("started a program for nothing")

    assert read_intel_gpus(amd.RX_9070_XT.write(tmp_path), run=run).gpus == ()


def test_a_hidden_intel_card(tmp_path: Path) -> None:
    report = read_intel_gpus(intel.ARC_B580.write(tmp_path), {"ZE_AFFINITY_MASK": "1"})
    assert report.gpus == ()
    assert any("ZE_AFFINITY_MASK" in line for line in report.problems)


def test_root_may_read_the_size_of_an_arc(tmp_path: Path) -> None:
    # tile0/vram_mm of an A750 under xe: https://github.com/flightlessmango/MangoHud/issues/1936
    debug = {
        "sys/kernel/debug/dri/0000:03:00.0/tile0/vram_mm": "  use_type: 1\n  use_tt: 0\n  size: 8522825728\n  usage: 32079872\n"
    }
    card = {name: text.replace("0xe20b", "0x56a1") for name, text in intel.ARC_B580.files.items()}
    (gpu,) = read_intel_gpus(tree(tmp_path, {**card, **debug})).gpus
    assert (gpu.memory_bytes, gpu.free_bytes) == (8_522_825_728, 8_522_825_728 - 32_079_872)


def test_a_jetson_of_two_sizes_is_settled_by_installed_memory(tmp_path: Path) -> None:
    kit = hosts.JETSON_ORIN.with_fault(
        {"proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0000\0nvidia,p3701-0000\0"}
    )
    root = kit.write(tmp_path)
    for installed_kib, name in ((31_300_000, "Jetson AGX Orin 32GB"), (64_349_532, "Jetson AGX Orin 64GB")):
        jetson = read_jetson(root, installed_kib * KIB)
        assert jetson is not None
        assert (jetson.name, jetson.release) == (name, "Jetson Linux 36.4.3")
    assert (
        read_jetson(tree(tmp_path / "pi", {"proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0"}))
        is None
    )


def test_arm_cores() -> None:
    assert arm_core_name("0x41", "0xd4f") == "ARM Neoverse-V2"
    assert arm_core_name("0x51", "0x001") == "Qualcomm Oryon"  # Snapdragon X
    assert arm_core_name("0x41", "0xABC") == "ARM implementer 0x41 part 0xABC"
    assert arm_core_name("", None) is None
    assert arm_core_name("nonsense", "0x1") == "ARM implementer nonsense part 0x1"


def test_xpu_smi_answers_with_numbers_or_text(tmp_path: Path) -> None:
    listed = {"device_list": [{"device_id": "0", "pci_bdf_address": "0000:03:00.0", "device_name": "x"}]}
    detail = {"memory_physical_size_byte": 12_809_404_416, "driver_version": 7}
    answers = SimpleNamespace(list=json.dumps(listed), detail=json.dumps(detail))
    report = read_intel_gpus(
        intel.ARC_B580.write(tmp_path),
        run=lambda command: answers.detail if "-d" in command else answers.list,
    )
    assert report.gpus[0].memory_bytes == 12_809_404_416

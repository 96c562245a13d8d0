"""The GPU of a Mac, from recorded answers of sysctl and system_profiler (shortened)."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from hardware.inspect import inspect_machine
from hardware.probes.apple import apple_gpu, n_gpu_cores, read_apple_gpu
from hardware.unified import mac_gpu_bytes
from hardware.units import GIB, MIB
from tests.hardware.accelerator_table import ROWS
from tests.hardware.fake_nvml import FakeNvml
from tests.hardware.test_cpu import INTEL_MAC, M4_MAX

PROFILER = """{"SPDisplaysDataType": [{"_name": "Apple M4 Max", "spdisplays_mtlgpufamilysupport":
"spdisplays_metal3", "sppci_bus": "spdisplays_builtin", "sppci_cores": "40", "sppci_model": "Apple M4 Max"}]}"""


def mac(command: Sequence[str]) -> str:
    if command[0].endswith("system_profiler"):
        return PROFILER
    return "iogpu.wired_limit_mb: 0\n" if "iogpu" in command else M4_MAX


def test_an_apple_chip_has_one_gpu() -> None:
    (gpu,), (note,) = read_apple_gpu(mac, ROWS)
    assert gpu.name == "Apple M4 Max (40-core GPU)"
    assert gpu.accelerator is not None
    assert gpu.accelerator.id == "apple-m4-max"
    assert (gpu.backend, gpu.memory_bytes) == ("metal", 96 * GIB)  # 3/4 of 128 GiB
    assert "iogpu.wired_limit_mb" in note


def test_an_intel_mac_has_none() -> None:
    assert read_apple_gpu(lambda _: INTEL_MAC, ROWS) == ((), ())


@pytest.mark.parametrize(
    ("total_gib", "limit_mb", "gpu_mib"),
    [
        (36, None, 24 * 1024),  # two thirds
        (64, None, 48 * 1024),  # three quarters
        (128, 0, 96 * 1024),  # 0 stands for the default
        (128, 114_688, 114_688),  # the owner raised it to 112 GiB
        (16, 999_999, 16 * 1024),  # never more than there is
    ],
)
def test_what_macos_allows(total_gib: int, limit_mb: int | None, gpu_mib: int) -> None:
    assert mac_gpu_bytes(total_gib * GIB, limit_mb) == gpu_mib * MIB


def test_an_unknown_core_count_is_no_other_chip() -> None:
    (gpu,), notes = apple_gpu("Apple M4 Max", 128 * GIB, {}, 99, ROWS)
    assert gpu.accelerator is None
    assert "no profile for 'Apple M4 Max (99-core GPU)'" in notes[1]


@pytest.mark.parametrize("text", ["{}", "[]", '{"SPDisplaysDataType": [{"sppci_cores": 40}, 3]}'])
def test_a_profile_without_cores(text: str) -> None:
    assert n_gpu_cores(text) is None


def test_a_whole_mac(tmp_path: Path) -> None:
    psutil = SimpleNamespace(
        virtual_memory=lambda: SimpleNamespace(total=128 * GIB, available=90 * GIB),
        swap_memory=lambda: SimpleNamespace(total=0),
    )
    nvml = FakeNvml(init_error=pynvml.NVMLError_LibraryNotFound())
    machine = inspect_machine(
        tmp_path, nvml, environ={}, run=mac, psutil_module=psutil, system="Darwin", rows=ROWS
    )
    assert machine.cpu is not None
    assert machine.cpu.model == "Apple M4 Max"
    assert machine.memory is not None
    assert machine.memory.total_bytes == 128 * GIB
    assert [gpu.backend for gpu in machine.gpus] == ["metal"]


def test_a_profiler_that_fails_costs_one_line(tmp_path: Path) -> None:
    def broken(command: Sequence[str]) -> str:
        if command[0].endswith("system_profiler"):
            raise OSError("system_profiler: timed out")
        return mac(command)

    nvml = FakeNvml(init_error=pynvml.NVMLError_LibraryNotFound())
    machine = inspect_machine(tmp_path, nvml, environ={}, run=broken, system="Darwin", rows=ROWS)
    # The chip and its memory are known without it; only the number of cores is not, and so no profile fits.
    assert [(gpu.name, gpu.accelerator) for gpu in machine.gpus] == [("Apple M4 Max", None)]
    assert [line for line in machine.problems if line.startswith("Apple GPU: ")] == [
        "Apple GPU: the number of GPU cores is not known: system_profiler: timed out"
    ]

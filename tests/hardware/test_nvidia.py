"""The NVIDIA probe against a driver that fails in the ways drivers fail."""

import pynvml
import pytest

from hardware.probes.nvidia import NvidiaReport, read_nvidia_gpus
from hardware.units import GIB, MIB
from tests.hardware.accelerator_table import ROWS
from tests.hardware.fake_nvml import FakeCard, FakeNvml, FakeSlice


def rtx_4090(number: int, **changes: object) -> FakeCard:
    card = FakeCard(
        name="NVIDIA GeForce RTX 4090",
        uuid=f"GPU-{number}{number}{number}f937-d72c",
        memory_bytes=24_564 * MIB,
    )
    for name, value in changes.items():
        setattr(card, name, value)
    return card


def test_a_healthy_card_is_read_and_matched() -> None:
    nvml = FakeNvml([rtx_4090(0)])
    report = read_nvidia_gpus(nvml, {}, ROWS)
    (gpu,) = report.gpus
    assert report.driver_version == "580.65.06"
    assert report.problems == ()
    assert (gpu.index, gpu.memory_bytes, gpu.free_bytes) == (0, 24_564 * MIB, 20 * GIB)
    assert (gpu.reserved_bytes, gpu.compute_capability, gpu.power_limit_w) == (GIB // 2, "8.9", 450.0)
    assert gpu.accelerator is not None
    assert gpu.accelerator.id == "rtx-4090"
    assert nvml.n_open == 0  # NVML was closed again


@pytest.mark.parametrize("call", ["*", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetMemoryInfo"])
def test_one_lost_card_of_three_leaves_the_others_intact(call: str) -> None:
    lost = rtx_4090(1, failures={call: pynvml.NVMLError_GpuIsLost()})
    report = read_nvidia_gpus(FakeNvml([rtx_4090(0), lost, rtx_4090(2)]), {}, ROWS)
    assert [gpu.index for gpu in report.gpus] == [0, 1, 2]
    assert [gpu.problem for gpu in report.gpus] == [None, "GPU is lost", None]
    assert [gpu.memory_bytes for gpu in report.gpus] == [24_564 * MIB, None, 24_564 * MIB]
    assert report.gpus[1].accelerator is None
    (problem,) = report.problems
    assert problem.startswith("GPU 1")
    assert "GPU is lost" in problem


@pytest.mark.parametrize(
    "error",
    [pynvml.NVMLError_LibraryNotFound(), pynvml.NVMLError_DriverNotLoaded()],
    ids=["library", "driver"],
)
def test_a_machine_without_nvidia_is_normal(error: Exception) -> None:
    assert read_nvidia_gpus(FakeNvml(init_error=error), {}, ROWS) == NvidiaReport()


def test_a_driver_that_does_not_match_its_library_is_one_line() -> None:
    # As after an upgrade without a restart: the library is new, the loaded kernel module is old.
    report = read_nvidia_gpus(FakeNvml(init_error=pynvml.NVMLError_LibRmVersionMismatch()), {}, ROWS)
    assert report.gpus == ()
    (problem,) = report.problems
    assert "version mismatch" in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("nvmlDeviceGetCudaComputeCapability", "compute_capability"),
        ("nvmlDeviceGetEnforcedPowerLimit", "power_limit_w"),
        ("nvmlDeviceGetUUID", "uuid"),
        ("nvmlDeviceGetMigMode", "mig_profile"),
        ("nvmlDeviceGetMemoryInfo_v2", "reserved_bytes"),
    ],
)
def test_what_a_card_does_not_support_is_unknown_and_no_problem(call: str, field: str) -> None:
    card = rtx_4090(0, failures={call: pynvml.NVMLError_NotSupported()})
    report = read_nvidia_gpus(FakeNvml([card]), {}, ROWS)
    (gpu,) = report.gpus
    assert getattr(gpu, field) is None
    assert gpu.memory_bytes == 24_564 * MIB
    assert report.problems == ()


def test_unified_memory_without_a_size() -> None:
    # DGX Spark: the GPU has no memory of its own, and NVML says "not supported".
    failures = {"nvmlDeviceGetMemoryInfo": pynvml.NVMLError_NotSupported()}
    card = FakeCard(name="NVIDIA GB10", uuid="GPU-1", failures=failures)
    report = read_nvidia_gpus(FakeNvml([card]), {}, ROWS)
    (gpu,) = report.gpus
    assert (gpu.memory_bytes, gpu.free_bytes) == (None, None)
    assert gpu.accelerator is not None
    assert gpu.accelerator.unified_memory
    assert "shares main memory" in report.problems[0]


def test_a_card_without_a_profile_is_listed_with_a_line() -> None:
    card = FakeCard(name="NVIDIA Quadro P400", uuid="GPU-1", memory_bytes=2 * GIB)
    report = read_nvidia_gpus(FakeNvml([card]), {}, ROWS)
    assert report.gpus[0].accelerator is None
    assert report.gpus[0].problem is None
    (problem,) = report.problems
    assert problem.startswith("GPU 0 (NVIDIA Quadro P400): no profile for it with 2.0 GiB")


def a100_in_slices() -> FakeCard:
    slices = [
        FakeSlice(uuid="MIG-aaaa", profile="1g.10gb", memory_bytes=10 * GIB, n_slices=1, gpu_instance=7),
        FakeSlice(uuid="MIG-bbbb", profile="3g.40gb", memory_bytes=40 * GIB, n_slices=3, gpu_instance=2),
    ]
    return FakeCard(
        name="NVIDIA A100-SXM4-80GB", uuid="GPU-a100", memory_bytes=80 * GIB, mig=True, slices=slices
    )


def test_mig_slices_stand_for_their_card() -> None:
    report = read_nvidia_gpus(FakeNvml([a100_in_slices(), rtx_4090(1)]), {}, ROWS)
    small, large, other = report.gpus
    (problem,) = report.problems  # NVIDIA: "only single MIG instance enumeration is supported"
    assert problem.startswith("2 MIG slices: a CUDA program uses one of them")
    assert [gpu.mig_profile for gpu in report.gpus] == ["1g.10gb", "3g.40gb", None]
    assert [gpu.uuid for gpu in (small, large)] == ["MIG-aaaa", "MIG-bbbb"]
    assert [gpu.memory_bytes for gpu in (small, large)] == [10 * GIB, 40 * GIB]
    assert [gpu.index for gpu in report.gpus] == [0, 0, 1]
    assert small.accelerator is not None
    assert large.accelerator is not None
    # The table's A100 has 2,000 GB/s and 350 TFLOP/s: 1/8 and 4/8 of the memory, 1/7 and 3/7 of the compute.
    assert small.accelerator.memory_bytes_per_s == pytest.approx(250e9)
    assert large.accelerator.memory_bytes_per_s == pytest.approx(1000e9)
    assert small.accelerator.dense_flop_per_s["fp16"] == pytest.approx(50e12)
    assert large.accelerator.dense_flop_per_s["fp16"] == pytest.approx(150e12)
    assert other.accelerator is not None
    assert other.accelerator.id == "rtx-4090"


def test_mig_mode_without_slices_is_a_line() -> None:
    card = FakeCard(name="NVIDIA A100-SXM4-80GB", uuid="GPU-a", memory_bytes=80 * GIB, mig=True)
    report = read_nvidia_gpus(FakeNvml([card]), {}, ROWS)
    assert report.gpus == ()
    assert report.problems == ("GPU 0: MIG mode is on but it has no slice; create one with nvidia-smi mig",)


THREE = ("GPU-000f937-d72c", "GPU-111f937-d72c", "GPU-222f937-d72c")


@pytest.mark.parametrize(
    ("setting", "indices"),
    [
        ("0", [0]),
        ("2,1", [2, 1]),  # in the order given
        ("", []),
        ("-1", []),
        ("0,2,-1,1", [0, 2]),  # NVIDIA's own example: the list ends at the first invalid entry
        ("0,7,1", [0]),
        ("GPU-111", [1]),
        ("GPU-222f937-d72c,0", [2, 0]),
        ("GPU-", []),  # a beginning that all three share names none
        ("NoDevFiles", []),
        ("1,1", [1]),
    ],
)
def test_cuda_visible_devices(setting: str, indices: list[int]) -> None:
    nvml = FakeNvml([rtx_4090(0), rtx_4090(1), rtx_4090(2)])
    report = read_nvidia_gpus(nvml, {"CUDA_VISIBLE_DEVICES": setting}, ROWS)
    assert [gpu.index for gpu in report.gpus] == indices
    hidden = [index for index in range(3) if index not in indices]
    assert all(f"GPU {index} (" in report.problems[0] for index in hidden)
    assert all(f"GPU {index} (" not in report.problems[0] for index in indices)


def test_an_entry_that_ends_the_list_is_named() -> None:
    nvml = FakeNvml([rtx_4090(0), rtx_4090(1)])
    report = read_nvidia_gpus(nvml, {"CUDA_VISIBLE_DEVICES": "0,9"}, ROWS)
    assert "'9' names no device here" in report.problems[-1]


@pytest.mark.parametrize(
    ("setting", "profiles"),
    [
        ("MIG-bbbb", ["3g.40gb"]),
        ("MIG-b,MIG-aaaa", ["3g.40gb", "1g.10gb"]),
        ("MIG-GPU-a100/7/0", ["1g.10gb"]),  # the form of drivers before R470
        ("0", ["1g.10gb", "3g.40gb"]),
        ("GPU-a100", ["1g.10gb", "3g.40gb"]),
        ("MIG-cccc", []),
    ],
)
def test_cuda_visible_devices_names_slices(setting: str, profiles: list[str]) -> None:
    report = read_nvidia_gpus(FakeNvml([a100_in_slices()]), {"CUDA_VISIBLE_DEVICES": setting}, ROWS)
    assert [gpu.mig_profile for gpu in report.gpus] == profiles


def test_unlike_cards_by_index_come_with_a_warning_about_order() -> None:
    other = FakeCard(name="NVIDIA GeForce RTX 3090", uuid="GPU-9", memory_bytes=24 * GIB)
    nvml = FakeNvml([rtx_4090(0), other])
    loose = read_nvidia_gpus(nvml, {"CUDA_VISIBLE_DEVICES": "1"}, ROWS)
    fixed = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert any("CUDA_DEVICE_ORDER=PCI_BUS_ID" in line for line in loose.problems)
    assert not any("CUDA_DEVICE_ORDER" in line for line in read_nvidia_gpus(nvml, fixed, ROWS).problems)

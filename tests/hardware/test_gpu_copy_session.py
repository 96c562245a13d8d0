"""GPU copies through the real adapters and the real child process; only the vendor's library is a stand-in.

No GPU is needed: `fake_gpu_library.c` has the C functions of CUDA's driver and of HIP, `fake_torch.py` the Python
ones of PyTorch, each with the faults that real ones have.
"""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hardware.gpu_copy_session import CHOICES, CopierChoice, measure_gpu_copies
from hardware.gpu_details import GpuDetails, PcieLink
from hardware.spec import Gpu
from hardware.units import GB, GIB

CUDA, HIP, TORCH = CHOICES
HOST_FREE = 2 * GIB


def gpu(index: int, *, backend: str = "cuda") -> Gpu:
    """A GPU as NVML or the kernel shows it: the stand-in's UUIDs are 00 10 20 … f0, each plus the number."""
    digits = "".join(f"{16 * i + index:02x}" for i in range(16))
    uuid = f"GPU-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    address = ("0000:17:00.0", "0000:b1:00.0")[index]
    return Gpu(
        index=index, name="Example", memory_bytes=8 * GIB, free_bytes=4 * GIB, accelerator=None,
        uuid=uuid if backend == "cuda" else None, backend=backend,
        details=GpuDetails(pcie=PcieLink(address=address)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler for the stand-in library")
    target = tmp_path_factory.mktemp("library") / "libfakegpu.so"
    source = Path(__file__).with_name("fake_gpu_library.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(target)], check=True)
    return str(target)


@pytest.fixture
def cuda(library: str) -> tuple[CopierChoice, ...]:
    return (replace(CUDA, libraries=(library,)),)


def test_the_cuda_driver_measures_both_gpus(cuda: tuple[CopierChoice, ...]) -> None:
    told: list[float] = []
    gpus, problems = measure_gpu_copies(
        (gpu(1), gpu(0)), HOST_FREE, budget_s=0.3, choices=cuda, progress=told.append
    )
    assert problems == ()
    assert [each.index for each in gpus] == [1, 0]
    for each in gpus:
        assert each.copies is not None
        within, from_host, to_host = each.copies.within, each.copies.from_host, each.copies.to_host
        assert within is not None and from_host is not None and to_host is not None
        # The stand-in sleeps as long as 400, 25 and 20 GB/s take; sleeping is late by a bit, never early.
        assert 200 * GB < within.per_s < 401 * GB
        assert 15 * GB < from_host.per_s < 25.1 * GB
        assert 12 * GB < to_host.per_s < 20.1 * GB
        # 12080 is CUDA 12.8; of 4 GiB that are free each buffer takes an eighth.
        assert within.method == "CUDA driver 12.8, 512.0 MiB at a time, upper quartile"
        assert "256.0 MiB of page-locked memory" in to_host.method
    assert told == sorted(told) and told[-1] == 1.0


def test_hip_measures_amd_gpus_by_their_address(library: str) -> None:
    choices = (replace(HIP, libraries=("libof-no-machine.so", library)),)
    gpus, problems = measure_gpu_copies(
        (gpu(0, backend="rocm"), gpu(1, backend="rocm")), HOST_FREE, budget_s=0.1, choices=choices
    )
    assert problems == ()
    for each in gpus:
        assert each.copies is not None and each.copies.within is not None
        # 60342134 is 6 · 10⁷ + 3 · 10⁵ + 42134.
        assert each.copies.within.method.startswith("HIP runtime 6.3, ")


def test_pytorch_stands_in_where_there_is_no_driver_library() -> None:
    choices = (
        replace(CUDA, libraries=("libof-no-machine.so",)),
        replace(TORCH, libraries=("tests.hardware.fake_torch",)),
    )
    gpus, problems = measure_gpu_copies((gpu(0), gpu(1)), HOST_FREE, budget_s=0.1, choices=choices)
    assert problems == ()
    for each in gpus:
        assert each.copies is not None and each.copies.within is not None
        assert each.copies.within.method.startswith("PyTorch 2.8.0+cu128, ")
        assert each.copies.within.per_s <= 201 * GB  # 100 GB copied in a second, read and written


def test_nothing_to_measure_with_is_one_line_that_says_what_was_tried() -> None:
    choices = (
        replace(CUDA, libraries=("libof-no-machine.so",)),
        replace(TORCH, libraries=("no_torch_here",)),
    )
    gpus, problems = measure_gpu_copies((gpu(0), gpu(1)), HOST_FREE, choices=choices)
    assert [each.copies for each in gpus] == [None, None]
    (line,) = problems
    assert line.startswith(
        "copies of GPUs 0, 1 were not measured: the CUDA driver library is not usable here"
    )
    assert (
        "libof-no-machine.so" in line
        and "PyTorch is not usable here (No module named 'no_torch_here')" in line
    )


def test_a_pytorch_for_processors_says_so() -> None:
    choices = (replace(TORCH, libraries=("tests.hardware.fake_torch_processors",)),)
    _, problems = measure_gpu_copies((gpu(0),), HOST_FREE, choices=choices)
    assert "PyTorch 2.8.0+cpu can use no GPU here" in problems[0]


@pytest.mark.parametrize(
    ("fault", "measured", "line"),
    [
        # More than half of an eighth is refused: 512 MiB fail, 256 MiB do not, and nothing is lost.
        ("no_memory", {0: "all", 1: "all"}, None),
        ("no_pinned", {0: "within", 1: "within"}, "GPU 1: copies from and to main memory: cuMemAllocHost_v2: CUDA_ERROR_OUT_OF_MEMORY"),
        ("lost:0", {1: "all"}, "copies of GPU 0 were not measured: copies within its memory: cuMemcpyDtoDAsync_v2: CUDA_ERROR_UNKNOWN; copies from and to main memory: cuMemcpyHtoDAsync_v2: CUDA_ERROR_UNKNOWN"),
        ("crash:0", {1: "all"}, "copies of GPU 0 were not measured: CUDA driver 12.8: it was ended by signal 11"),
        ("crash:1", {0: "all"}, "copies of GPU 1 were not measured: CUDA driver 12.8: it was ended by signal 11"),
        ("hang:0", {1: "all"}, "copies of GPU 0 were not measured: CUDA driver 12.8: it did not answer for 5 s"),
        ("no_device", {}, "copies of GPUs 0, 1 were not measured: the CUDA driver library is not usable here (cuInit: CUDA_ERROR_NO_DEVICE)"),
        ("old", {0: "all", 1: "all"}, None),
        ("talks", {0: "all", 1: "all"}, None),
    ],
)  # fmt: skip
def test_a_fault_of_one_gpu_leaves_the_other(
    cuda: tuple[CopierChoice, ...],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    measured: dict[int, str],
    line: str | None,
) -> None:
    monkeypatch.setenv("FAKE_GPU_FAULT", fault)
    gpus, problems = measure_gpu_copies(
        (gpu(0), gpu(1)), HOST_FREE, budget_s=0.05, choices=cuda, patience_s=5
    )
    found = {
        each.index: "within" if each.copies.to_host is None else "all"
        for each in gpus
        if each.copies is not None
    }
    assert found == measured
    assert line is None or line in problems
    assert (line is None) == (problems == ())


@pytest.mark.parametrize(
    ("fault", "n_measured", "line"),
    [
        ("no_memory", 0, "CUDA out of memory. Tried to allocate 512.00 MiB."),
        ("lost:1", 1, "CUDA error: unspecified launch failure"),
        ("odd:1", 1, "LookupError: no such device any more"),
    ],
)
def test_pytorch_faults(monkeypatch: pytest.MonkeyPatch, fault: str, n_measured: int, line: str) -> None:
    monkeypatch.setenv("FAKE_TORCH_FAULT", fault)
    choices = (replace(TORCH, libraries=("tests.hardware.fake_torch",)),)
    gpus, problems = measure_gpu_copies((gpu(0), gpu(1)), HOST_FREE, budget_s=0.05, choices=choices)
    assert sum(each.copies is not None for each in gpus) == n_measured
    assert len(problems) == 1
    assert line in problems[0] and "…" not in problems[0] and "kernel" not in problems[0]


def test_a_card_that_cuda_does_not_show_gets_no_rates_of_another(cuda: tuple[CopierChoice, ...]) -> None:
    stranger = replace(
        gpu(0), uuid="GPU-ffffffff-0000-0000-0000-000000000000",
        details=GpuDetails(pcie=PcieLink(address="0000:99:00.0")),
    )  # fmt: skip
    gpus, problems = measure_gpu_copies((stranger, gpu(1)), HOST_FREE, budget_s=0.05, choices=cuda)
    assert gpus[0].copies is None and gpus[1].copies is not None
    assert problems == ("copies of GPU 0 were not measured: CUDA driver 12.8 shows no such GPU",)


def test_slices_of_one_card_are_told_apart_by_uuid_never_by_address(cuda: tuple[CopierChoice, ...]) -> None:
    part = replace(gpu(0), mig_profile="1g.10gb", uuid=(gpu(0).uuid or "").replace("GPU-", "MIG-"))
    other = replace(part, uuid="MIG-ffffffff-0000-0000-0000-000000000000")
    gpus, _ = measure_gpu_copies((part, other), HOST_FREE, budget_s=0.05, choices=cuda)
    assert gpus[0].copies is not None
    assert gpus[1].copies is None

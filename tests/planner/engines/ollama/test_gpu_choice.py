"""Which GPUs Ollama gives a model: the cases of its own test.

server/sched_test.go of v0.33.0-rc2, TestSelectLlamaServerPlacement; sizes there are in units of 10^9 bytes.
"""

import pytest

from planner.engines.ollama.gpu_choice import GpuChoice, OllamaGpu, choose_gpus

GB = 10**9


def gpu(gigabytes: float, library: str = "cuda", *, integrated: bool = False) -> OllamaGpu:
    """A GPU with so much free."""
    size = round(gigabytes * GB)
    return OllamaGpu(memory_bytes=size, free_bytes=size, library=library, is_integrated=integrated)


@pytest.mark.parametrize(
    ("gpus", "guess_gb", "main_gpu", "spread", "expected"),
    [
        # "compacts onto largest same-backend GPU"
        ([gpu(10), gpu(20)], 8, None, False, GpuChoice(indices=(1,), is_single=True)),
        # "explicit main gpu selects matching backend group": only ROCm has a GPU 1
        ([gpu(10), gpu(20, "rocm"), gpu(24, "rocm")], 8, 1, False, GpuChoice(indices=(2,), is_single=True)),
        # "prefers discrete GPU over integrated GPU with more available memory"
        ([gpu(32, "vulkan", integrated=True), gpu(10, "vulkan")], 8, None, False, GpuChoice(indices=(1,), is_single=True)),
        # "spread disables automatic compaction"
        ([gpu(10), gpu(20)], 8, None, True, GpuChoice(indices=(0, 1))),
        # "no single fit chooses best backend group for llama-server split": 28 of CUDA against 12 of ROCm
        ([gpu(10), gpu(18), gpu(12, "rocm")], 30, None, False, GpuChoice(indices=(0, 1))),
    ],
)  # fmt: skip
def test_the_cases_of_ollamas_own_test(
    gpus: list[OllamaGpu], guess_gb: float, main_gpu: int | None, spread: bool, expected: GpuChoice
) -> None:
    assert choose_gpus(gpus, round(guess_gb * GB), main_gpu=main_gpu, spread=spread) == expected


def test_one_gpu_is_not_chosen_and_none_is_not_missed() -> None:
    assert choose_gpus([gpu(10)], GB) == GpuChoice(indices=(0,))
    assert choose_gpus([gpu(10)], GB, main_gpu=0) == GpuChoice(indices=(0,), is_single=True)
    assert choose_gpus([], GB) == GpuChoice(indices=())


def test_an_unknown_guess_spreads() -> None:
    assert choose_gpus([gpu(10), gpu(20)], None) == GpuChoice(indices=(0, 1))

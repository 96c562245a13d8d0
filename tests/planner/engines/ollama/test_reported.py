"""What `ollama ps` shows, against the logs in Ollama's own test.

llm/llama_server_test.go of v0.33.0-rc2: TestMemoryParsingWriterMemorySizeFullOffload and …MmapPartialOffload.
"""

import pytest

from hardware.units import MIB
from planner.engines.ollama.reported import Buffers, reported_size


def test_all_layers_on_a_gpu_count_as_all_of_it() -> None:
    # Llama 3.2 3B on ROCm: 1918.35 + 448.00 + 256.50 MiB there, 308.23 + 20.01 in RAM.
    buffers = Buffers(
        gpu_weight_bytes=int(1918.35 * MIB), gpu_other_bytes=int(704.5 * MIB),
        mapped_bytes=int(308.23 * MIB), host_other_bytes=int(20.01 * MIB),
    )  # fmt: skip
    found = reported_size(buffers, everything_on_gpu=True, file_bytes=None)
    assert found.size_bytes == found.vram_bytes == int(1918.35 * MIB) + int(704.5 * MIB)


@pytest.mark.parametrize(
    ("file_mib", "gpu_weights", "gpu_rest", "mapped", "host_rest", "total"),
    [
        # "CUDA partial offload with mmap": 13578 once, 460 + 350 on the GPU, 270 in RAM
        (13_578, 12_900.0, 810.0, 13_260.0, 270.0, 13_578 + 810 + 270),
        # "Metal partial offload with mmap": 47.50 + 20.76 there; 129.49 rearranged, 0.75, 32.50, 24.51 in RAM
        (368.50, 366.80, 68.26, 364.31, 187.25, 368.50 + 68.26 + 187.25),
        # "CPU-only mmap with repack is not trimmed"
        (1919, 0.0, 0.0, 1918.35, 1483.38, 1918.35 + 1483.38),
    ],
)
def test_a_mapped_file_counts_once(
    file_mib: float, gpu_weights: float, gpu_rest: float, mapped: float, host_rest: float, total: float
) -> None:
    buffers = Buffers(
        gpu_weight_bytes=round(gpu_weights * MIB), gpu_other_bytes=round(gpu_rest * MIB),
        mapped_bytes=round(mapped * MIB), host_other_bytes=round(host_rest * MIB),
    )  # fmt: skip
    found = reported_size(buffers, everything_on_gpu=False, file_bytes=round(file_mib * MIB))
    assert found.size_bytes == pytest.approx(total * MIB, abs=4)
    assert found.vram_bytes == pytest.approx((gpu_weights + gpu_rest) * MIB, abs=4)

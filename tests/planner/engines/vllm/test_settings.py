"""vLLM's defaults by version and GPU, as its argument parser sets them."""

import pytest

from hardware.units import GIB
from planner.engines.release import Release
from planner.engines.vllm.settings import VllmSettings, batched_tokens, sequences, utilization

V0, V083, V011, V025, V033 = (
    Release(0, 6, 4), Release(0, 8, 3), Release(0, 11), Release(0, 25, 1), Release(0, 33)
)  # fmt: skip


def test_utilization_grew_with_0_20() -> None:
    assert utilization(VllmSettings(version=V011)) == 0.9
    assert utilization(VllmSettings(version=V025)) == 0.92
    assert utilization(VllmSettings(version=V025, gpu_memory_utilization=0.5)) == 0.5


@pytest.mark.parametrize(
    ("version", "gib", "name", "length", "tokens", "requests"),
    [
        (V0, 24, "RTX 3090", 20_000, 20_000, 256),  # the whole prompt at once
        (V0, 24, "RTX 3090", 512, 2048, 256),
        (V0, 80, "H100", 131_072, 512, 256),  # beyond 32,768 in chunks
        (V083, 24, "RTX 3090", 8192, 2048, 1024),
        (V011, 79, "NVIDIA H100 80GB HBM3", 8192, 8192, 1024),
        (V011, 79, "NVIDIA A100-SXM4-80GB", 8192, 2048, 256),  # large defaults slow an A100 down
        (V011, 24, "RTX 4090", 8192, 2048, 256),
        (V011, 192, "B200", 8192, 8192, 1024),
        (V033, 192, "B200", 8192, 16_384, 1024),
        (V033, 120, "GB10", 8192, 2048, 256),
    ],
)
def test_a_step_is_as_large_as_version_and_gpu_say(
    version: Release, gib: int, name: str, length: int, tokens: int, requests: int
) -> None:
    settings = VllmSettings(version=version)
    found = batched_tokens(settings, length, gib * GIB, name)
    assert found == tokens
    assert sequences(settings, found, gib * GIB, name) == requests


def test_what_is_given_is_taken() -> None:
    settings = VllmSettings(max_num_batched_tokens=777, max_num_seqs=7)
    assert batched_tokens(settings, 8192, 80 * GIB, "H100") == 777
    assert sequences(settings, 777, 80 * GIB, "H100") == 7


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        VllmSettings(max_num_seqs=0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        VllmSettings(gpu_memory_utilization=1.2)

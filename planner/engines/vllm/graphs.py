"""vLLM's CUDA graphs: which batch sizes are captured, and what start-up sets aside for them.

Source: `VllmConfig._set_cudagraph_sizes` in vllm/config/vllm.py and `profile_cudagraph_memory` in
vllm/v1/worker/gpu_model_runner.py (0.25.1).
"""

from typing import Final

from hardware.units import MIB
from planner.engines.release import Release
from planner.engines.vllm.settings import CAPACITY_BY_CONCURRENCY

LARGEST_CAPTURE: Final = 512
GRAPH_BYTES: Final = 1 * MIB  # the engine's own floor per graph
# The first capture of each kind; logs of 0.19 to 0.26 show estimates of 0.08 to 2.4 GiB in all, the middle 0.4.
FIRST_CAPTURE_BYTES: Final = 300 * MIB


def capture_sizes(n_sequences: int, n_batched_tokens: int, n_speculative_tokens: int = 0) -> tuple[int, ...]:
    """Batch sizes that get a graph: 1, 2, 4, every 8th below 256, every 16th up to min(2 · sequences, 512)."""
    largest = min(n_sequences * (1 + n_speculative_tokens) * 2, LARGEST_CAPTURE, n_batched_tokens)
    sizes = [*(n for n in (1, 2, 4) if n <= largest), *range(8, min(largest + 1, 256), 8)]
    sizes += range(256, largest + 1, 16)
    return tuple(sizes)


def estimated_graph_bytes(n_graphs: int) -> int:
    """What the engine is assumed to estimate: a first capture, and a megabyte per further graph of both kinds."""
    return FIRST_CAPTURE_BYTES + 2 * n_graphs * GRAPH_BYTES if n_graphs else 0


def graphs_are_reserved(version: Release) -> bool:
    """Whether the estimate is taken off the cache: since 0.20; before, graphs lay beyond the utilization limit."""
    return version >= CAPACITY_BY_CONCURRENCY

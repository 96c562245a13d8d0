"""The inequality that vLLM checks at start-up, and what it says when it fails.

requested = utilization · total memory; the cache gets requested - (weights + activation peak + what is not torch's
[+ estimated graphs, since 0.20]). It refuses when less than `requested` is free at the start, when nothing is left
for the cache, and when the cache cannot hold one request of `max_model_len`.
Sources: vllm/v1/worker/gpu_worker.py `determine_available_memory`, worker/utils.py `request_memory`,
v1/core/kv_cache_utils.py `check_enough_kv_cache_memory` (0.11.0, 0.25.1); vllm/worker/worker.py (0.6.3).
"""

import math
from dataclasses import dataclass
from typing import Final

from hardware.units import MIB
from planner.engines.release import Release
from planner.engines.vllm.settings import FIRST_V1

# Beyond torch: context growth, cuBLAS and attention workspaces; NCCL and custom all-reduce with several ranks.
# Recorded: 0.13 GiB (H100, 0.11.0), 0.09 (A100, 0.9), 0.35 (RTX 3090, 0.6); 0.55 with two ranks (H100, 0.11.0).
SINGLE_RANK_BYTES: Final = 133 * MIB
SINGLE_RANK_V0_BYTES: Final = 358 * MIB
SEVERAL_RANKS_BYTES: Final = 563 * MIB
CONTEXT_BYTES: Final = 500 * MIB  # the CUDA context that is there before the engine looks at free memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One rank's memory at start-up, in bytes."""

    total_bytes: int
    free_bytes: int
    requested_bytes: int
    weight_bytes: int
    activation_bytes: int
    other_bytes: int
    graph_bytes: int  # 0 where the version does not set them aside

    @property
    def kv_bytes(self) -> int:
        """What is left for the cache; negative when there is nothing."""
        used = self.weight_bytes + self.activation_bytes + self.other_bytes + self.graph_bytes
        return self.requested_bytes - used


def requested_bytes(total_bytes: int, utilization: float) -> int:
    """Utilization · total, rounded up."""
    return math.ceil(total_bytes * utilization)


def other_bytes(n_ranks: int, version: Release) -> int:
    """Memory outside torch after the profile run."""
    if n_ranks > 1:
        return SEVERAL_RANKS_BYTES
    return SINGLE_RANK_BYTES if version >= FIRST_V1 else SINGLE_RANK_V0_BYTES


def refusal(budget: Budget, needed_bytes: int, max_model_len: int, longest: int) -> str | None:
    """Why the engine would not start, in its order of checks; None when it starts."""
    if budget.free_bytes < budget.requested_bytes:
        return "less memory is free at start-up than the utilization asks for"
    if budget.kv_bytes <= 0:
        return "no memory is left for the KV cache after weights and activations"
    if needed_bytes > budget.kv_bytes:
        return f"the KV cache cannot hold one request of {max_model_len:,} tokens" + (
            f"; the longest that fits is {longest:,}" if longest else ""
        )
    return None

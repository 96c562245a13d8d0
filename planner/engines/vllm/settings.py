"""vLLM's settings that decide memory, with the defaults of the version that runs.

Sources: vllm/engine/arg_utils.py (`EngineArgs._set_default_max_num_seqs_and_batched_tokens_args`) and
vllm/config/cache.py, read in 0.6.3, 0.8.3, 0.9.2 to 0.12.0, 0.14.0, 0.16.0, 0.19.0 to 0.22.0, 0.25.1, 0.26.0,
0.27.1, 0.29.0, 0.31.0, 0.33.0.
"""

from dataclasses import dataclass, field
from typing import Final

from hardware.units import GIB
from planner.engines.release import Release
from planner.engines.sharding import Parallel

LATEST: Final = Release(0, 33, 0)
FIRST_V1: Final = Release(0, 8, 0)  # the V1 engine by default; VLLM_USE_V1 before
HYBRID_MANAGER: Final = Release(0, 9, 2)  # windows and states get groups of their own
PAGES_UNIFIED: Final = Release(0, 12, 0)  # layers of different page sizes may mix
# "KV cache size" is concurrency x length; graphs are estimated
CAPACITY_BY_CONCURRENCY: Final = Release(0, 20, 0)
CHECKPOINT_CACHE: Final = Release(0, 13, 0)  # a quantized checkpoint's own cache type is taken
TRITON_SAMPLER: Final = Release(0, 17, 0)  # top-k and top-p without a sort (read in 0.19.0, not in 0.16.0)
FLASHINFER_SAMPLER: Final = Release(0, 21, 0)  # VLLM_USE_FLASHINFER_SAMPLER became true
LARGE_GPU_BYTES: Final = 70 * GIB
HUGE_GPU_BYTES: Final = 160 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSettings:
    """What `vllm serve` is told; None leaves a value to the engine."""

    version: Release = LATEST
    parallel: Parallel = field(default_factory=Parallel)
    max_model_len: int | None = None
    gpu_memory_utilization: float | None = None
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    block_size: int | None = None
    kv_cache_dtype: str = "auto"
    enforce_eager: bool = False
    n_speculative_tokens: int = 0  # 0: no speculative decoding
    prefix_caching: bool | None = None
    language_model_only: bool = False
    quantization: str | None = None  # on line: "fp8", "bitsandbytes"
    max_loras: int = 0
    max_lora_rank: int = 16

    def __post_init__(self) -> None:
        counts = (self.max_model_len, self.max_num_batched_tokens, self.max_num_seqs, self.block_size)
        if any(n is not None and n < 1 for n in counts):
            raise ValueError("lengths, batches and blocks must be at least 1")
        if self.gpu_memory_utilization is not None and not 0 < self.gpu_memory_utilization <= 1:
            raise ValueError("gpu_memory_utilization lies between 0 and 1")


def utilization(settings: VllmSettings) -> float:
    """The share of a GPU's whole memory that the engine may use: 0.9, and 0.92 since 0.20 (`CacheConfig`)."""
    if settings.gpu_memory_utilization is not None:
        return settings.gpu_memory_utilization
    return 0.92 if settings.version >= CAPACITY_BY_CONCURRENCY else 0.9


def is_large(gpu_bytes: int, gpu_name: str) -> bool:
    """Whether a GPU gets the larger defaults: 70 GiB or more, and not an A100, which they slow down.

    Nor a GB10: its driver does not tell its memory, which counts as none; since 0.33 it is left out by name.
    """
    name = gpu_name.lower()
    return gpu_bytes >= LARGE_GPU_BYTES and not any(word in name for word in ("a100", "gb10", "dgx spark"))


def batched_tokens(settings: VllmSettings, max_model_len: int, gpu_bytes: int, gpu_name: str) -> int:
    """Tokens of one step at most, `max_num_batched_tokens`, as `vllm serve` starts with it.

    Before V1 a whole prompt was read at once up to a length of 32768, beyond that in chunks of 512
    (vllm/config.py `SchedulerConfig` in 0.6.3). V1: 2048, and 8192 on large GPUs; 16384 on GPUs of 160 GiB
    and more since 0.28 (read in 0.29.0, absent in 0.27.1).
    """
    if settings.max_num_batched_tokens is not None:
        return settings.max_num_batched_tokens
    if settings.version < FIRST_V1:
        return max(max_model_len, 2048) if max_model_len <= 32768 else 512
    if settings.version >= Release(0, 28) and gpu_bytes >= HUGE_GPU_BYTES:
        return 16384
    return 8192 if is_large(gpu_bytes, gpu_name) else 2048


def sequences(settings: VllmSettings, n_batched_tokens: int, gpu_bytes: int, gpu_name: str) -> int:
    """Requests of one step at most, `max_num_seqs`: 256, and 1024 on large GPUs since V1; never more than tokens.

    In 0.8 it was 1024 on every GPU for V1 (`default_max_num_seqs` in 0.8.3), 256 for V0.
    """
    if settings.max_num_seqs is not None:
        return settings.max_num_seqs
    if settings.version < FIRST_V1:
        return 256
    if settings.version < Release(0, 9) or is_large(gpu_bytes, gpu_name):
        return min(1024, n_batched_tokens)
    return min(256, n_batched_tokens)

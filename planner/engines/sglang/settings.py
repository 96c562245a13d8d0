"""SGLang's settings that decide memory, with its own defaults.

Source: sglang/srt/server_args.py (`_handle_gpu_memory_settings`), read in 0.4.6, 0.5.9, 0.5.10
and 0.5.12; arg_groups/memory_hook.py in 0.5.23 differs.
"""

from dataclasses import dataclass, field
from typing import Final

from hardware.units import GIB, MIB
from planner.engines.release import Release
from planner.engines.sharding import Parallel

# The newest whose defaults are these. In 0.5.23 other families than MLA size their pool after graph capture.
LATEST: Final = Release(0, 5, 12)
MAMBA_RATIO: Final = 0.9  # mamba_full_memory_ratio: states to KV, in bytes
SWA_RATIO: Final = 0.8  # swa_full_tokens_ratio: tokens of windowed layers to those of full ones
NPU_PAGE: Final = 128  # tokens; other attention backends take 1, FlashMLA and DSA 64
LATENT_PAGE: Final = 64
_PLAIN_ENCODER_PARAMETERS: Final = 423_000_000  # 1.4 · 12 · 24 · 1024²


@dataclass(frozen=True, slots=True, kw_only=True)
class SglangSettings:
    """What `sglang.launch_server` is told; None leaves a value to the engine."""

    version: Release = LATEST
    parallel: Parallel = field(default_factory=Parallel)
    context_length: int | None = None
    mem_fraction_static: float | None = None
    chunked_prefill_size: int | None = None
    max_running_requests: int | None = None
    page_size: int | None = None
    kv_cache_dtype: str = "auto"
    cuda_graph_max_bs: int | None = None
    n_draft_tokens: int = 0  # 0: no speculative decoding
    n_draft_layers: int = 0
    radix_cache: bool = True
    all_to_all: bool = False  # --moe-a2a-backend deepep: shared experts lie whole on every rank
    head_per_replica: bool = False  # --enable-dp-lm-head
    on_npu: bool = False

    def __post_init__(self) -> None:
        fraction = self.mem_fraction_static
        if fraction is not None and not 0 < fraction <= 1:
            raise ValueError("mem_fraction_static lies between 0 and 1")


def chunk_tokens(settings: SglangSettings, gpu_bytes: int) -> int:
    """Tokens of a prompt read at once: 2048 below 35 GiB, 4096 below 60, 8192 below 160, else 16384."""
    if settings.chunked_prefill_size is not None:
        return settings.chunked_prefill_size
    for limit, tokens in ((35, 2048), (60, 4096), (160, 8192)):
        if gpu_bytes < limit * GIB:
            return tokens
    return 16384


def graph_batch(settings: SglangSettings, gpu_bytes: int) -> int:
    """The largest batch with a CUDA graph (0.5.9); smaller cards and few ranks get fewer."""
    if settings.cuda_graph_max_bs is not None:
        return settings.cuda_graph_max_bs
    few = settings.parallel.tensor < 4
    for limit, small, large in ((20, 8, 8), (35, 24, 80), (60, 32, 160), (160, 256, 512)):
        if gpu_bytes < limit * GIB:
            return small if few else large
    return 512


def static_fraction(settings: SglangSettings, gpu_bytes: int, n_tower_parameters: int = 0) -> float:
    """The share of a GPU for weights and caches, `mem_fraction_static`: 1 - what the engine reserves / the GPU.

    Reserved MiB: 512 + 1.5 * chunk + 2 * graph batch + 128 * ranks, with DP attention 3 to 4.5 per graph batch and
    replica more; at least 10 GiB above 60 GiB, and 2 GiB more for a draft. With a vision encoder 0.95 of that, times
    1.05 to 0.8 by layers · width² against 24 · 1024²; both are taken here from its parameters, of which a plain one
    of that size has 302 million and today's about 1.4 times as many (within 4 % for Qwen3-VL, Qwen2.5-VL, Gemma 3,
    Pixtral).
    """
    if settings.mem_fraction_static is not None:
        return settings.mem_fraction_static
    batch = graph_batch(settings, gpu_bytes)
    reserved = 512 + max(chunk_tokens(settings, gpu_bytes), 2048) * 1.5 + batch * 2
    reserved += settings.parallel.n_devices / 8 * 1024
    if settings.parallel.attention_replicas > 1:
        reserved += batch * settings.parallel.attention_replicas * (4.5 if batch > 300 else 3)
    if gpu_bytes > 60 * GIB:
        reserved = max(reserved, 10 * 1024)
    if settings.n_draft_tokens:
        reserved += 2 * 1024
    fraction = round((gpu_bytes / MIB - reserved) / (gpu_bytes / MIB), 3)
    if not n_tower_parameters:
        return fraction
    complexity = n_tower_parameters / _PLAIN_ENCODER_PARAMETERS
    return fraction * 0.95 * max(0.8, min(1.05, 1 - 0.1 * (complexity - 1)))

"""What a person can set in Ollama, and the llama.cpp settings that come of it.

llm/llama_server.go and server/sched.go of v0.33.0-rc2.
"""

from dataclasses import dataclass

from hardware.units import GIB, MIB
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.ollama.versions import (
    CURRENT,
    FIRST_WITH_LLAMA_SERVER,
    Version,
    default_context_tokens,
    default_sequences,
    llama_cpp_build,
)

# Families that get one sequence whatever is asked (server/sched.go, load).
ONE_SEQUENCE_FAMILIES = frozenset(
    ("mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe", "nemotron_h",
     "nemotron_h_moe", "nemotron_h_omni")
)  # fmt: skip
LEAST_CONTEXT_TOKENS = 4
LEAST_CONTEXT_WITH_IMAGES = 2048
PLAIN_BATCH = 512
# Batches that it picks itself above so many tokens of context, if the model leaves room: (context, batch, share
# of free memory that the model may take, memory set aside).
_BATCHES = ((32_768, 2048, 0.60, 2 * GIB), (4096, 1024, 0.75, 768 * MIB))
_MOST_FOR_LARGE_BATCHES = 0.80
# What llama-server's --fit leaves free on every GPU (LLAMA_ARG_FIT_TARGET), or beside a projector's weights.
FIT_MARGIN_BYTES = 1024 * MIB
PROJECTOR_HEADROOM_BYTES = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaOptions:
    """Parameters of a model that decide memory; None where Ollama chooses."""

    num_ctx: int | None = None
    num_batch: int | None = None
    num_gpu: int | None = None  # layers on GPUs
    main_gpu: int | None = None
    use_mmap: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaEnvironment:
    """Variables of the server that decide memory; None where they are not set."""

    context_length: int | None = None
    num_parallel: int | None = None
    kv_cache_type: str | None = None
    flash_attention: bool | None = None
    gpu_overhead_bytes: int = 0  # of every GPU, not used


NO_OPTIONS = OllamaOptions()
NO_ENVIRONMENT = OllamaEnvironment()


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaHost:
    """What Ollama's choices depend on beside the settings."""

    gpu_memory_bytes: int = 0  # of all GPUs together
    n_gpus: int = 0
    gpu_free_bytes: int | None = None  # of all together; None when nobody knows
    supports_flash_attention: bool = (
        True  # CUDA since compute capability 6.0 without 7.2, ROCm, Vulkan, Metal
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaModel:
    """What Ollama's choices depend on of the model."""

    family: str
    context_tokens: int | None = None  # that it was trained with
    reads_images: bool = False
    file_bytes: int | None = None
    f16_cache_bytes_per_token: int | None = None  # by Ollama's rough count: 2 · layers · KV heads · head · 2


def sequences(model: OllamaModel, environment: OllamaEnvironment, version: Version = CURRENT) -> int:
    """Requests served at once."""
    if model.family in ONE_SEQUENCE_FAMILIES:
        return 1
    return max(1, environment.num_parallel or default_sequences(version))


def context_tokens(
    model: OllamaModel,
    options: OllamaOptions,
    environment: OllamaEnvironment,
    host: OllamaHost,
    version: Version = CURRENT,
) -> int:
    """Context of one sequence, at most what the model was trained with."""
    reserved = environment.gpu_overhead_bytes * host.n_gpus
    tokens = options.num_ctx or environment.context_length
    if not tokens:
        tokens = default_context_tokens(version, host.gpu_memory_bytes - reserved)
    tokens = max(tokens, LEAST_CONTEXT_WITH_IMAGES if model.reads_images else LEAST_CONTEXT_TOKENS)
    return tokens if model.context_tokens is None else min(tokens, model.context_tokens)


def automatic_batch(all_tokens: int, model: OllamaModel, host: OllamaHost, *, flash_attention: bool) -> int:
    """num_batch when nobody sets it: larger for long contexts, while the model leaves room for it.

    server/sched.go, automaticGenerationBatch; its guess of the model is the file and an f16 cache. `all_tokens` is
    the context of all sequences together.
    """
    if not flash_attention:
        return PLAIN_BATCH
    guess = None
    if model.file_bytes is not None and model.f16_cache_bytes_per_token is not None:
        guess = model.file_bytes + model.f16_cache_bytes_per_token * all_tokens
    free = host.gpu_free_bytes
    for above, batch, most, extra in _BATCHES:
        if all_tokens <= above:
            continue
        if guess is None or not free:
            return batch
        if guess <= most * free and guess + extra <= _MOST_FOR_LARGE_BATCHES * free:
            return batch
    return PLAIN_BATCH


def llama_cpp_flags(
    model: OllamaModel,
    options: OllamaOptions,
    environment: OllamaEnvironment,
    host: OllamaHost,
    version: Version = CURRENT,
) -> LlamaCppFlags:
    """The llama.cpp settings of a model: llama-server's arguments since 0.30.0, the old runner's before.

    Context and sequences are multiplied, and every sequence has a cache of its own (-c num_ctx · n, -np n).
    """
    n = sequences(model, environment, version)
    tokens = context_tokens(model, options, environment, host, version)
    flash = environment.flash_attention
    if flash is None:
        flash = host.supports_flash_attention and version >= FIRST_WITH_LLAMA_SERVER
    modern = version >= FIRST_WITH_LLAMA_SERVER
    batch = options.num_batch
    if batch is None:
        batch = automatic_batch(tokens * n, model, host, flash_attention=flash) if modern else PLAIN_BATCH
    kv_type = (environment.kv_cache_type or "f16").upper()
    if not flash and kv_type not in ("F16", "F32", "BF16"):
        kv_type = "F16"  # it warns, and leaves the type out
    return LlamaCppFlags(
        n_context_tokens=tokens * n,
        n_sequences=n,
        unified_cache=False,
        n_batch=batch if modern else batch * n,  # the old runner: llama.NewContextParams
        n_ubatch=batch,
        k_type=kv_type,
        v_type=kv_type,
        flash_attention=flash,
        mmap=options.use_mmap is not False,
        build=llama_cpp_build(version) if modern else None,
    )


def fit_margin_bytes(projector_bytes: int | None = None) -> int:
    """What has to stay free on every GPU when llama-server fits the layers itself.

    A projector that goes to the GPU is added with a GiB of headroom, because --fit does not see it.
    """
    if not projector_bytes:
        return FIT_MARGIN_BYTES
    return -(-(projector_bytes + PROJECTOR_HEADROOM_BYTES) // MIB) * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSize:
    """`size` and `size_vram` of /api/ps."""

    size_bytes: int
    vram_bytes: int


def reported_size(gpu_buffer_bytes: int, host_buffer_bytes: int, *, everything_on_gpu: bool) -> ReportedSize:
    """What `ollama ps` shows: the sums of llama-server's lines "buffer size" (llm/llama_server.go, MemorySize).

    A model whose layers all lie on GPUs counts as 100 % GPU: what is in main memory is left out of its size.
    """
    size = gpu_buffer_bytes if everything_on_gpu else gpu_buffer_bytes + host_buffer_bytes
    return ReportedSize(size_bytes=size, vram_bytes=gpu_buffer_bytes)

"""What Ollama starts for a model: llama-server's settings, on which GPUs, and who decides about the layers.

llm/llama_server.go (startLlamaServer) and server/sched.go (load) of v0.30.0 to v0.33.0-rc2; before, its own runner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hardware.units import GB, GIB, MIB
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.ollama.gpu_choice import GpuChoice, OllamaGpu, choose_gpus
from planner.engines.ollama.settings import (
    OllamaEnvironment,
    OllamaHost,
    OllamaModel,
    OllamaOptions,
    context_tokens,
    sequences,
)
from planner.engines.ollama.versions import CURRENT, FIRST_WITH_LLAMA_SERVER, Version, llama_cpp_build
from planner.errors import MissingFactError

_FLOATS = ("F16", "F32", "BF16")
# server/sched.go, automaticGenerationBatch: (context above which, batch, share of free memory that the model may
# take, memory set aside for it).
_PLAIN_BATCH = 512
_BATCHES = ((32_768, 2048, 0.60, 2 * GIB), (4096, 1024, 0.75, 768 * MIB))
_MOST_FOR_LARGE_BATCHES = 0.80
_SMALL_CUDA_BYTES = 8 * GIB
_SMALL_CUDA_BATCH = 256
# disableMmapForHostPressure: what has to stay free in main memory beside the file.
_LEAST_HEADROOM_BYTES = 8 * GB
_HEADROOM_FRACTION = 0.1
_FITS_FRACTION = 0.80


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """llama-server's settings, the GPUs that it sees, and the layers on them where Ollama says (else --fit does)."""

    flags: LlamaCppFlags
    choice: GpuChoice
    num_gpu: int | None = None


def launch(
    model: OllamaModel,
    options: OllamaOptions,
    environment: OllamaEnvironment,
    host: OllamaHost,
    version: Version = CURRENT,
) -> Launch:
    """What Ollama starts for a model.

    Context and sequences are multiplied, and every sequence has a cache of its own (-c num_ctx · n, -np n). Raises
    MissingFactError for a combination that llama-server refuses.
    """
    n = sequences(model, environment, version)
    tokens = context_tokens(model, options, environment, host, version)
    guess = model.guess_bytes(tokens * n)
    choice = choose_gpus(
        host.gpus, guess, num_gpu=options.num_gpu, main_gpu=options.main_gpu, spread=environment.spread
    )
    gpus = [host.gpus[index] for index in choice.indices]
    modern = version >= FIRST_WITH_LLAMA_SERVER
    flash = environment.flash_attention
    if flash is None:
        flash = modern and all(gpu.supports_flash_attention for gpu in gpus)
    batch = options.num_batch
    if batch is None:
        batch = automatic_batch(tokens * n, guess, gpus, flash_attention=flash) if modern else _PLAIN_BATCH
    build = llama_cpp_build(version) if modern else None
    kv_type = _kv_type(environment, flash_attention=flash, modern=modern)
    flags = LlamaCppFlags(
        n_context_tokens=tokens * n,
        n_sequences=n,
        unified_cache=False,
        n_batch=batch if modern else batch * n,  # the old runner: llama.NewContextParams
        n_ubatch=batch,
        n_outputs=n if modern else None,  # llama-server's limit, in builds that have one
        k_type=kv_type,
        v_type=kv_type,
        flash_attention=flash,
        mmap=_maps_file(model, options, host, gpus, guess),
        build=build,
    )
    return Launch(flags=flags, choice=choice, num_gpu=options.num_gpu)


def _kv_type(environment: OllamaEnvironment, *, flash_attention: bool, modern: bool) -> str:
    kv_type = (environment.kv_cache_type or "f16").upper()
    if flash_attention or kv_type in _FLOATS:
        return kv_type
    if modern:
        raise MissingFactError(
            f"Ollama passes OLLAMA_KV_CACHE_TYPE={kv_type.lower()} on although flash attention is off here, and "
            "llama-server then refuses to start; leave the cache in f16"
        )
    return "F16"  # it warned, and left the type out


def automatic_batch(
    all_tokens: int, guess_bytes: int | None, gpus: Sequence[OllamaGpu], *, flash_attention: bool
) -> int:
    """num_batch when nobody sets it: larger for long contexts, while the model leaves room for it.

    `all_tokens` is the context of all sequences together, `guess_bytes` what Ollama supposes that the model takes.
    """
    cuda = [gpu for gpu in gpus if gpu.library == "cuda"]
    if not flash_attention and cuda:
        is_small = any(min(gpu.memory_bytes, gpu.free_bytes) <= _SMALL_CUDA_BYTES for gpu in cuda)
        return _SMALL_CUDA_BATCH if is_small and all_tokens > _BATCHES[-1][0] else _PLAIN_BATCH
    free = sum(gpu.free_bytes for gpu in gpus)
    for above, batch, most, extra in _BATCHES:
        if all_tokens <= above:
            continue
        if not guess_bytes or not free:
            return batch
        if guess_bytes <= most * free and guess_bytes + extra <= _MOST_FOR_LARGE_BATCHES * free:
            return batch
    return _PLAIN_BATCH


def _maps_file(
    model: OllamaModel, options: OllamaOptions, host: OllamaHost, gpus: Sequence[OllamaGpu], guess: int | None
) -> bool:
    """Whether weights in main memory are the mapped file (disableMmapDefaultReason, disableMmapForHostPressure)."""
    if any(gpu.is_integrated and gpu.library in ("cuda", "rocm") for gpu in gpus) and host.os == "linux":
        return False  # --load-mode dio
    if options.use_mmap is not None:
        return options.use_mmap
    if options.num_gpu == 0 or not gpus:
        return False
    libraries = {gpu.library for gpu in gpus}
    if host.os == "windows" and "cuda" in libraries:
        return False
    free = sum(gpu.free_bytes for gpu in gpus)
    if "metal" in libraries:
        given = options.num_gpu
        is_part = given is not None and model.n_layers is not None and given <= model.n_layers
        return not (is_part or (given is None and guess is not None and guess > free))
    if host.os != "linux" or any(gpu.is_integrated for gpu in gpus):
        return True
    if model.file_bytes is None or host.ram_free_bytes is None or not guess or guess > _FITS_FRACTION * free:
        return True
    headroom = max(_LEAST_HEADROOM_BYTES, round(_HEADROOM_FRACTION * (host.ram_bytes or 0)))
    return host.ram_free_bytes >= model.file_bytes + headroom

"""Which GPUs Ollama gives a model: one that holds it with room to spare, or all of one backend."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# server/sched.go: a model is given to one GPU when its guess is at most so much of what is free there.
SINGLE_GPU_FRACTION = 0.80


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaGpu:
    """A GPU as Ollama sees it."""

    memory_bytes: int
    free_bytes: int
    library: str = "cuda"  # the backend: cuda, rocm, vulkan, metal
    is_integrated: bool = False  # shares main memory with the processor
    supports_flash_attention: bool = (
        True  # CUDA from compute capability 6.0 except 7.2; all of the other backends
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuChoice:
    """Indices of the GPUs that llama-server gets to see, and whether it is told to use one alone."""

    indices: tuple[int, ...]
    is_single: bool = False


def choose_gpus(
    gpus: Sequence[OllamaGpu],
    guess_bytes: int | None,
    *,
    num_gpu: int | None = None,
    main_gpu: int | None = None,
    spread: bool = False,
) -> GpuChoice:
    """server/sched.go, selectLlamaServerPlacement (0.30.0 and later).

    `guess_bytes` is what Ollama supposes that the model takes (its file and a cache in f16), None when unknown;
    `spread` is OLLAMA_SCHED_SPREAD. Backends are never mixed. Free memory of integrated GPUs is taken as given.
    """
    everything = tuple(range(len(gpus)))
    if len(gpus) <= 1 or num_gpu == 0:
        # main_gpu is passed through; on one GPU it changes nothing.
        return GpuChoice(indices=everything, is_single=main_gpu is not None and len(gpus) == 1)
    groups: dict[str, list[int]] = {}
    for index, gpu in enumerate(gpus):
        groups.setdefault(gpu.library, []).append(index)
    if main_gpu is not None:
        offered = [group[main_gpu] for group in groups.values() if main_gpu < len(group)]
        if offered:
            return GpuChoice(indices=(_best(offered, gpus),), is_single=True)
    elif not spread and guess_bytes:
        roomy = [i for i in everything if guess_bytes <= SINGLE_GPU_FRACTION * gpus[i].free_bytes]
        if roomy:
            return GpuChoice(indices=(_best(roomy, gpus),), is_single=True)

    def worth(group: Iterable[int]) -> tuple[bool, int]:
        members = [gpus[i] for i in group]
        return any(not gpu.is_integrated for gpu in members), sum(gpu.free_bytes for gpu in members)

    return GpuChoice(indices=tuple(max(groups.values(), key=worth)))


def _best(indices: Iterable[int], gpus: Sequence[OllamaGpu]) -> int:
    """The first of those with most free memory, integrated ones last."""
    return max(indices, key=lambda i: (not gpus[i].is_integrated, gpus[i].free_bytes))

"""What `ollama ps` and /api/ps show of a model that is loaded."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSize:
    """`size` and `size_vram` of /api/ps."""

    size_bytes: int
    vram_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffers:
    """Sizes of llama-server's lines "buffer size", summed over devices of a kind."""

    gpu_weight_bytes: int = 0
    gpu_other_bytes: int = 0  # cache, state and compute
    mapped_bytes: int = 0  # the stretch of the mapped file in main memory (CPU_Mapped)
    host_other_bytes: int = 0  # copied and rearranged weights, cache, compute, output


def reported_size(buffers: Buffers, *, everything_on_gpu: bool, file_bytes: int | None) -> ReportedSize:
    """llm/llama_server.go, MemorySize.

    A model whose layers all lie on GPUs counts as 100 % GPU: what is in main memory is left out of its size. A
    mapped file whose weights have copies on a GPU counts once (since 0.31.0); without a file's size nothing is
    taken off.
    """
    vram = buffers.gpu_weight_bytes + buffers.gpu_other_bytes
    if everything_on_gpu:
        return ReportedSize(size_bytes=vram, vram_bytes=vram)
    mapped = buffers.mapped_bytes
    if mapped and file_bytes is not None:
        twice = buffers.gpu_weight_bytes + mapped - file_bytes
        mapped -= min(mapped, max(0, twice))
    return ReportedSize(size_bytes=vram + mapped + buffers.host_other_bytes, vram_bytes=vram)

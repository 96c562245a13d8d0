"""How llama.cpp's backends differ where memory is concerned; one record for each.

Read from ggml/src of the llama.cpp in llama-cpp-python 0.3.36. A rule that depends on the hardware's model
takes the value of current hardware and says so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hardware.units import GIB
from planner.bench.pretended import cuda, metal, vulkan
from planner.bench.pretended.tensors import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRules:
    """What a backend tells the engine about its memory and about what it can compute."""

    device_prefix: str  # buffers and devices are called "CUDA0", "CUDA1", …
    registry_name: str
    host_buffer: str | None  # pinned system memory for weights and for exchange with the GPU
    alignment_bytes: int
    alloc_bytes: Callable[[Node], int]
    supports: Callable[[Node], bool]
    offload_rows: Callable[[Node], int]
    offload_batch: int = 32  # op_offload_min_batch_size: prompts of this size are computed with RAM's weights
    asynchronous: bool = True
    events: bool = True
    buffer_from_host_ptr: bool = False
    mmap_when_integrated: bool = False
    max_buffer_bytes: int | None = None


def _rows(node: Node) -> int:
    """Tokens that an operation works on: get_op_batch_size of ggml-cuda.cu and ggml-vulkan.cpp."""
    op = node.op
    if op == "GET_ROWS":
        return 0
    if op == "MUL_MAT":
        return int(node.ne[1])
    if op in ("MUL_MAT_ID", "ROPE", "ROPE_BACK"):
        return int(node.ne[2])
    return node.n_rows


def _matrix_rows(node: Node) -> int:
    """The same of ggml-metal.cpp, which takes matrix products only."""
    return _rows(node) if node.op in ("MUL_MAT", "MUL_MAT_ID") else 0


RULES: Mapping[str, BackendRules] = {
    "CUDA": BackendRules(
        device_prefix="CUDA",
        registry_name="CUDA",
        host_buffer="CUDA_Host",
        alignment_bytes=128,
        alloc_bytes=cuda.alloc_bytes,
        supports=cuda.supports,
        offload_rows=_rows,
    ),
    # The same source as CUDA, compiled by hipcc (ggml-hip). Events are there too: GGML_CUDA_NO_PEER_COPY is off.
    "ROCm": BackendRules(
        device_prefix="ROCm",
        registry_name="ROCm",
        host_buffer="ROCm_Host",
        alignment_bytes=128,
        alloc_bytes=cuda.alloc_bytes,
        supports=cuda.supports,
        offload_rows=_rows,
    ),
    # Alignment is the device's minStorageBufferOffsetAlignment: 16 on current NVIDIA and AMD drivers, up to 256
    # elsewhere; sizes change by a few bytes a tensor. Blocks are 1 GiB by default, tensors are never cut.
    "Vulkan": BackendRules(
        device_prefix="Vulkan",
        registry_name="Vulkan",
        host_buffer="Vulkan_Host",
        alignment_bytes=16,
        alloc_bytes=vulkan.alloc_bytes,
        supports=vulkan.supports,
        offload_rows=_rows,
        max_buffer_bytes=GIB,
    ),
    "Metal": BackendRules(
        device_prefix="MTL",
        registry_name="MTL",
        host_buffer=None,
        alignment_bytes=32,
        alloc_bytes=metal.alloc_bytes,
        supports=metal.supports,
        offload_rows=_matrix_rows,
        buffer_from_host_ptr=True,
        mmap_when_integrated=True,
    ),
}

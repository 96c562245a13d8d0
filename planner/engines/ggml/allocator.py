"""How much a graph's results take at once on each device: ggml's graph allocator, replayed.

ggml-alloc.c (of ik_llama.cpp 8337e4cd, 2026-08; the same since ggml_gallocr exists in the fork): best fit among
the free blocks, the last block as a resort, results written over a source where the operation allows it,
sources freed after their last use. The high-water mark of each device is its compute buffer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from planner.engines.ggml.tensor import Tensor
from planner.model.ggml_types import type_by_name

# ggml_op_can_inplace in ggml-alloc.c.
IN_PLACE_OPS = frozenset(
    ("SCALE", "DIAG_MASK_ZERO", "DIAG_MASK_INF", "ADD", "ADD1", "SUB", "MUL", "DIV", "SQR", "SQRT", "LOG",
     "UNARY", "ROPE", "RMS_NORM", "SOFT_MAX")
)  # fmt: skip
GPU_ALIGNMENT = 128  # ggml_backend_cuda_buffer_type_get_alignment
HOST_ALIGNMENT = 32  # TENSOR_ALIGNMENT
GPU_ROW_PADDING = 512  # MATRIX_ROW_PADDING in ggml-cuda/common.cuh
_WHOLE = 1 << 62


def gpu_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor in a CUDA buffer: rows of quantized blocks end on a multiple of 512 elements."""
    size = tensor.n_bytes
    ggml_type = type_by_name(tensor.type_name)
    rest = tensor.ne[0] % GPU_ROW_PADDING
    if ggml_type.block_elements > 1 and rest:
        size += ggml_type.row_bytes(GPU_ROW_PADDING - rest)
    return size


@dataclass(frozen=True, slots=True)
class AllocatorRules:
    """What differs between versions: what may be written over a source, and what GPUs add to a result."""

    in_place: frozenset[str] = IN_PLACE_OPS
    over_views: bool = True  # whether a result may lie over a view's data
    gpu_bytes: Callable[[Tensor], int] = gpu_bytes


class Blocks:
    """One device's free space, ggml_dyn_tallocr: blocks in order of address, and the highest byte ever used."""

    def __init__(self, alignment: int) -> None:
        self.alignment = alignment
        self.free = [[0, _WHOLE]]
        self.peak = 0

    def take(self, size: int) -> int:
        """Takes the tightest free block that fits, else the end; returns the offset."""
        size = self._aligned(size)
        best = -1
        best_size = _WHOLE
        for i, (_, free) in enumerate(self.free[:-1]):
            if size <= free <= best_size:
                best, best_size = i, free
        if best < 0:
            best = len(self.free) - 1
        block = self.free[best]
        offset = block[0]
        block[0] += size
        block[1] -= size
        if block[1] == 0:
            del self.free[best]
        self.peak = max(self.peak, offset + size)
        return offset

    def give(self, offset: int, size: int) -> None:
        """Gives a block back and joins it with its neighbours."""
        size = self._aligned(size)
        free = self.free
        for i, block in enumerate(free):
            if block[0] + block[1] == offset:
                block[1] += size
                if i + 1 < len(free) and block[0] + block[1] == free[i + 1][0]:
                    block[1] += free.pop(i + 1)[1]
                return
            if offset + size == block[0]:
                block[0] = offset
                block[1] += size
                if i and free[i - 1][0] + free[i - 1][1] == offset:
                    free[i - 1][1] += free.pop(i)[1]
                return
        at = 0
        while at < len(free) and free[at][0] < offset:
            at += 1
        free.insert(at, [offset, size])

    def _aligned(self, size: int) -> int:
        return -(-size // self.alignment) * self.alignment


class _Use:
    __slots__ = ("allocated", "children", "device", "offset", "size", "views")

    def __init__(self) -> None:
        self.children = 0
        self.views = 0
        self.device = 0
        self.offset = 0
        self.size = 0
        self.allocated = False


def _use(tensor: Tensor) -> _Use:
    found: _Use | None = tensor.use
    if found is None:
        found = tensor.use = _Use()
    return found


class _Replay:
    def __init__(self, n_devices: int, host: int, rules: AllocatorRules) -> None:
        self.host = host
        self.rules = rules
        self.blocks = [Blocks(HOST_ALIGNMENT if i == host else GPU_ALIGNMENT) for i in range(n_devices)]

    def size(self, tensor: Tensor, device: int) -> int:
        return tensor.n_bytes if device == self.host else self.rules.gpu_bytes(tensor)

    def allocate(self, tensor: Tensor, device: int) -> None:
        if tensor.home is not None or tensor.root is not None:
            return
        use = _use(tensor)
        if use.allocated:
            return
        use.allocated = True
        if tensor.op in self.rules.in_place and self._over_a_source(tensor, use):
            return
        use.device = device
        use.size = self.size(tensor, device)
        use.offset = self.blocks[device].take(use.size)

    def _over_a_source(self, tensor: Tensor, use: _Use) -> bool:
        for source in tensor.src:
            source_use = _use(source)
            root = source.root
            if root is not None and not self.rules.over_views:
                continue
            owned = source_use.allocated if root is None else _use(root).allocated
            if not owned or source.is_output or (root is not None and root.is_output):
                continue
            if not tensor.same_layout(source) or source_use.children != 1 or source_use.views:
                continue
            if root is None:
                owner = source_use
            else:
                owner = _use(root)
                if owner.views != 1 or owner.children:
                    continue
            use.device, use.offset, use.size = owner.device, owner.offset, owner.size
            source_use.allocated = owner.allocated = False
            return True
        return False

    def release(self, tensor: Tensor) -> None:
        if tensor.is_output:
            return
        use = _use(tensor)
        self.blocks[use.device].give(use.offset, use.size)
        use.allocated = False

    def done_with(self, source: Tensor) -> None:
        use = _use(source)
        use.children -= 1
        if use.children or use.views:
            return
        if source.root is not None:
            root = _use(source.root)
            root.views -= 1
            if not root.views and not root.children and root.allocated:
                self.release(source.root)
        elif use.allocated:
            self.release(source)


def peak_bytes(
    nodes: Sequence[tuple[Tensor, int]],
    leaves: Sequence[tuple[Tensor, int]],
    n_devices: int,
    host: int,
    rules: AllocatorRules | None = None,
) -> tuple[int, ...]:
    """The compute buffer of each device for nodes and leaves with the devices they run on."""
    replay = _Replay(n_devices, host, rules or AllocatorRules())
    for leaf, device in leaves:
        replay.allocate(leaf, device)
    for node, device in nodes:
        if node.root is not None and node.op != "NONE":
            _use(node.root).views += 1
        if node.is_input:
            replay.allocate(node, device)
        for source in node.src:
            _use(source).children += 1
            if source.is_input:
                replay.allocate(source, device)
    for node, device in nodes:
        for source in node.src:
            replay.allocate(source, device)
        replay.allocate(node, device)
        for source in node.src:
            replay.done_with(source)
    return tuple(blocks.peak for blocks in replay.blocks)

"""Metal: what it computes and how much a tensor takes (ggml-metal.cpp, ggml-metal-ops.cpp)."""

from planner.bench.pretended import cuda
from planner.bench.pretended.tensors import Node


def alloc_bytes(node: Node) -> int:
    """Bytes for a tensor: its data and what some operations put beside their result."""
    return node.n_bytes


def supports(node: Node) -> bool:
    """What CUDA computes, too."""
    return cuda.supports(node)

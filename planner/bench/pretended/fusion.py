"""Memory that a GPU keeps for longer than the graph asks, because it computes several steps as one.

The experts' results and their weights stay until they have been summed: ggml_cuda_match_moe_weighted_reduction
in ggml-cuda.cu, the same in ggml-metal-fusion.cpp and ggml-vulkan.cpp of the llama.cpp in llama-cpp-python
0.3.36. What CUDA keeps of the routing itself (a few MiB) is left out.
"""

from collections.abc import Iterator, Sequence

from planner.bench.pretended.tensors import Node

_MOST_EXPERTS = 15  # MOE_WEIGHTED_REDUCTION_MAX_EXPERTS


def kept_tensors(nodes: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """Pairs of a tensor's address and that of the result until which it is kept."""
    index = 0
    while index < len(nodes):
        found = _weighted_sum(nodes, index) if nodes[index].op == "MUL" else None
        if found is None:
            index += 1
            continue
        inputs, last = found
        for address in inputs:
            yield address, nodes[last].address
        index = last + 1


def _weighted_sum(nodes: Sequence[Node], start: int) -> tuple[list[int], int] | None:
    """The inputs of a weighted sum of experts that begins here, and the index of its last addition."""
    first = nodes[start]
    product, n_products = first, 1
    inputs = _factors(first)
    if inputs is None:
        return None
    if start + 1 < len(nodes) and nodes[start + 1].op == "MUL":  # scaled before it is weighted
        outer = _factors(nodes[start + 1])
        if outer is not None and outer[0] == first.address:
            inputs, product, n_products = [*inputs, outer[1]], nodes[start + 1], 2
    n_experts = product.ne[1]
    n_steps = 2 * n_experts - 1  # a view of each expert, and additions between them
    last = start + n_products + n_steps - 1
    if not 2 <= n_experts <= _MOST_EXPERTS or last >= len(nodes):
        return None
    ops = [node.op for node in nodes[start + n_products : last + 1]]
    if ops.count("VIEW") != n_experts or ops.count("ADD") != n_experts - 1 or ops[-1] != "ADD":
        return None
    return inputs, last


def _factors(node: Node) -> list[int] | None:
    """The tensor of a value for each expert and element, and that of one for each expert; None for other products."""
    if node.type != "f32":
        return None
    left, right = node.source(0), node.source(1)
    assert left is not None
    assert right is not None
    for full, broadcast in ((left, right), (right, left)):
        if tuple(full.ne) == tuple(node.ne) and tuple(broadcast.ne) == (1, *node.ne[1:]) and node.ne[0] > 1:
            return [full.address, broadcast.address]
    return None

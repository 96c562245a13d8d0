"""On which device each operation runs and what is copied between them: ggml's scheduler, replayed.

ggml-backend.cpp, ggml_backend_sched_split_graph (of ik_llama.cpp 8337e4cd, 2026-08): operations run where their
weights lie, unless a GPU wants to take them for a large batch; the rest follows its neighbours, GPUs first;
every source from elsewhere is copied once to each device that needs it.
"""

from collections.abc import Callable

from planner.engines.ggml.allocator import AllocatorRules, peak_bytes
from planner.engines.ggml.tensor import VIEW_OPS, Graph, Tensor

Supports = Callable[[int, Tensor], bool]
Offloads = Callable[[Tensor], bool]


class _Split:
    __slots__ = ("device", "end", "inputs", "start")

    def __init__(self, device: int, start: int) -> None:
        self.device = device
        self.start = start
        self.end = start
        self.inputs: list[Tensor] = []


def compute_buffers(
    graph: Graph,
    n_gpus: int,
    *,
    supports: Supports,
    offloads: Offloads,
    n_copies: int = 1,
    rules: AllocatorRules | None = None,
) -> tuple[int, ...]:
    """Bytes of the compute buffer of each GPU and, last, of the host, for one graph.

    `supports(device, node)` says whether a GPU has the operation, `offloads(node)` whether GPUs want it although
    its weights lie in RAM; the host is device `n_gpus`. Consumes the graph.
    """
    _assign(graph, n_gpus, supports, offloads)
    return _split(graph, n_gpus, n_copies, rules)


def _assign(graph: Graph, host: int, supports: Supports, offloads: Offloads) -> None:
    for tensor in (*graph.leaves, *graph.nodes):
        if tensor.backend is None:
            tensor.backend = _own_place(tensor, host, supports, offloads)
    work = [node for node in graph.nodes if node.op not in VIEW_OPS]
    for only_gpus in (True, False):
        for order in (work, work[::-1]):
            current: int | None = None
            for node in order:
                if node.backend is not None:
                    current = None if only_gpus and node.backend == host else node.backend
                elif current is not None and (current == host or supports(current, node)):
                    node.backend = current
    for node in work:
        if node.backend is None:
            node.backend = host
    for node in graph.nodes:
        if node.backend is None and node.root is not None:
            node.backend = node.root.backend
        for source in node.src:
            if source.backend is None:
                source.backend = source.root.backend if source.root is not None else node.backend
                if source.backend is None:
                    source.backend = node.backend


def _own_place(tensor: Tensor, host: int, supports: Supports, offloads: Offloads) -> int | None:
    for holder in (tensor, tensor.root):
        if holder is not None and holder.home is not None:
            if holder.home == host or supports(holder.home, tensor):
                return holder.home
            return None
    if tensor.is_input:
        return host
    for source in tensor.src:
        if source.is_weight and source.home is not None:
            if source.home == host and host and offloads(tensor):
                for gpu in range(host):
                    if supports(gpu, tensor):
                        return gpu
            return source.home if source.home == host or supports(source.home, tensor) else None
    return None


def _split(graph: Graph, host: int, n_copies: int, rules: AllocatorRules | None) -> tuple[int, ...]:
    first = next((node.backend for node in graph.nodes if node.op not in VIEW_OPS), host)
    splits = [_Split(first if first is not None else host, 0)]
    copies: dict[tuple[int, int], Tensor] = {}
    extra: list[tuple[Tensor, int]] = []
    for i, node in enumerate(graph.nodes):
        if node.op in VIEW_OPS:
            continue
        split = splits[-1]
        device = node.backend if node.backend is not None else host
        if device != split.device or (split.inputs and _brings_weights(node, device)):
            split.end = i
            split = _Split(device, i)
            splits.append(split)
        for j, source in enumerate(node.src):
            if source.backend == device or source.backend is None:
                continue
            key = (id(source), device)
            if key not in copies:
                copies[key] = _copy(source, device)
                split.inputs.append(source)
                if n_copies > 1:
                    copies[key].is_input = copies[key].is_output = True
                    extra += [(copies[key], device)] + [(c, device) for c in _spare_copies(source, n_copies)]
            node.src[j] = copies[key]
    splits[-1].end = len(graph.nodes)
    nodes: list[tuple[Tensor, int]] = []
    for split in splits:
        for source in split.inputs:
            keeps = Tensor("NONE", source.type_name, source.ne, (source,), root=source.root or source)
            nodes.append((keeps, source.backend if source.backend is not None else host))
            nodes.append((copies[id(source), split.device], split.device))
        nodes += [
            (n, n.backend if n.backend is not None else host) for n in graph.nodes[split.start : split.end]
        ]
    leaves: list[tuple[Tensor, int]] = []
    if n_copies > 1:
        for leaf in graph.leaves:
            if leaf.is_input:  # also those that nothing reads, such as embeddings of a batch of tokens
                leaf.is_output = True
                leaves += [(leaf, host)] + [(spare, host) for spare in _spare_copies(leaf, n_copies)]
    leaves += extra
    leaves += [(leaf, leaf.backend if leaf.backend is not None else host) for leaf in graph.leaves]
    return peak_bytes(nodes, leaves, host + 1, host, rules)


def _brings_weights(node: Tensor, device: int) -> bool:
    """Whether a source is a weight from elsewhere: a new split lets earlier copies be overwritten."""
    return any(
        source.is_weight and source.home is not None and source.backend != device for source in node.src
    )


def _copy(source: Tensor, device: int) -> Tensor:
    made = Tensor("NONE", source.type_name, source.ne, name=f"{source.name}#{device}")
    made.backend = device
    return made


def _spare_copies(source: Tensor, n_copies: int) -> list[Tensor]:
    spares = [_copy(source, -1) for _ in range(n_copies - 1)]
    for spare in spares:
        spare.is_output = True
    return spares

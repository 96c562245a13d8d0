"""The replayed allocator and scheduler, on graphs small enough to do by hand."""

import pytest

from planner.engines.ggml.allocator import Blocks, gpu_bytes, peak_bytes
from planner.engines.ggml.scheduler import compute_buffers
from planner.engines.ggml.tensor import (
    Graph,
    Tensor,
    cache,
    graph_input,
    like,
    mul_mat,
    permute,
    view,
    weight,
)

KIB = 1024


def _everything(device: int, node: Tensor) -> bool:
    del device, node
    return True


def _nothing(node: Tensor) -> bool:
    del node
    return False


def test_the_tightest_free_block_is_taken_and_neighbours_join() -> None:
    blocks = Blocks(alignment=1)
    offsets = [blocks.take(size) for size in (100, 50, 10, 70)]
    assert offsets == [0, 100, 150, 160]
    blocks.give(0, 100)
    blocks.give(150, 10)
    assert blocks.take(8) == 150  # the hole of 10, not the one of 100
    assert blocks.take(60) == 0
    blocks.give(100, 50)
    assert blocks.take(85) == 60  # 40 left of the first hole and the 50 beside it
    assert blocks.peak == 230


def test_sizes_are_aligned() -> None:
    blocks = Blocks(alignment=128)
    blocks.take(1)
    assert blocks.take(1) == 128


@pytest.mark.parametrize(
    ("type_name", "n", "expected"),
    # 576 values of q8_0 are 18 blocks of 34 bytes; the row is filled up to 1024 values, 14 blocks more.
    [("F16", 576, 1152), ("Q8_0", 576, 18 * 34 + 14 * 34), ("Q8_0", 1024, 32 * 34)],
)
def test_gpus_pad_the_last_quantized_row(type_name: str, n: int, expected: int) -> None:
    assert gpu_bytes(Tensor("NONE", type_name, (n,))) == expected


def _peak(graph: Graph) -> int:
    return compute_buffers(graph, 1, supports=_everything, offloads=_nothing)[0]


def _start(n: int) -> Tensor:
    matrix = weight("w", "F32", (n, n), home=0)
    return mul_mat(matrix, mul_mat(matrix, cache("x", "F32", (n, 1), home=0)))


def test_a_result_lies_over_its_source_only_where_the_operation_allows() -> None:
    graph = Graph()
    graph.expand(like("ADD", _start(256), weight("b", "F32", (256,), 0)))
    assert _peak(graph) == 2 * KIB  # two products; the sum lies over the second
    graph = Graph()
    graph.expand(like("SOFTCAP", _start(256)))
    assert _peak(graph) == 2 * KIB  # over the place of the first product, which nobody needs any more
    graph = Graph()
    start = _start(256)
    graph.expand(mul_mat(weight("w2", "F32", (256, 256), 0), like("SOFTCAP", start)))
    graph.expand(like("ADD", start, start))
    assert _peak(graph) == 3 * KIB  # the second product is kept for the sum


def test_a_view_keeps_what_it_looks_into() -> None:
    graph = Graph()
    start = _start(256)
    part = view(start, (128,), contiguous=True)
    graph.expand(like("SOFTCAP", start))
    graph.expand(like("SOFTCAP", part))
    # start, its capped copy, then half a row for the capped part: 1 + 1 + 0.5; the first product is gone.
    assert _peak(graph) == 2560


def test_weights_in_main_memory_run_there_and_their_inputs_are_copied() -> None:
    graph = Graph()
    x = mul_mat(weight("a", "F32", (256, 256), 0), cache("x", "F32", (256, 1), home=0))
    y = mul_mat(weight("b", "F32", (256, 512), 1), x)
    graph.expand(mul_mat(weight("c", "F32", (512, 256), 0), y))
    gpu, host = compute_buffers(graph, 1, supports=_everything, offloads=_nothing)
    assert host == KIB + 2 * KIB  # the copy of x, and y
    assert gpu == 2 * KIB + KIB  # x ends with its copy; then the copy of y and the last product


def test_a_gpu_that_takes_the_batch_copies_the_weights() -> None:
    graph = Graph()
    x = mul_mat(weight("a", "F32", (256, 256), 0), cache("x", "F32", (256, 1), home=0))
    graph.expand(mul_mat(weight("b", "F32", (256, 512), 1), x))
    gpu, host = compute_buffers(graph, 1, supports=_everything, offloads=lambda node: node.op == "MUL_MAT")
    assert host == 0
    assert gpu == KIB + 256 * 512 * 4 + 2 * KIB


def test_pipeline_copies_are_kept_for_good() -> None:
    def build() -> Graph:
        graph = Graph()
        x = mul_mat(weight("a", "F32", (256, 256), 0), graph_input("x", "F32", (256, 1)))
        graph.expand(mul_mat(weight("b", "F32", (256, 256), 1), x))
        return graph

    once = compute_buffers(build(), 2, supports=_everything, offloads=_nothing, n_copies=1)
    four = compute_buffers(build(), 2, supports=_everything, offloads=_nothing, n_copies=4)
    # The input on the host and its copy on the first GPU, and x on the second: 1 KiB each, three more of each.
    assert [after - before for before, after in zip(once, four, strict=True)] == [3 * KIB, 3 * KIB, 3 * KIB]


def test_permuted_tensors_are_not_written_over() -> None:
    graph = Graph()
    x = _start(256)
    graph.expand(like("SOFT_MAX", permute(x, 1, 0, 2, 3)))
    # The result of a view of other strides needs a place of its own: the first product's.
    assert _peak(graph) == 2 * KIB


def test_nodes_come_after_their_sources() -> None:
    graph = Graph()
    end = graph.expand(like("ADD", _start(8), _start(8)))
    seen: set[int] = set()
    for node in graph.nodes:
        assert all(source.is_leaf or id(source) in seen for source in node.src)
        seen.add(id(node))
    assert graph.nodes[-1] is end and len(graph.nodes) == 5


def test_nothing_to_do_takes_nothing() -> None:
    assert peak_bytes([], [], 2, 1) == (0, 0)

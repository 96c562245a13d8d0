"""vLLM's start-up inequality, its checks in their order, and its graphs."""

from dataclasses import replace

from hardware.units import GIB, MIB
from planner.engines.release import Release
from planner.engines.vllm.budget import Budget, other_bytes, refusal, requested_bytes
from planner.engines.vllm.graphs import capture_sizes, estimated_graph_bytes, graphs_are_reserved

BUDGET = Budget(
    total_bytes=80 * GIB,
    free_bytes=79 * GIB,
    requested_bytes=72 * GIB,
    weight_bytes=15 * GIB,
    activation_bytes=5 * GIB,
    other_bytes=GIB,
    graph_bytes=GIB,
)


def test_the_cache_gets_the_rest() -> None:
    assert BUDGET.kv_bytes == 50 * GIB
    assert requested_bytes(10, 0.91) == 10  # rounded up


def test_checks_come_in_the_engine_s_order() -> None:
    assert refusal(BUDGET, 50 * GIB, 4096, 4096) is None
    assert refusal(BUDGET, 50 * GIB + 1, 4096, 4000) == (
        "the KV cache cannot hold one request of 4,096 tokens; the longest that fits is 4,000"
    )
    heavy = replace(BUDGET, weight_bytes=70 * GIB)
    assert "no memory is left" in (refusal(heavy, 1, 4096, 0) or "")
    busy = replace(heavy, free_bytes=71 * GIB)
    assert "less memory is free" in (refusal(busy, 1, 4096, 0) or "")


def test_several_ranks_need_libraries_to_talk() -> None:
    assert other_bytes(2, Release(0, 11)) > other_bytes(1, Release(0, 11))
    assert other_bytes(1, Release(0, 6, 4)) > other_bytes(1, Release(0, 11))


def test_graphs_are_captured_up_to_twice_the_requests() -> None:
    # 1, 2, 4, 8, …, 248 (31 sizes), 256, 272, …, 512 (17 sizes).
    assert len(capture_sizes(256, 8192)) == 3 + 31 + 17
    assert capture_sizes(2, 8192) == (1, 2, 4)
    assert capture_sizes(2, 8192, n_speculative_tokens=1) == (1, 2, 4, 8)
    assert capture_sizes(1024, 8192)[-1] == 512


def test_graphs_are_set_aside_since_0_20() -> None:
    assert not graphs_are_reserved(Release(0, 19, 1))
    assert graphs_are_reserved(Release(0, 20))
    assert estimated_graph_bytes(0) == 0
    assert estimated_graph_bytes(51) == (300 + 2 * 51) * MIB

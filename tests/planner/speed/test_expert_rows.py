"""What each work group of ggml-vulkan spends on finding its expert's tokens."""

from dataclasses import replace

import pytest

from planner.speed.expert_rows import row_search_s
from planner.speed.setting import CURRENT, Setting
from planner.speed.work import ClassWeights
from tests.planner.speed.cases import GPU

CARD = replace(GPU, backend="vulkan", architecture="RDNA3", vector_flop_per_s=10e12)
# One tensor of 128 experts, 8 of them picked, of 1,024 rows by 2,048 columns.
EXPERTS = ClassWeights(
    type_class="Q4_K", is_expert=True, active_fraction=1 / 16, n_bytes=1e9, n_elements=128 * 1024 * 2048,
    n_matrices=128, n_experts=128, n_rows=128 * 1024,
)  # fmt: skip
BY_SUBGROUP, BY_GROUP, COUNTED = Setting(build=6077), Setting(build=7423), Setting(build=9187)


def test_every_tile_looks_through_all_picks() -> None:
    # 128 · 1,024 / 64 tiles down, 512 / 64 across; 4,096 picks each, one step of 2 FLOP for each.
    assert row_search_s(EXPERTS, CARD, BY_GROUP, 512) == pytest.approx(2048 * 8 * 4096 * 2 / 10e12)


def test_it_grows_with_the_square_of_the_micro_batch() -> None:
    # A Strix Halo at build 6077 took 0.28, 0.40 and 0.79 s for 128, 256 and 512 tokens of Qwen3 30B-A3B.
    taken = [row_search_s(EXPERTS, CARD, BY_SUBGROUP, n) for n in (128, 256, 512)]
    assert taken[1] == pytest.approx(4 * taken[0])
    assert taken[2] == pytest.approx(16 * taken[0])


def test_each_build_that_shared_the_search_made_it_shorter() -> None:
    # At build 5684 the same prompt took 2.9 s instead of 0.8.
    builds = [Setting(build=5684), BY_SUBGROUP, BY_GROUP, COUNTED, CURRENT]
    taken = [row_search_s(EXPERTS, CARD, setting, 512) for setting in builds]
    assert taken == sorted(taken, reverse=True)
    assert taken[0] > 10 * taken[1]
    assert taken[-1] == 0


def test_columns_cost_the_search_nothing_but_rows_do() -> None:
    wider = replace(EXPERTS, n_elements=2 * EXPERTS.n_elements)
    taller = replace(EXPERTS, n_elements=2 * EXPERTS.n_elements, n_rows=2 * EXPERTS.n_rows)
    taken = row_search_s(EXPERTS, CARD, BY_GROUP, 512)
    assert row_search_s(wider, CARD, BY_GROUP, 512) == taken
    assert row_search_s(taller, CARD, BY_GROUP, 512) == pytest.approx(2 * taken)


def test_other_backends_sort_the_tokens_first() -> None:
    assert row_search_s(EXPERTS, replace(CARD, backend="cuda"), BY_GROUP, 512) == 0
    assert row_search_s(replace(EXPERTS, is_expert=False), CARD, BY_GROUP, 512) == 0

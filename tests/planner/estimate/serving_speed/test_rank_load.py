"""What one GPU of a serving engine reads and multiplies."""

import pytest

from planner.engines.sharding import Parallel
from planner.estimate.serving_speed.rank_load import rank_load
from planner.model.formats.layout import lay_out
from planner.model.formats.plan import QuantizationPlan
from planner.readers.catalogue_lookup import catalogue_resolver

RESOLVE = catalogue_resolver()


def load(name: str, ranks: Parallel):  # type: ignore[no-untyped-def]
    opened = RESOLVE(name)
    assert opened is not None
    layout = opened.published or lay_out(opened.network, QuantizationPlan(method="none", linear=None))
    return rank_load(opened.network, layout.storage, ranks)


def test_llama_70b_over_four_gpus_by_hand() -> None:
    # 80 layers of width 8192: q and o 2 · 8192², k and v 2 · 8192 · 1024, feed-forward 3 · 8192 · 28672; a norm of
    # 8192 before each lies on every rank, and one before the head, which is 128,256 · 8192.
    one, four = load("llama-3.1-70b-instruct", Parallel()), load("llama-3.1-70b-instruct", Parallel(tensor=4))
    attention = 80 * (2 * 8192**2 + 2 * 8192 * 1024)
    norms = 80 * 8192
    assert one.parts["attention"].n_elements == attention + norms + 8192
    assert four.parts["attention"].n_elements == attention / 4 + norms + 8192
    assert four.parts["dense"].n_elements == 80 * 3 * 8192 * 28672 / 4 + norms
    assert four.parts["head"].n_elements == 128256 * 8192 / 4
    assert four.parts["dense"].n_bytes == 2 * four.parts["dense"].n_elements
    # 8 KV heads of 128 in 80 layers: 163,840 elements a token, a quarter of them on each rank.
    assert one.cache_elements(1000) == 163_840 * 1000
    assert four.cache_elements(1000) == 163_840 * 1000 / 4


def test_kv_heads_are_copied_where_there_are_more_ranks_than_heads() -> None:
    sixteen = load("llama-3.1-70b-instruct", Parallel(tensor=16))
    assert sixteen.cache_elements(1000) == 163_840 * 1000 / 8  # 8 heads, one on each rank


def test_a_latent_is_kept_whole_on_every_rank() -> None:
    # DeepSeek-R1: 61 layers keep 512 + 64 elements a token, on however many ranks.
    for ranks in (Parallel(), Parallel(tensor=8)):
        assert load("deepseek-r1", ranks).cache_elements(1000) == 61 * 576 * 1000
    eight = load("deepseek-r1", Parallel(tensor=8))
    assert eight.counts["latent"] == 61
    assert eight.counts["moe"] == 58
    assert eight.parts["experts"].unit == "fp8"
    assert eight.active_fraction == 8 / 256


def test_experts_are_shared_out_whole_or_in_slices_alike() -> None:
    # 256 experts over 8 ranks are 32 each, or an eighth of each: the same bytes.
    whole = load("deepseek-r1", Parallel(tensor=8, expert=8))
    sliced = load("deepseek-r1", Parallel(tensor=8))
    assert whole.parts["experts"].n_elements == pytest.approx(sliced.parts["experts"].n_elements)


def test_one_token_reads_its_experts_and_very_many_read_all() -> None:
    found = load("deepseek-r1", Parallel())
    assert found.read_share(1) == pytest.approx(8 / 256)
    assert found.read_share(10_000) == pytest.approx(1.0)

"""Ideal seconds of operators, worked out by hand, and physics as properties."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.model.attention import Attention
from planner.speed.batched import VECTOR_TOKENS
from planner.speed.operator_time import OperatorTime
from planner.speed.operators import (
    HOST as RAM,
)
from planner.speed.operators import (
    Layout,
    decode_operators,
    layout_on_one,
    prefill_operators,
)
from planner.speed.setting import Setting
from planner.speed.work import ClassWeights
from tests.planner.speed.cases import GPU, HOST, dense, mixture


def ideal(times: tuple[OperatorTime, ...], operator: str, device: int = 0) -> float:
    return float(sum(time.ideal_s for time in times if (time.operator, time.device) == (operator, device)))


def test_a_dense_token_reads_everything_once() -> None:
    times = decode_operators(dense(), layout_on_one(GPU, 4), 0)
    # 4 layers of 1 GB and a head of 0.2 GB at 1 TB/s.
    assert ideal(times, "read") == pytest.approx(4.2e-3)
    # Two elements a byte, 2 FLOP each, at 100 TFLOP/s.
    assert ideal(times, "unpack") == pytest.approx(4.2e9 * 2 * 2 / 100e12)
    # 9 tensors and 8 kernels beside them, in 4 layers, 1 µs each.
    assert ideal(times, "launch") == pytest.approx(68e-6)


def test_a_token_reads_the_cache_at_its_depth() -> None:
    times = decode_operators(dense(), layout_on_one(GPU, 4), 1000)
    # 1000 tokens · 2 heads · 64 elements · keys and values · 2 bytes · 4 layers at 1 TB/s.
    assert ideal(times, "cache") == pytest.approx(1000 * 2 * 64 * 2 * 2 * 4 / 1e12)


def test_heads_that_share_a_cache_read_it_again() -> None:
    times = decode_operators(dense(), layout_on_one(GPU, 4), 1000)
    # 8 heads share 2 of keys and values: each entry is read by 4 of them, by 3 once more.
    assert ideal(times, "cache_again") == pytest.approx(3 * ideal(times, "cache"))


def test_a_head_with_a_cache_of_its_own_reads_it_once() -> None:
    alone = Attention(n_heads=8, n_kv_heads=8, key_head_dim=64, value_head_dim=64)
    layers = tuple(replace(layer, mixer=alone) for layer in dense().layers)
    times = decode_operators(replace(dense(), layers=layers), layout_on_one(GPU, 4), 1000)
    assert ideal(times, "cache") == pytest.approx(1000 * 8 * 64 * 2 * 2 * 4 / 1e12)
    assert ideal(times, "cache_again") == 0


def test_a_prompt_reads_the_cache_for_every_tile_of_its_tokens() -> None:
    times = prefill_operators(dense(), layout_on_one(GPU, 4), 512, 1000)
    # Half-way 1256 tokens of 2 heads, 64 elements, keys and values, 2 bytes each, for 8 tiles of 64 tokens, 4 layers.
    assert ideal(times, "batch_cache") == pytest.approx(1256 * 2 * 64 * 2 * 2 * 8 * 4 / 1e12)


def test_experts_in_bf16_go_through_a_tile_in_vulkan_even_for_one_token() -> None:
    def in_bf16(weight: ClassWeights) -> ClassWeights:
        return replace(weight, type_class="BF16")

    layers = tuple(
        replace(layer, weights=tuple(in_bf16(weight) for weight in layer.weights))
        for layer in mixture().layers
    )
    model = replace(mixture(), layers=layers)
    vulkan = replace(GPU, backend="vulkan")
    times = decode_operators(model, layout_on_one(vulkan, 4), 0)
    # 1 expert in 16 of 4e9 elements, in 4 layers, by the 32 columns of the smallest tile.
    assert ideal(times, "tile_experts") == pytest.approx(4 * 2 * 4e9 / 16 * 32 / 100e12)
    assert ideal(decode_operators(model, layout_on_one(GPU, 4), 0), "tile_experts") == 0
    assert ideal(decode_operators(mixture(), layout_on_one(vulkan, 4), 0), "tile_experts") == 0


def test_a_token_reads_the_experts_it_picks_and_a_batch_reads_them_once() -> None:
    layout = layout_on_one(GPU, 4)
    assert ideal(decode_operators(mixture(), layout, 0), "read_experts") == pytest.approx(4 * 2e9 / 16 / 1e12)
    # Of 16 experts, 8 tokens with one uneven pick each reach 1 − (15/16) / (1 + 7/16) of them.
    batch = decode_operators(mixture(), layout, 0, 8)
    assert ideal(batch, "read_experts") == pytest.approx(4 * 2e9 * (1 - (15 / 16) / (1 + 7 / 16)) / 1e12)


def test_experts_in_ram_are_read_there_and_copied_for_a_prompt() -> None:
    layout = Layout(gpus=(GPU,), host=HOST, layers=(0,) * 4, experts=(RAM, RAM, 0, 0), head=0)
    assert layout.is_split_with_host
    decode = decode_operators(mixture(), layout, 0)
    assert ideal(decode, "read_experts", RAM) == pytest.approx(2 * 2e9 / 16 / 100e9)
    assert ideal(decode, "read_experts") == pytest.approx(2 * 2e9 / 16 / 1e12)
    prompt = prefill_operators(mixture(), layout, 512)
    # 512 tokens pick 1 − (15/16) / (1 + 511/16) of the experts; both layers' cross the link of 20 GB/s.
    reached = 1 - (15 / 16) / (1 + 511 / 16)
    assert ideal(prompt, "copy_weights") == pytest.approx(reached * 2 * 2e9 / 20e9, rel=1e-6)
    assert ideal(prompt, "multiply_experts", RAM) == 0
    # The fork multiplies them where they lie, and so does everybody for a few tokens.
    stays = prefill_operators(mixture(), layout, 512, setting=Setting(engine="ik_llama.cpp"))
    assert ideal(stays, "copy_weights") == 0
    assert ideal(stays, "multiply_experts", RAM) > 0
    assert ideal(prefill_operators(mixture(), layout, 16), "copy_weights") == 0


def test_a_prompt_multiplies_every_token_and_reads_once_per_micro_batch() -> None:
    times = prefill_operators(dense(), layout_on_one(GPU, 4), 2048, n_ubatch=512)
    assert ideal(times, "multiply") == pytest.approx(2 * 8e9 * 2048 / 100e12)  # 8e9 elements in 4 layers
    assert ideal(times, "batch_read") == pytest.approx(4 * 4.2e9 / 1e12)  # 4 micro-batches


def test_unfused_attention_moves_its_scores() -> None:
    layout = layout_on_one(GPU, 4)
    assert ideal(prefill_operators(dense(), layout, 512), "scores") == 0
    plain = prefill_operators(dense(), layout, 512, setting=Setting(flash_attention=False))
    assert ideal(plain, "scores") == pytest.approx(512 * 256 * 8 * 16 * 4 / 1e12)


def test_a_split_model_crosses_between_devices() -> None:
    layout = Layout(gpus=(GPU, GPU), host=None, layers=(0, 0, 1, 1), experts=(0, 0, 1, 1), head=1)
    assert layout.n_crossings == 1
    assert ideal(decode_operators(dense(), layout, 0), "crossing") == pytest.approx(1e-6)
    # Layers run one after another: together the GPUs take as long as one.
    one = ideal(decode_operators(dense(), layout_on_one(GPU, 4), 0), "read")
    both = decode_operators(dense(), layout, 0)
    assert ideal(both, "read") + ideal(both, "read", 1) == pytest.approx(one)


def test_a_sweep_is_one_call() -> None:
    depths = np.array([0, 1000, 100_000])
    swept = decode_operators(dense(), layout_on_one(GPU, 4), depths, np.array([1, 4, 16]))
    for i, (depth, n) in enumerate(zip(depths.tolist(), (1, 4, 16), strict=True)):
        single = {
            (one.operator, one.type_class): one.ideal_s
            for one in decode_operators(dense(), layout_on_one(GPU, 4), depth, n)
        }
        for many in swept:
            # An operator that one step does not need takes no time among steps that do.
            expected = single.get((many.operator, many.type_class), 0.0)
            assert np.broadcast_to(many.ideal_s, depths.shape)[i] == pytest.approx(expected)


def test_a_large_batch_is_multiplied_as_a_prompt_is() -> None:
    times = decode_operators(dense(), layout_on_one(GPU, 4), 0, 20)
    # Weights are read once and all 20 tokens multiplied on the matrix cores: 4.2 GB of two elements a byte, 2 FLOP
    # each, at 100 TFLOP/s. No kernel for vectors runs.
    assert ideal(times, "read") == pytest.approx(4.2e-3)
    assert ideal(times, "multiply") == pytest.approx(20 * 4.2e9 * 2 * 2 / 100e12)
    assert ideal(times, "columns") == 0


def test_a_small_batch_goes_through_kernels_for_vectors() -> None:
    times = decode_operators(dense(), layout_on_one(GPU, 4), 0, 8)
    # Eight columns beside reading take √(read² + 8² · column²), one √(read² + column²): √(8² − 1) columns more, outside the
    # matrix cores at 100 TFLOP/s.
    assert ideal(times, "columns") == pytest.approx(math.sqrt(63) * 4.2e9 * 2 * 2 / 100e12)
    assert ideal(times, "multiply") == 0


def test_new_tokens_of_one_sequence_share_its_cache() -> None:
    layout = layout_on_one(GPU, 4)
    drafted = decode_operators(dense(), layout, 5000, 1, 4)
    together = decode_operators(dense(), layout, 5000, 4)
    assert ideal(together, "cache") == pytest.approx(4 * ideal(drafted, "cache"))
    assert ideal(drafted, "columns") == ideal(together, "columns")
    # Three of the four tokens attend to what the first has read: 4 · 8 heads · 64 elements · 5000 tokens a layer.
    assert ideal(drafted, "attention") == pytest.approx(3 * 4 * 4 * 8 * 64 * 5000 / 100e12)


@given(depth=st.integers(0, 10**5), n=st.integers(1, 500).filter(lambda n: n != VECTOR_TOKENS))
def test_a_larger_batch_takes_longer_and_gives_more(depth: int, n: int) -> None:
    layout = layout_on_one(GPU, 4)

    def total(n_sequences: int) -> float:
        return math.fsum(time.ideal_s for time in decode_operators(mixture(), layout, depth, n_sequences))

    assert total(n) < total(n + 1) < total(n) * (n + 1) / n


def test_layers_that_are_the_same_are_timed_like_layers_that_only_look_alike() -> None:
    same, alike = dense(), dense()
    alike = replace(alike, layers=tuple(replace(layer) for layer in alike.layers))
    assert len({id(layer) for layer in alike.layers}) == 4
    layout = layout_on_one(GPU, 4)
    for one, other in zip(
        decode_operators(same, layout, 5000), decode_operators(alike, layout, 5000), strict=True
    ):
        assert one.operator == other.operator
        assert one.ideal_s == pytest.approx(other.ideal_s)


@given(depth=st.integers(0, 10**6), more=st.integers(0, 10**5))
def test_more_context_never_takes_less(depth: int, more: int) -> None:
    layout = layout_on_one(GPU, 4)

    def total(n: int) -> float:
        return math.fsum(time.ideal_s for time in decode_operators(dense(), layout, n))

    assert total(depth + more) >= total(depth)


@given(n=st.integers(9, 20_000))
def test_a_longer_prompt_takes_longer_and_moves_smoothly(n: int) -> None:
    layout = layout_on_one(GPU, 4)

    def total(n_tokens: int) -> float:
        return math.fsum(time.ideal_s for time in prefill_operators(dense(), layout, n_tokens))

    here, there = total(n), total(n + 1)
    assert here < there < here * (1 + 3 / n) + 1e-9


def test_micro_batches_follow_each_other_through_gpus() -> None:
    layout = Layout(gpus=(GPU, GPU), host=None, layers=(0, 0, 1, 1), experts=(0, 0, 1, 1), head=1)
    assert layout.is_pipeline
    one = ideal(prefill_operators(dense(), layout_on_one(GPU, 4), 2048), "multiply")
    both = prefill_operators(dense(), layout, 2048)
    # 4 micro-batches through 2 stages take 5 steps of half the layers: 5/8 of one after another.
    assert ideal(both, "multiply") + ideal(both, "multiply", 1) == pytest.approx(one * 5 / 8)
    # One micro-batch has nothing to overlap with, and Vulkan does not signal between devices.
    single = prefill_operators(dense(), layout, 512)
    assert ideal(single, "multiply") + ideal(single, "multiply", 1) == pytest.approx(one / 4)
    vulkan = replace(GPU, backend="vulkan")
    assert not Layout(gpus=(vulkan, vulkan), host=None, layers=(0, 1), experts=(0, 1), head=1).is_pipeline
    # With a part in RAM the engine waits for each micro-batch.
    assert not Layout(gpus=(GPU, GPU), host=HOST, layers=(0, 1), experts=(0, RAM), head=1).is_pipeline


def test_a_stage_that_fills_the_queue_holds_up_the_others() -> None:
    n = 100  # layers on each of two GPUs: 100 · (9 + 8) kernels, of which 200 wait
    layout = Layout(
        gpus=(GPU, GPU), host=None, layers=(0,) * n + (1,) * n, experts=(0,) * n + (1,) * n, head=1
    )
    both = prefill_operators(dense(2 * n), layout, 2048)
    one = ideal(prefill_operators(dense(2 * n), layout_on_one(GPU, 2 * n), 2048), "multiply")
    left = 1 - 200 / 1700 * (1 - 5 / 8)
    assert ideal(both, "multiply") + ideal(both, "multiply", 1) == pytest.approx(one * left)

"""The work of a step: worked numbers, sums that must agree, and one call for a whole sweep."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.model.attention import Attention
from planner.model.cache import kv_bytes, state_bytes
from planner.model.constant_state import ConstantState
from planner.model.delta_net import GatedDeltaNet
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.network import Block, LayerGroup, Mixer, Network, embeddings
from planner.model.parallel import ParallelMixers
from planner.model.presets import preset_storage
from planner.model.token_cache import TokenCache, attended_pairs, least
from planner.model.work import decode_work, prefill_work

ATTENTION = Attention(n_heads=8, n_kv_heads=2, key_head_dim=64, value_head_dim=64)
WINDOWED = replace(ATTENTION, window_tokens=128)
CHUNKED = replace(ATTENTION, window_tokens=128, chunked=True)
DELTA = GatedDeltaNet(n_key_heads=4, n_value_heads=8, key_head_dim=32, value_head_dim=32, conv_kernel=4)
HIDDEN, VOCAB, LAYERS = 256, 1000, 4


def network(mixer: Mixer, block: Block | None = None) -> Network:
    group = LayerGroup(
        layers=tuple(range(LAYERS)), mixer=mixer, block=block or FeedForward(intermediate_size=512), norms=()
    )
    return Network(
        architecture="test", hidden_size=HIDDEN, vocab_size=VOCAB, tied_embeddings=False, groups=(group,),
        outer=embeddings(HIDDEN, VOCAB, tied=False),
    )  # fmt: skip


@given(n=st.integers(1, 600), past=st.integers(0, 600), window=st.none() | st.integers(1, 200))
def test_pairs_are_the_sum_over_tokens(n: int, past: int, window: int | None) -> None:
    # The definition itself: token t looks at min(t, W) tokens, or in chunks at ((t − 1) mod W) + 1.
    seen = [t if window is None else min(t, window) for t in range(past + 1, past + n + 1)]
    assert attended_pairs(n, past, window) == sum(seen)
    if window is not None:
        in_chunk = [(t - 1) % window + 1 for t in range(past + 1, past + n + 1)]
        assert attended_pairs(n, past, window, chunked=True) == sum(in_chunk)


@pytest.mark.parametrize(
    "mixer", [ATTENTION, WINDOWED, DELTA, ParallelMixers(attention=WINDOWED, recurrent=DELTA)]
)
def test_a_prompt_costs_what_its_tokens_cost_one_by_one(mixer: Mixer) -> None:
    # Holds where reading a prompt does the same arithmetic as decoding; MLA expands, chunks average.
    assert mixer.prefill_flop(300, 50) == sum(mixer.decode_flop(t) for t in range(51, 351))


def test_a_chunk_costs_no_more_than_a_window() -> None:
    assert CHUNKED.prefill_flop(1000) < WINDOWED.prefill_flop(1000) < ATTENTION.prefill_flop(1000)


def test_decode_work_of_a_worked_case() -> None:
    net = network(ATTENTION)
    work = decode_work(net, preset_storage(net, "F16"), 1000, 3)
    # A layer holds q and o of 256·512, k and v of 256·128, and three matrices of 256·512; the head 256·1000.
    layer = 2 * 256 * 512 + 2 * 256 * 128 + 3 * 256 * 512
    assert work.matmul_flop == 3 * 2 * (LAYERS * layer + 256 * 1000)
    # Every sequence scores 1,000 tokens with 8 heads of 64 and weighs as many values: 4·8·64·1000 a layer.
    assert work.mixing_flop == 3 * LAYERS * 4 * 8 * 64 * 1000
    # Weights once, two bytes each, the final norm in f32, three rows of the embedding table; 256 elements of
    # cache a layer and token for each sequence.
    assert work.weight_bytes == 2 * (LAYERS * layer + 256 * 1000) + 4 * 256 + 3 * 2 * 256
    assert work.cache_bytes == 3 * LAYERS * 1000 * 256 * 2
    assert work.state_bytes == 0
    assert work.flop == work.matmul_flop + work.mixing_flop
    assert work.moved_bytes == work.weight_bytes + work.cache_bytes


def test_state_is_read_and_written_for_every_sequence() -> None:
    net = network(DELTA)
    work = decode_work(net, preset_storage(net, "F16"), 10_000, 5)
    # 8 heads of 32·32 and three inputs of a convolution over 2·128 + 256 channels, in f32, both ways.
    assert work.state_bytes == 5 * LAYERS * (8 * 32 * 32 + 3 * 512) * 4 * 2
    assert work.cache_bytes == 0
    # vLLM keeps the convolution's inputs in bf16.
    assert state_bytes(net, 4, 2) == LAYERS * (8 * 32 * 32 * 4 + 3 * 512 * 2)


def test_a_batch_reads_the_experts_that_any_of_its_tokens_picks() -> None:
    net = network(ATTENTION, Experts(n_experts=16, n_active=2, intermediate_size=128))
    storage = preset_storage(net, "F16")
    experts = LAYERS * 16 * 3 * 256 * 128 * 2  # bytes of all of them
    one, two, many = (float(storage.read_bytes(n)) for n in (1, 2, 100_000))
    rows = 2 * 256  # every token reads one row of the embedding table
    # Two tokens pick 1 − (14/16)² = 23.4 % of the experts instead of 12.5 %.
    assert two - one == pytest.approx(experts * (1 - (14 / 16) ** 2 - 2 / 16) + rows)
    assert many - one == pytest.approx(experts * 14 / 16 + (100_000 - 1) * rows)
    assert one == storage.read_bytes_per_token


def test_prefill_work_counts_the_head_once() -> None:
    net = network(ATTENTION)
    work = prefill_work(net, preset_storage(net, "F16"), 500, 100)
    layer = 2 * 256 * 512 + 2 * 256 * 128 + 3 * 256 * 512
    assert work.matmul_flop == 2 * (500 * LAYERS * layer + 256 * 1000)
    assert work.mixing_flop == LAYERS * 4 * 8 * 64 * (500 * 100 + 500 * 501 // 2)
    # 100 entries read, 500 written.
    assert work.cache_bytes == LAYERS * 600 * 256 * 2


@pytest.mark.parametrize("mixer", [ATTENTION, WINDOWED, CHUNKED, DELTA])
def test_a_sweep_is_one_call(mixer: Mixer) -> None:
    net = network(mixer, Experts(n_experts=16, n_active=2, intermediate_size=128))
    storage = preset_storage(net, "Q4_K_M")
    contexts = np.array([[1, 100], [1000, 70_000]])
    swept = decode_work(net, storage, contexts, 4)
    read = prefill_work(net, storage, contexts, 10, 4)
    held = kv_bytes(net, contexts)
    for index, context in np.ndenumerate(contexts):
        single = decode_work(net, storage, int(context), 4)
        assert swept.moved_bytes[index] == pytest.approx(single.moved_bytes)
        assert swept.mixing_flop[index] == single.mixing_flop
        assert read.flop[index] == prefill_work(net, storage, int(context), 10, 4).flop
        if not isinstance(mixer, ConstantState):
            assert held[index] == kv_bytes(net, int(context))


@given(context=st.integers(0, 10**6), more=st.integers(0, 10**6))
def test_more_context_never_needs_less(context: int, more: int) -> None:
    for mixer in (ATTENTION, WINDOWED, CHUNKED):
        net = network(mixer)
        assert kv_bytes(net, context + more) >= kv_bytes(net, context)
        assert mixer.decode_flop(context + more) >= mixer.decode_flop(context)


def test_least_of_two() -> None:
    assert [least(3, 5), least(5, 3), least(4, 4)] == [3, 3, 4]
    assert least(np.array([1, 9]), 5).tolist() == [1, 5]


def test_a_cache_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="without elements"):
        TokenCache(name="kv", k_elements=0)

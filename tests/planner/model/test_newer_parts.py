"""Parts of newer architectures: what they cache, keep and compute, worked by hand on small sizes.

Their parameters are checked against the reference implementation in tests/planner/readers/test_reference_totals.py.
"""

import pytest

from planner.model.attention import Attention
from planner.model.attention_experts import AttentionExperts
from planner.model.convolved_attention import ConvolvedAttention
from planner.model.deep_router import DeepRouterExperts
from planner.model.feed_forward import FeedForward
from planner.model.indexed_attention import with_index
from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.latent import Indexer, LatentAttention
from planner.model.latent_shared import SharedLatentAttention
from planner.model.mlstm import MatrixLstm
from planner.model.rwkv4 import Rwkv4TimeMix
from planner.model.shared_block import SharedBlockCall
from planner.model.shortcut import ShortcutExperts, TwinMixers
from planner.model.stream_conv import StreamConvolutions
from planner.model.weight import matrix
from planner.model.windowed_latent import WindowedLatentAttention

LATENT = {
    "n_heads": 4, "q_lora_rank": None, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4,
    "v_head_dim": 8,
}  # fmt: skip
HEADS = Attention(n_heads=4, n_kv_heads=2, key_head_dim=8, value_head_dim=8)


def elements(part: object, hidden_size: int) -> int:
    return sum(weight.parameters for weight in part.weights(hidden_size))  # type: ignore[attr-defined]


def test_twins_cache_and_compute_twice() -> None:
    one = LatentAttention(**LATENT)  # type: ignore[arg-type]
    twin = TwinMixers(each=one)
    # 16 + 4 elements a token and attention, so 40 of two; work doubles with them.
    assert sum(cache.elements_per_entry for cache in twin.token_caches) == 40
    assert twin.decode_flop(100) == 2 * one.decode_flop(100)
    assert twin.prefill_flop(7, 3) == 2 * one.prefill_flop(7, 3)
    assert elements(twin, 32) == 2 * elements(one, 32)


def test_empty_experts_take_their_share_of_the_picks() -> None:
    block = ShortcutExperts(
        dense=FeedForward(intermediate_size=64),
        n_experts=6,
        n_zero_experts=2,
        n_picked=4,
        intermediate_size=16,
    )
    # 4 of 8 choices, 6 of them real: 4 · 6 / 8 = 3 experts on average. The router scores all 8.
    assert block.n_active == 3
    weights = {weight.role: weight for weight in block.weights(32)}
    assert weights["ffn_gate_inp"].parameters == 32 * 8
    assert weights["ffn_up_exps"].active_parameters == 3 * 32 * 16
    with pytest.raises(ValueError, match="9 of 6 \\+ 2"):
        ShortcutExperts(dense=block.dense, n_experts=6, n_zero_experts=2, n_picked=9, intermediate_size=16)


def test_a_shared_block_costs_its_matrices_in_every_call() -> None:
    call = SharedBlockCall(attention=HEADS, own=(matrix("shared_linear", 32, 32),), repeated_flop=1000)
    # Scores and values of 4 heads: 2·4·(8 + 8) = 128 FLOP a cached token.
    assert call.decode_flop(10) == 128 * 10 + 1000
    assert call.prefill_flop(3) == 128 * (1 + 2 + 3) + 3 * 1000
    assert call.token_caches[0].elements_per_entry == 2 * 2 * 8
    assert elements(call, 32) == 32 * 32


def test_block_sparse_attention_reads_what_its_index_picked() -> None:
    sparse = with_index(HEADS, n_index_heads=2, index_head_dim=4, top_k_tokens=8)
    kv, index = sparse.token_caches
    assert (kv.entries(100), kv.entries_read(100), index.entries_read(100)) == (100, 8, 100)
    # 128 FLOP for each of 8 tokens, 2·2·4 = 16 for every index key.
    assert sparse.decode_flop(100) == 128 * 8 + 16 * 100
    assert sparse.decode_flop(5) == (128 + 16) * 5


def test_windowed_latent_attention_stops_growing() -> None:
    windowed = WindowedLatentAttention(**LATENT, window=8)  # type: ignore[arg-type]
    plain = LatentAttention(**LATENT)  # type: ignore[arg-type]
    assert windowed.token_caches[0].entries(100) == 8
    assert windowed.decode_flop(100) == plain.decode_flop(8)
    assert windowed.prefill_flop(8) == plain.prefill_flop(8)
    assert windowed.prefill_flop(100) < plain.prefill_flop(100)
    assert windowed.weights(32) == plain.weights(32)
    with pytest.raises(ValueError, match="needs a window"):
        WindowedLatentAttention(**LATENT, window=0)  # type: ignore[arg-type]


def test_a_layer_that_reads_another_cache_keeps_only_its_index() -> None:
    indexer = Indexer(n_heads=2, head_dim=4)
    owner = SharedLatentAttention(**LATENT, indexer=indexer, top_k_tokens=8)  # type: ignore[arg-type]
    reader = SharedLatentAttention(
        **LATENT, indexer=indexer, top_k_tokens=8, owns_cache=False  # type: ignore[arg-type]
    )  # fmt: skip
    assert [cache.name for cache in owner.token_caches] == ["latent", "index"]
    assert [cache.name for cache in reader.token_caches] == ["index"]
    # What fills the cache is missing: 32·(16 + 4) elements and a norm of 16.
    assert elements(owner, 32) - elements(reader, 32) == 32 * 20 + 16


def test_full_rank_gates_replace_thin_pairs() -> None:
    thin = KimiDeltaAttention(n_heads=2, head_dim=4, conv_kernel=4)
    full = KimiDeltaAttention(n_heads=2, head_dim=4, conv_kernel=4, full_rank=True)
    # Two gates: 32·8 each instead of 32·4 + 4·8.
    assert elements(full, 32) - elements(thin, 32) == 2 * (32 * 8 - (32 * 4 + 4 * 8))
    assert full.state_elements == thin.state_elements


def test_convolutions_keep_their_last_inputs() -> None:
    streams = StreamConvolutions(streams=(("k", 8, 4, 1), ("ple", 16, 4, 3)))
    # 3 past tokens of 8 channels; 3 taps 3 tokens apart of 16 channels.
    assert streams.state_elements == streams.conv_state_elements == 3 * 8 + 9 * 16
    assert elements(streams, 32) == 4 * 8 + 4 * 16


def test_convolved_attention_keeps_both_a_cache_and_a_state() -> None:
    part = ConvolvedAttention(attention=HEADS, depthwise_taps=2, grouped_taps=2)
    # Queries and keys are 32 + 16 wide; two past tokens of them and half of the last token's 16 values.
    assert part.state_elements == 48 * 2 + 8
    assert part.token_caches[0].elements_per_entry == 32


def test_a_deep_router_can_pick_nothing() -> None:
    block = DeepRouterExperts(
        n_experts=3, n_picked=1, intermediate_size=8, router_hidden_size=4, carries_router_state=False
    )
    weights = {weight.role: weight for weight in block.weights(16)}
    assert weights["ffn_up_exps"].active_parameters == pytest.approx(3 / 4 * 16 * 8)
    assert weights["ffn_gate_inp"].parameters == 4 * 4


def test_attention_experts_share_one_cache() -> None:
    part = AttentionExperts(n_experts=4, n_active=2, n_kv_heads=2, head_dim=8)
    assert part.token_caches[0].elements_per_entry == 2 * 16
    assert part.decode_flop(10) == 4 * 2 * 16 * 10
    weights = {weight.role: weight for weight in part.weights(32)}
    assert weights["attn_q_exps"].active_parameters == 2 * 32 * 16


def test_recurrent_states_do_not_grow() -> None:
    rwkv = Rwkv4TimeMix(hidden_size=32, width=32)
    assert rwkv.state_elements == 5 * 32
    lstm = MatrixLstm(n_heads=2, key_width=8, value_width=16)
    # A 4 × 8 matrix, a normaliser of 4 and a maximum for each of 2 heads.
    assert lstm.state_elements == 2 * (4 * 8 + 4 + 1)
    for part in (rwkv, lstm):
        assert part.token_caches == ()
        assert part.decode_flop(10) == part.decode_flop(1_000_000)

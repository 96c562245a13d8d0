"""Latent and compressed attention: cache, weights and work, with numbers derived by hand."""

from dataclasses import replace

import pytest

from planner.model.compressed import CompressedAttention, Compressor, HyperConnections
from planner.model.latent import Indexer, LatentAttention

# DeepSeek-V3: 128 heads of 128 + 64 for queries and keys and 128 for values, latents of 1536 and 512.
V3 = LatentAttention(
    n_heads=128, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128
)
INDEXER = Indexer(n_heads=64, head_dim=128, top_k_tokens=2048)
HIDDEN = 7168


def total(mixer: LatentAttention | CompressedAttention) -> int:
    return sum(weight.parameters for weight in mixer.weights(HIDDEN))


def test_latent_cache_is_one_vector_a_token() -> None:
    # 512 + 64 elements, not doubled for K and V: 61 layers in bf16 make the 70,272 bytes of the V3 paper.
    assert V3.k_elements_per_token == 576
    assert V3.v_elements_per_token == 0
    assert 61 * 576 * 2 == 70_272


def test_latent_weights() -> None:
    # q: H·1536 + 1536 + 1536·128·192; kv: H·576 + 512 + 512·128·256; out: 128·128·H.
    expected = 7168 * 1536 + 1536 + 1536 * 128 * 192
    expected += 7168 * 576 + 512 + 512 * 128 * 256 + 128 * 128 * 7168
    assert total(V3) == expected


def test_a_plain_query_needs_no_latent() -> None:
    # DeepSeek-V2-Lite has one matrix instead of two and a norm.
    plain = replace(V3, q_lora_rank=None)
    assert total(V3) - total(plain) == 7168 * 1536 + 1536 + 1536 * 128 * 192 - 7168 * 128 * 192


def test_an_indexer_adds_its_projections() -> None:
    # V3.2: 1536·64·128 queries, H·128 keys and their norm with bias, H·64 head weights.
    indexed = replace(V3, indexer=INDEXER)
    assert total(indexed) - total(V3) == 1536 * 64 * 128 + 7168 * 128 + 2 * 128 + 7168 * 64
    assert indexed.kind == "MLA with sparse index"


def test_an_indexer_without_a_query_latent_is_refused() -> None:
    with pytest.raises(ValueError, match="q_lora_rank"):
        replace(V3, q_lora_rank=None, indexer=INDEXER).weights(HIDDEN)


def test_an_output_gate_is_one_matrix() -> None:
    assert total(replace(V3, output_gate=True)) - total(V3) == 7168 * 128 * 128


# DeepSeek-V4-Pro: 128 heads over one vector of 512, window 128, output in 16 groups of rank 1024.
V4 = CompressedAttention(
    n_heads=128, head_dim=512, q_lora_rank=1536, o_lora_rank=1024, o_groups=16, window=128
)
SPARSE = replace(
    V4,
    compressor=Compressor(ratio=4, head_dim=512, overlapping=True),
    indexer=Indexer(n_heads=64, head_dim=128, top_k_tokens=1024),
)
COARSE = replace(V4, compressor=Compressor(ratio=128, head_dim=512, overlapping=False))


def test_compressed_cache_per_token() -> None:
    # A quarter of 512, and of the indexer's 128; a 128th of 512; the bare window keeps whole vectors.
    assert SPARSE.k_elements_per_token == (512 + 128) / 4
    assert COARSE.k_elements_per_token == 512 / 128
    assert (V4.k_elements_per_token, V4.window_tokens) == (512, 128)
    assert SPARSE.window_tokens is None
    assert SPARSE.v_elements_per_token == 0


def test_the_window_beside_compressed_tokens_is_state() -> None:
    assert COARSE.state_elements == SPARSE.state_elements == 128 * 512
    assert V4.state_elements == 0  # already cached by token, up to the window


def test_compressed_weights() -> None:
    # q: H·1536 + 1536 + 1536·128·512; kv: H·512 + 512; out: 128·512·1024 + 16·1024·H; sinks 128.
    base = 7168 * 1536 + 1536 + 1536 * 128 * 512 + 7168 * 512 + 512
    base += 128 * 512 * 1024 + 16 * 1024 * 7168 + 128
    assert total(V4) == base
    # Ratio 128: two H·512, a 128·512 table and a norm. Ratio 4: twice the width, its own indexer.
    assert total(COARSE) - base == 2 * 7168 * 512 + 128 * 512 + 512
    indexer = 2 * 7168 * 256 + 4 * 256 + 128 + 1536 * 64 * 128 + 7168 * 64
    assert total(SPARSE) - base == 2 * 7168 * 1024 + 4 * 1024 + 512 + indexer


def test_compressed_work_grows_only_with_what_is_looked_at() -> None:
    # Each attended vector costs 4 · 128 · 512. The sparse layer scores a quarter of the tokens with its
    # indexer and attends to 1,024 of them beside the window; the coarse one attends to every 128th.
    assert COARSE.score_flop_per_cached_token == 4 * 128 * 512 // 128
    assert COARSE.state_flop_per_token == 4 * 128 * 512 * 128
    assert SPARSE.score_flop_per_cached_token == 2 * 64 * 128 // 4
    assert SPARSE.state_flop_per_token == 4 * 128 * 512 * (128 + 1024)
    assert V4.score_flop_per_cached_token == 4 * 128 * 512


def test_compressed_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="output groups"):
        replace(V4, o_groups=7)
    with pytest.raises(ValueError, match="compressor"):
        replace(V4, indexer=INDEXER)


def test_hyper_connections() -> None:
    # Four streams: twice (4·H · 24 + 24 + 3) a layer, and 4·H · 4 + 4 + 1 before the head.
    streams = HyperConnections(n_streams=4)
    assert sum(w.parameters for w in streams.layer_weights(HIDDEN)) == 2 * (4 * 7168 * 24 + 24 + 3)
    assert sum(w.parameters for w in streams.head_weights(HIDDEN)) == 4 * 7168 * 4 + 4 + 1

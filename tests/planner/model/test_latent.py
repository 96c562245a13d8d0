"""Latent and compressed attention: cache, weights and work, with numbers derived by hand."""

from dataclasses import replace

import pytest

from planner.model.compressed import CompressedAttention, Compressor, HyperConnections
from planner.model.latent import Indexer, LatentAttention

# DeepSeek-V3: 128 heads of 128 + 64 for queries and keys and 128 for values, latents of 1536 and 512.
V3 = LatentAttention(
    n_heads=128, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128
)
INDEXER = Indexer(n_heads=64, head_dim=128)
V32 = replace(V3, indexer=INDEXER, top_k_tokens=2048)
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
    assert total(V32) - total(V3) == 1536 * 64 * 128 + 7168 * 128 + 2 * 128 + 7168 * 64
    assert V32.kind == "MLA with sparse index"


def test_an_indexer_without_a_query_latent_is_refused() -> None:
    with pytest.raises(ValueError, match="q_lora_rank"):
        replace(V32, q_lora_rank=None).weights(HIDDEN)


def test_an_output_gate_is_one_matrix() -> None:
    assert total(replace(V3, output_gate=True)) - total(V3) == 7168 * 128 * 128


# DeepSeek-V4-Pro: 128 heads over one vector of 512, window 128, output in 16 groups of rank 1024.
V4 = CompressedAttention(
    n_heads=128, head_dim=512, q_lora_rank=1536, o_lora_rank=1024, o_groups=16, window=128
)
SPARSE = replace(
    V4,
    compressor=Compressor(ratio=4, head_dim=512, overlapping=True),
    indexer=INDEXER,
    top_k_entries=1024,
)
COARSE = replace(V4, compressor=Compressor(ratio=128, head_dim=512, overlapping=False))


def test_what_a_sparse_index_keeps_and_reads() -> None:
    # SGLang logs 1,408 bytes a token and layer in bf16: the latent's 576 and the index key's 128 elements.
    assert sum(cache.elements_per_token for cache in V32.token_caches) * 2 == 1408
    # At 100,000 tokens a new one scores every key, and reads 2,048 latents.
    latent, index = V32.token_caches
    assert latent.entries_read(100_000) == 2048
    assert index.entries_read(100_000) == 100_000
    per_latent = 2 * 128 * (2 * 512 + 64)
    assert V32.decode_flop(100_000) == per_latent * 2048 + 2 * 64 * 128 * 100_000
    # A layer that follows another's index keeps no key, scores nothing, and reads as few.
    follower = replace(V32, indexer=None)
    assert [cache.name for cache in follower.token_caches] == ["latent"]
    assert follower.decode_flop(100_000) == per_latent * 2048


def test_prompts_expand_the_latent_unless_the_engine_does_not() -> None:
    # Two tokens make 3 pairs; expanded, a pair costs 2 · 128 · (128 + 64 + 128), absorbed 2 · 128 · 1,088.
    assert V3.prefill_flop(2) == 3 * 2 * 128 * 320
    assert replace(V3, absorbed_prefill=True).prefill_flop(2) == 3 * 2 * 128 * 1088
    # A prompt within the pick is read like full attention, plus the index.
    assert V32.prefill_flop(2000) == V3.prefill_flop(2000) + 2 * 64 * 128 * 2000 * 2001 // 2


def test_an_index_must_say_how_many_it_picks() -> None:
    with pytest.raises(ValueError, match="how many tokens"):
        replace(V3, indexer=INDEXER)


def test_compressed_caches() -> None:
    # Every layer keeps 128 tokens of 512. After 1,000 tokens ratio 4 adds 250 entries of 512 and 250 index
    # keys of 128; ratio 128 adds 7 entries, the eighth is not full yet.
    def kept(mixer: CompressedAttention) -> list[int]:
        return [cache.entries(1000) * cache.elements_per_entry for cache in mixer.token_caches]

    assert kept(V4) == [128 * 512]
    assert kept(SPARSE) == [128 * 512, 250 * 512, 250 * 128]
    assert kept(COARSE) == [128 * 512, 7 * 512]
    # The compressors hold values and gates of unfinished blocks. Ratio 128: 2 · 512 · 128. Ratio 4 overlaps,
    # so twice the width over twice the tokens: 2 · 1,024 · 8, and its indexer's 2 · 256 · 8.
    assert V4.state_elements == 0
    assert COARSE.state_elements == 131_072
    assert SPARSE.state_elements == 16_384 + 4_096


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
    # Each attended vector costs 4 · 128 · 512. At 100,000 tokens the coarse layer attends to its window and
    # 781 entries; the sparse one to its window and 1,024 of 25,000, which its indexer scores all.
    attended = 4 * 128 * 512
    assert COARSE.decode_flop(100_000) == attended * (128 + 781)
    assert SPARSE.decode_flop(100_000) == attended * (128 + 1024) + 2 * 64 * 128 * 25_000
    assert V4.decode_flop(100_000) == attended * 128
    # A prompt's work is the sum over its tokens; blocks of a ratio that are not full are at most one part in
    # 128 of these sums.
    for mixer in (V4, COARSE, SPARSE):
        summed = sum(mixer.decode_flop(t) for t in range(1, 20_001))
        assert mixer.prefill_flop(20_000) == pytest.approx(summed, rel=0.01)


def test_compressed_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="output groups"):
        replace(V4, o_groups=7)
    with pytest.raises(ValueError, match="compressor"):
        replace(V4, indexer=INDEXER, top_k_entries=1024)
    with pytest.raises(ValueError, match="belong together"):
        replace(SPARSE, top_k_entries=None)


def test_hyper_connections() -> None:
    # Four streams: twice (4·H · 24 + 24 + 3) a layer, and 4·H · 4 + 4 + 1 before the head.
    streams = HyperConnections(n_streams=4)
    assert sum(w.parameters for w in streams.layer_weights(HIDDEN)) == 2 * (4 * 7168 * 24 + 24 + 3)
    assert sum(w.parameters for w in streams.head_weights(HIDDEN)) == 4 * 7168 * 4 + 4 + 1

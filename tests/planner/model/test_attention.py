"""Softmax attention: cache, weights and work, with numbers derived by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.model.attention import Attention
from planner.model.weight import Use, Weight

# Llama-3.1-8B: 32 query heads, 8 key-value heads of width 128, hidden size 4096.
LLAMA_8B = Attention(n_heads=32, n_kv_heads=8, key_head_dim=128, value_head_dim=128)
HIDDEN = 4096


def total(weights: tuple[Weight, ...]) -> int:
    return sum(weight.parameters for weight in weights)


def roles(weights: tuple[Weight, ...]) -> set[str]:
    return {weight.role for weight in weights}


def test_cached_elements_of_grouped_queries() -> None:
    # 8 heads · 128 for keys and as many for values: 2,048 elements, 4,096 bytes in bf16, 131,072 in 32 layers.
    assert LLAMA_8B.k_elements_per_token == LLAMA_8B.v_elements_per_token == 1024
    assert 32 * (LLAMA_8B.k_elements_per_token + LLAMA_8B.v_elements_per_token) * 2 == 131_072


def test_weights_of_grouped_queries() -> None:
    # q and o 4096 · 4096, k and v 4096 · 1024.
    assert total(LLAMA_8B.weights(HIDDEN)) == 2 * 4096 * 4096 + 2 * 4096 * 1024


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"qkv_bias": True}, 4096 + 2 * 1024),
        ({"output_bias": True}, 4096),
        ({"qk_norm": "head"}, 2 * 128),
        ({"qk_norm": "full"}, 4096 + 1024),
        ({"qk_norm": "head", "qk_norm_bias": True}, 4 * 128),
        ({"sinks": True}, 32),
        ({"output_gate": "in_query"}, 4096 * 4096),
        ({"output_gate": "matrix"}, 4096 * 4096),
        ({"output_gate": "head"}, 4096 * 32),
        ({"value_is_key": True}, -4096 * 1024),
        ({"shares_kv": True}, -2 * 4096 * 1024),
        ({"fused_qkv": True}, 0),
        ({"fused_qkv": True, "qkv_bias": True}, 4096 + 2 * 1024),
    ],
)
def test_what_an_option_adds_in_weights(changes: dict[str, object], more: int) -> None:
    changed = replace(LLAMA_8B, **changes)  # type: ignore[arg-type]
    assert total(changed.weights(HIDDEN)) - total(LLAMA_8B.weights(HIDDEN)) == more


def test_keys_wider_than_values() -> None:
    # MiMo-V2's full layers: 4 · (192 + 128) elements a token; the output projection reads 64 · 128.
    mixer = Attention(n_heads=64, n_kv_heads=4, key_head_dim=192, value_head_dim=128)
    assert mixer.k_elements_per_token + mixer.v_elements_per_token == 4 * 320
    assert total(mixer.weights(HIDDEN)) == HIDDEN * (64 * 192 + 4 * 320 + 64 * 128)


def test_a_layer_that_shares_a_cache_owns_none_but_still_scores() -> None:
    shared = replace(LLAMA_8B, shares_kv=True, qk_norm="head")
    assert shared.k_elements_per_token == shared.v_elements_per_token == 0
    assert shared.score_flop_per_cached_token == LLAMA_8B.score_flop_per_cached_token
    assert "attn_k" not in roles(shared.weights(HIDDEN))
    assert "attn_k_norm" not in roles(shared.weights(HIDDEN))


def test_a_shared_cache_may_leave_unused_matrices_behind() -> None:
    # Gemma 3n's files keep the k and v of layers that read another's cache: stored, never read.
    kept = replace(LLAMA_8B, shares_kv=True, stores_shared_kv=True, qk_norm="head").weights(HIDDEN)
    unused = [weight for weight in kept if weight.use is Use.UNUSED]
    assert total(tuple(unused)) == 2 * 4096 * 1024 + 128


def test_one_matrix_for_keys_and_values_still_caches_both() -> None:
    assert replace(LLAMA_8B, value_is_key=True).v_elements_per_token == 1024


def test_work_per_cached_token() -> None:
    # Scores 2 · 32 · 128 and values 2 · 32 · 128: query heads count, not key-value heads.
    assert LLAMA_8B.score_flop_per_cached_token == 4 * 32 * 128


@pytest.mark.parametrize(
    ("n_kv_heads", "window", "chunked", "kind"),
    [
        (32, None, False, "full MHA"),
        (8, None, False, "full GQA"),
        (1, None, False, "full MQA"),
        (8, 4096, False, "sliding-window GQA (4,096)"),
        (8, 8192, True, "chunked GQA (8,192)"),
    ],
)
def test_kinds(n_kv_heads: int, window: int | None, chunked: bool, kind: str) -> None:
    mixer = replace(LLAMA_8B, n_kv_heads=n_kv_heads, window_tokens=window, chunked=chunked)
    assert mixer.kind == kind


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        replace(LLAMA_8B, n_kv_heads=5)
    with pytest.raises(ValueError, match="window"):
        replace(LLAMA_8B, window_tokens=0)


@given(groups=st.integers(1, 8), n_kv_heads=st.integers(1, 8), head_dim=st.integers(1, 64))
def test_sharing_keys_among_more_queries_never_caches_more(
    groups: int, n_kv_heads: int, head_dim: int
) -> None:
    n_heads = groups * n_kv_heads
    grouped = Attention(
        n_heads=n_heads, n_kv_heads=n_kv_heads, key_head_dim=head_dim, value_head_dim=head_dim
    )
    every = replace(grouped, n_kv_heads=n_heads)
    assert grouped.k_elements_per_token * groups == every.k_elements_per_token
    assert total(grouped.weights(64)) <= total(every.weights(64))
    assert grouped.score_flop_per_cached_token == every.score_flop_per_cached_token


def test_norms_and_biases_are_vectors_and_projections_are_not() -> None:
    weights = replace(LLAMA_8B, qkv_bias=True, qk_norm="head").weights(HIDDEN)
    assert all((weight.use is Use.VECTOR) == (len(weight.shape) == 1) for weight in weights)

"""Feed-forward blocks and experts: weights, and what one token or a batch uses of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.model.experts import Experts, expected_distinct_experts
from planner.model.feed_forward import FeedForward
from planner.model.weight import expected_read_share, uneven_read_share

# Qwen3-30B-A3B: 128 experts of 768, 8 active, hidden size 2048.
MIXTURE = Experts(n_experts=128, n_active=8, intermediate_size=768)


def total(block: Experts | FeedForward, hidden_size: int) -> int:
    return sum(weight.parameters for weight in block.weights(hidden_size))


def active(block: Experts | FeedForward, hidden_size: int) -> float:
    return sum(weight.active_parameters for weight in block.weights(hidden_size))


def test_dense_blocks() -> None:
    # Three matrices when gated, two when not; biases on each output.
    assert total(FeedForward(intermediate_size=100), 10) == 3 * 1000
    assert total(FeedForward(intermediate_size=100, gated=False), 10) == 2 * 1000
    assert total(FeedForward(intermediate_size=100, bias=True), 10) == 3 * 1000 + 2 * 100 + 10
    assert total(FeedForward(intermediate_size=100, fused_gate=True), 10) == 3 * 1000
    assert total(FeedForward(intermediate_size=100, fused_gate=True, bias=True), 10) == 3 * 1000 + 200 + 10


def test_experts() -> None:
    # Router 2048·128 and 128 · 3 · 2048·768; a token uses the router and 8 of them.
    expert = 3 * 2048 * 768
    assert total(MIXTURE, 2048) == 2048 * 128 + 128 * expert
    assert active(MIXTURE, 2048) == 2048 * 128 + 8 * expert


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"router_bias": True}, 128),
        ({"correction_bias": True}, 128),
        ({"expert_bias": True}, 128 * (2 * 768 + 2048)),
        ({"gated": False}, -128 * 2048 * 768),
        ({"gated": False, "expert_bias": True}, 128 * (768 + 2048 - 2048 * 768)),
        ({"fused_gate": True}, 0),
        ({"shared": FeedForward(intermediate_size=768)}, 3 * 2048 * 768),
        ({"shared": FeedForward(intermediate_size=768), "shared_gate": True}, 3 * 2048 * 768 + 2048),
        ({"residual": FeedForward(intermediate_size=2048)}, 3 * 2048**2),
    ],
)
def test_what_an_option_adds(changes: dict[str, object], more: int) -> None:
    changed = replace(MIXTURE, **changes)  # type: ignore[arg-type]
    assert total(changed, 2048) - total(MIXTURE, 2048) == more


def test_experts_in_a_latent_space() -> None:
    # Kimi K3: experts of 3584 · 3072, a way down and a way up of 7168 · 3584, a norm in front of the way up.
    latent = Experts(
        n_experts=896, n_active=16, intermediate_size=3072, expert_hidden_size=3584, latent_norm=True
    )
    assert total(latent, 7168) == 7168 * 896 + 896 * 3 * 3584 * 3072 + 2 * 7168 * 3584 + 3584
    assert active(latent, 7168) == 7168 * 896 + 16 * 3 * 3584 * 3072 + 2 * 7168 * 3584 + 3584


def test_more_active_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="9 of 8"):
        Experts(n_experts=8, n_active=9, intermediate_size=1)
    with pytest.raises(ValueError, match="0 of 8"):
        Experts(n_experts=8, n_active=0, intermediate_size=1)


def test_distinct_experts_of_a_batch() -> None:
    # One token reads its 8; two read 128·(1 − (120/128)²) = 15.5; very many read all 128.
    assert expected_distinct_experts(128, 8, 1) == pytest.approx(8)
    assert expected_distinct_experts(128, 8, 2) == pytest.approx(15.5)
    assert expected_distinct_experts(128, 8, 10_000) == pytest.approx(128)


def test_uneven_picks_reach_fewer_experts() -> None:
    # 1 − 0.9375 / (1 + 31 / 16), by hand; one token picks what it picks.
    assert uneven_read_share(8 / 128, 32) == pytest.approx(1 - 0.9375 / 2.9375)
    assert uneven_read_share(8 / 128, 1) == pytest.approx(8 / 128)
    shares = [uneven_read_share(8 / 128, n) for n in (1, 2, 8, 64, 512, 4096)]
    assert shares == sorted(shares)
    assert all(
        uneven <= expected_read_share(8 / 128, n)
        for uneven, n in zip(shares, (1, 2, 8, 64, 512, 4096), strict=True)
    )
    assert shares[-1] < 1


@given(n=st.integers(2, 300), data=st.data(), tokens=st.integers(1, 500))
def test_distinct_experts_lie_between_one_token_and_all(n: int, data: st.DataObject, tokens: int) -> None:
    k = data.draw(st.integers(1, n))
    distinct = expected_distinct_experts(n, k, tokens)
    assert k - 1e-9 <= distinct <= min(n, k * tokens) + 1e-9
    assert distinct <= expected_distinct_experts(n, k, tokens + 1) + 1e-9

"""Which layers stand for a network: the pattern is kept whole and types stay in proportion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.model.layer_sample import Pattern, find_pattern, sample_layers


@pytest.mark.parametrize(
    ("kinds", "pattern"),
    [
        ("aaaaaa", (0, 1)),  # like layers
        ("llllllgllllllgllllllg"[1:], None),  # five of one kind first, then six: the period is 7 after five
        ("lllllg" * 3, (0, 6)),  # Gemma-3-270M
        ("lllllg" * 10 + "ll", (0, 6)),  # Gemma-3-27B: the last period is a part of one
        ("d" + "m" * 26, (1, 1)),  # DeepSeek-V2-Lite: one dense layer, then mixtures
        ("ddd" + "m" * 58, (3, 1)),  # DeepSeek-V3
        ("rrra" * 12, (0, 4)),  # Qwen3-Next
        ("ab", None),
        ("a", None),
    ],
)
def test_the_pattern_of_known_networks(kinds: str, pattern: tuple[int, int] | None) -> None:
    found = find_pattern(kinds)
    if pattern is None:
        assert found is None or all(
            kinds[i] == kinds[i - found.period] for i in range(found.leading + found.period, len(kinds))
        )
    else:
        assert found == Pattern(n_layers=len(kinds), leading=pattern[0], period=pattern[1])


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), st.integers(2, 8), st.data())
def test_a_sample_is_leading_layers_and_whole_periods_in_order(
    period: list[str], n: int, data: st.DataObject
) -> None:
    kinds = ["x", *period * n]
    pattern = find_pattern(kinds)
    assert pattern is not None
    n_periods = data.draw(st.integers(1, pattern.n_periods))
    layers = sample_layers(pattern, [{"Q4_K": 1.0} for _ in kinds], n_periods)
    assert list(layers) == sorted(set(layers))
    assert len(layers) == pattern.leading + n_periods * pattern.period
    assert layers[: pattern.leading] == tuple(range(pattern.leading))
    assert [kinds[i] for i in layers] == kinds[: len(layers)]  # the same kinds as the network's first layers


def test_types_stay_in_proportion() -> None:
    # A Q4_K_M file gives half of its layers a larger type; the first and last eighth always, as here.
    heavy = {0, 1, 4, 7, 8, 11, 14, 15}
    weights = [{"Q6_K": 6.0} if layer in heavy else {"Q4_K": 4.0} for layer in range(16)]
    pattern = Pattern(n_layers=16, leading=0, period=1)
    for n in (2, 4, 8):
        layers = sample_layers(pattern, weights, n)
        assert sum(layer in heavy for layer in layers) == n // 2


def test_like_layers_are_spread_over_the_depth() -> None:
    pattern = Pattern(n_layers=30, leading=0, period=1)
    layers = sample_layers(pattern, [{"Q4_1": 1.0}] * 30, 3)
    assert layers[0] < 10 <= layers[1] < 20 <= layers[2]


def test_more_periods_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="asked for 5 periods of 4"):
        sample_layers(Pattern(n_layers=4, leading=0, period=1), [{}] * 4, 5)

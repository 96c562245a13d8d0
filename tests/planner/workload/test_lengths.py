"""Lengths: what is read, their means and tails, held against drawing them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.workload.lengths import Lengths, parse_lengths

TEXTS = ("512", "256-1024", "lognormal:512:0.8", "lognormal:512:0.8:2000", "quantiles:40/180/512/1500/8000")


@pytest.mark.parametrize("text", TEXTS)
def test_lengths_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_lengths(text)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_mean_and_tail_are_those_of_draws(text: str) -> None:
    lengths = parse_lengths(text)
    chance = random.Random(7)
    drawn = [lengths.draw(chance) for _ in range(60_000)]
    # The widest of these has a coefficient of variation of 1.3: 60,000 draws know its mean to 0.5 %.
    assert sum(drawn) / len(drawn) == pytest.approx(lengths.mean, rel=0.02)
    for n in (0, 100, 511, 512, 1500, 2000):
        share = sum(length > n for length in drawn) / len(drawn)
        assert share == pytest.approx(lengths.share_above(n), abs=0.01)
    assert min(drawn) >= lengths.smallest
    assert lengths.largest is None or max(drawn) <= lengths.largest


def test_a_log_normal_length_with_an_end_has_the_mean_of_the_cut_distribution() -> None:
    # median 100, σ 1, cut at its median: half of all are below, with mean 164.872 · Φ(0 − 1) = 26.158; the other
    # half are 100: 26.158 + 50 = 76.158.
    assert parse_lengths("lognormal:100:1:100").mean == pytest.approx(76.158, abs=1e-3)


def test_quantiles_are_joined_by_straight_lines() -> None:
    # Half of all between 0 and 10, half between 10 and 110: mean (5 + 60) / 2; above 59.5: half of the upper half.
    lengths = parse_lengths("quantiles:0/10/110", least=0)
    assert lengths.mean == 32.5
    assert lengths.share_above(59) == pytest.approx(0.5 * (110 - 59.5) / 100)


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=30), st.integers(0, 12_000))
def test_quantiles_of_equal_lengths_still_have_a_tail_between_0_and_1(points: list[int], n: int) -> None:
    lengths = Lengths(kind="quantiles", low=min(points), high=max(points), points=tuple(sorted(points)))
    assert 0 <= lengths.share_above(n + 1) <= lengths.share_above(n) <= 1
    assert min(points) <= lengths.mean <= max(points)


@pytest.mark.parametrize(
    "text",
    ["", "0", "-5", "5-4", "lognormal:0:1", "lognormal:5", "quantiles:5", "quantiles:9/5", "1e3", "9" * 9],
)
def test_what_is_no_length_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="no length in tokens, such as 512"):
        parse_lengths(text)


def test_no_thinking_at_all_is_a_length_where_it_is_allowed() -> None:
    assert parse_lengths("0", least=0).mean == 0

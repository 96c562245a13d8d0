"""What is measured when time is short, and when enough is enough."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.bench.schedule import (
    Pacing,
    busy_note,
    done_fraction,
    neighbours_note,
    relative_half_width,
    shared_out,
    tokens_that_fit,
    wants_another,
)

PACING = Pacing(min_repetitions=5, max_repetitions=40, spread_s=20.0)


def test_what_a_cheap_test_leaves_goes_to_the_dear_ones() -> None:
    # 10 s of the 60 are enough for the first, so the second has 50 of its 256; and 32 each where both are dear.
    assert shared_out([10.0, 256.0], 60.0) == (30.0, 50.0)
    assert shared_out([512.0, 384.0], 64.0) == (32.0, 32.0)
    assert shared_out([1.0, 2.0], 60.0) == (30.0, 59.0)  # both fit: neither is cut


def test_even_a_hopeless_model_gets_one_token() -> None:
    assert tokens_that_fit(128, 1000.0, 60) == 1


@given(st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=6), st.floats(1, 1000))
def test_shares_together_fit(costs_s: list[float], available_s: float) -> None:
    shares = shared_out(costs_s, available_s)
    used_s = sum(min(cost, share) for cost, share in zip(costs_s, shares, strict=True))
    assert used_s <= available_s * (1 + 1e-9)
    if sum(costs_s) <= available_s:
        assert all(share >= cost * (1 - 1e-9) for cost, share in zip(costs_s, shares, strict=True))


def test_an_interval_of_the_median_lies_between_order_statistics() -> None:
    # Of 16 samples the ranks are 8 ± 0.98·4, so the 5th and the 12th of them, counted from one.
    samples = [1.0] * 4 + [1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08] + [9.0] * 4
    assert relative_half_width(samples) == pytest.approx((1.08 - 1.01) / 2 / 1.045, rel=0.02)
    assert relative_half_width([1.0] * 4) is None


def test_repetitions_that_agree_end_early_but_not_within_one_slow_phase() -> None:
    agreeing, apart = [1.0, 1.001, 0.999, 1.0, 1.002], [1.0, 1.2, 0.9, 1.1, 1.3]
    assert not wants_another(agreeing, elapsed_s=13, budget_s=60, pacing=PACING)
    assert wants_another(agreeing, elapsed_s=11, budget_s=60, pacing=PACING)
    assert wants_another(apart, elapsed_s=13, budget_s=60, pacing=PACING)


def test_busy_neighbours_are_named() -> None:
    assert neighbours_note(None) is None
    assert neighbours_note(0.1) is None
    note = neighbours_note(1.72)
    assert note is not None
    assert note.startswith("other programs kept 1.7 cores busy")


def test_five_repetitions_and_twenty_seconds_are_enough() -> None:
    assert wants_another([1.0] * 4, elapsed_s=30, budget_s=60, pacing=PACING)  # too few
    assert wants_another([1.0] * 9, elapsed_s=10, budget_s=60, pacing=PACING)  # too short: one slow phase
    assert not wants_another([1.0] * 5, elapsed_s=20, budget_s=60, pacing=PACING)


def test_nothing_is_started_that_would_overrun() -> None:
    # Repetitions take 15 s: at 46 s the next would end at 61.
    assert wants_another([15.0, 15.0], elapsed_s=44, budget_s=60, pacing=PACING)
    assert not wants_another([15.0, 15.0], elapsed_s=46, budget_s=60, pacing=PACING)


def test_the_first_repetition_is_always_run() -> None:
    assert wants_another([], elapsed_s=1000, budget_s=60, pacing=PACING)


def test_a_tiny_model_does_not_fill_the_time() -> None:
    assert not wants_another([0.01] * 40, elapsed_s=1, budget_s=60, pacing=PACING)


def test_progress_follows_the_slower_of_repetitions_and_time() -> None:
    assert done_fraction(5, 10, 60, PACING) == 0.5  # all repetitions, half of the 20 s
    assert done_fraction(1, 25, 60, PACING) == 25 / 60  # one of five repetitions, but 25 s of 60 are gone
    assert done_fraction(40, 1, 60, PACING) == 1.0


def test_disagreeing_repetitions_are_pointed_out() -> None:
    # Median 1.3 over minimum 1.0 is above 1.25; 1.2 is not.
    note = busy_note("tg128", [1.0, 1.3, 1.4])
    assert note is not None
    assert "1.30 times" in note
    assert "busy" in note
    assert busy_note("tg128", [1.0, 1.2, 1.4]) is None
    assert busy_note("tg128", [1.0]) is None


@pytest.mark.parametrize("n_done", range(45))
def test_progress_stays_within_0_and_1(n_done: int) -> None:
    assert 0 <= done_fraction(n_done, n_done * 2.0, 60, PACING) <= 1

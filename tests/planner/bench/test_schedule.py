"""What is measured when time is short, and when enough is enough."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.bench.schedule import (
    Pacing,
    busy_note,
    done_fraction,
    plan,
    tokens_that_fit,
    wants_another,
)

PACING = Pacing(min_repetitions=5, max_repetitions=40, spread_s=20.0)


def test_a_fast_model_is_measured_in_full_with_a_warm_up() -> None:
    # pp512 takes 2 s, tg128 1.3 s: warm-up, prompt and generation are 5.3 s of 60.
    chosen = plan(512, 128, 2 / 512, 1.3 / 128, 60)
    assert (chosen.n_prompt, chosen.n_gen, chosen.full_warm_up) == (512, 128, True)


def test_the_warm_up_goes_first_when_time_is_short() -> None:
    # pp512 25 s + tg128 15 s = 40 s fit into 60; another 25 s for a warm-up would not.
    chosen = plan(512, 128, 25 / 512, 15 / 128, 60)
    assert (chosen.n_prompt, chosen.n_gen, chosen.full_warm_up) == (512, 128, False)


def test_a_generation_too_slow_for_the_time_is_shortened() -> None:
    # 2 s per token: tg128 would take 256 s. The prompt's 10 s leave 50 s: 64 → 128 s, 32 → 64 s, 16 → 32 s.
    chosen = plan(512, 128, 10 / 512, 2.0, 60)
    assert (chosen.n_prompt, chosen.n_gen) == (512, 16)


def test_a_prompt_too_slow_for_the_time_is_shortened() -> None:
    # 1 s per prompt token, generation 10 s in all: of the 50 s left, 32 tokens fit (64 would take 64 s).
    chosen = plan(512, 128, 1.0, 10 / 128, 60)
    assert (chosen.n_prompt, chosen.n_gen) == (32, 128)


def test_both_too_slow_share_the_time() -> None:
    # 30 s each: 16 prompt tokens at 1.5 s = 24 s (32 would be 48 s), 8 generated at 3 s = 24 s.
    chosen = plan(512, 128, 1.5, 3.0, 60)
    assert (chosen.n_prompt, chosen.n_gen) == (16, 8)


def test_even_a_hopeless_model_gets_one_token() -> None:
    assert tokens_that_fit(128, 1000.0, 60) == 1


@given(
    n_prompt=st.integers(0, 4096),
    n_gen=st.integers(1, 4096),
    prompt_s=st.floats(1e-6, 100),
    gen_s=st.floats(1e-6, 100),
    available_s=st.floats(1, 1000),
)
def test_a_plan_fits_unless_it_is_down_to_single_tokens(
    n_prompt: int, n_gen: int, prompt_s: float, gen_s: float, available_s: float
) -> None:
    chosen = plan(n_prompt, n_gen, prompt_s, gen_s, available_s)
    takes_s = chosen.n_prompt * prompt_s + chosen.n_gen * gen_s
    assert 0 <= chosen.n_prompt <= n_prompt
    assert 1 <= chosen.n_gen <= n_gen
    assert takes_s <= available_s * (1 + 1e-9) or min(chosen.n_prompt, chosen.n_gen) <= 1
    if chosen.full_warm_up:
        assert takes_s + chosen.n_prompt * prompt_s <= available_s * (1 + 1e-9)


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

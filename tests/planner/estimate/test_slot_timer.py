"""Steps of llama-server: as long as the speeds that they are made of, whichever way prompts and answers are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import MissingFactError
from planner.estimate.placement import place
from planner.estimate.slot_timer import SlotTimer, slot_timer
from planner.estimate.speed import SpeedFacts, decode_speed, prefill_speed
from planner.simulate.llama_server import slot_policy
from planner.simulate.request_spec import RequestSpec
from planner.simulate.simulator import simulate
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model
from tests.planner.estimate.test_several_tokens import FACTS

FLAGS = LlamaCppFlags(n_context_tokens=16_384, n_sequences=4, unified_cache=False)
BOX = machine(card(memory_gib=48))
LLAMA = model("llama")
PLACED = place(LLAMA, BOX, FLAGS)
TIMER = slot_timer(LLAMA, PLACED, BOX, FACTS)


def rate(n_sequences: int, depth: int) -> float:
    found = decode_speed(LLAMA, PLACED, BOX, FACTS, depth, n_sequences).tokens_per_s
    assert found is not None
    return found.expected


@pytest.mark.parametrize("n", [1, 4])
def test_a_step_of_decoding_is_that_of_the_speed_model(n: int) -> None:
    empty_s, per_token_s = TIMER.decode(n)
    assert empty_s == pytest.approx(n / rate(n, 0))
    assert empty_s + per_token_s * n * 1024 == pytest.approx(n / rate(n, 1024))


def test_idle_slots_between_busy_ones_part_a_step() -> None:
    # Two of four slots lie in 2 · 3 / 4 = 1.5 rows of 4/3 slots on average, three in 1.5 rows of 2.
    one, two = 1 / rate(1, 0), 2 / rate(2, 0)
    assert TIMER.decode(2)[0] == pytest.approx(1.5 * (one + (two - one) / 3))
    assert TIMER.decode(3)[0] == pytest.approx(1.5 * two)


def test_a_prompt_alone_takes_what_its_speed_says() -> None:
    found = prefill_speed(LLAMA, PLACED, BOX, FACTS, 2048).tokens_per_s
    assert found is not None
    alone_s = TIMER.mixed(0, 0, 2048, 2048 * 2048 // 2)
    assert alone_s == pytest.approx(2048 / found.expected, rel=1e-6)


@given(st.integers(1, 4), st.integers(0, 8000), st.integers(1, 2048), st.integers(0, 10**7))
def test_reading_beside_decoding_takes_longer_than_either(
    n: int, cached: int, chunk: int, pairs: int
) -> None:
    both = TIMER.mixed(n, cached, chunk, pairs)
    # A prompt may fill the idle slot that parted the step.
    assert both >= min(TIMER.empty_s[n], TIMER.empty_s[min(n + 1, 4)]) + TIMER.cached_token_s[n] * cached
    assert both >= TIMER.mixed(0, 0, chunk, pairs)


def test_one_cache_for_all_slots_reads_the_weights_once() -> None:
    shared = LlamaCppFlags(n_context_tokens=16_384, n_sequences=4, unified_cache=True)
    unified = slot_timer(LLAMA, place(LLAMA, BOX, shared), BOX, FACTS)
    assert unified.mixed(3, 0, 500, 0) < TIMER.mixed(3, 0, 500, 0)
    assert unified.decode(4) == TIMER.decode(4)
    assert unified.decode(3)[0] < TIMER.decode(3)[0]


def test_bounds_are_in_order() -> None:
    low, high = (slot_timer(LLAMA, PLACED, BOX, FACTS, bound=bound) for bound in ("low", "high"))
    for n in (1, 4):
        assert low.decode(n)[0] < TIMER.decode(n)[0] < high.decode(n)[0]
    assert low.mixed(2, 0, 512, 0) < TIMER.mixed(2, 0, 512, 0) < high.mixed(2, 0, 512, 0)


def test_the_server_samples_one_slot_after_the_other() -> None:
    slow = slot_timer(LLAMA, PLACED, BOX, FACTS, sample_s=0.001)
    assert slow.decode(4)[0] == pytest.approx(TIMER.decode(4)[0] + 0.004)


def test_without_facts_the_missing_one_is_named() -> None:
    with pytest.raises(MissingFactError):
        slot_timer(LLAMA, PLACED, BOX, SpeedFacts())


def test_slots_of_their_own_refuse_what_is_longer_than_their_share() -> None:
    policy = slot_policy(FLAGS)
    assert (policy.max_sequences, policy.sequence_tokens, policy.kv_tokens) == (4, 4096, 16_384)
    assert slot_policy(LlamaCppFlags(n_context_tokens=16_384, n_sequences=4)).sequence_tokens == 16_384
    plan = [
        RequestSpec(arrival_s=0.0, n_prompt_tokens=4000, n_output_tokens=n_output) for n_output in (96, 97)
    ]
    served, refused = simulate(policy, TIMER, plan).requests
    assert served.rejected is None
    assert refused.rejected == "4097 tokens are more than the 4096 that a request may have"


def test_a_fifth_request_waits_for_a_slot() -> None:
    plan = [RequestSpec(arrival_s=0.0, n_prompt_tokens=100, n_output_tokens=50) for _ in range(5)]
    *first, last = simulate(slot_policy(FLAGS), TIMER, plan).requests
    assert (last.first_s or 0) > max(times.last_s or 0 for times in first)


def test_the_timer_is_a_step_timer() -> None:
    assert isinstance(TIMER, SlotTimer)

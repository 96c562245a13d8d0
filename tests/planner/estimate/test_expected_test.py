"""What is expected of a benchmark's tests: the estimates of the same work, and of nothing else."""

from dataclasses import replace

import pytest

from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.expected_test import Expectation
from planner.estimate.measurement import Measurement
from planner.estimate.placement import place
from planner.estimate.speed import SpeedEstimate, decode_speed, prefill_speed
from tests.planner.estimate.machines import machine
from tests.planner.estimate.models import model
from tests.planner.estimate.test_several_tokens import FACTS

BOX, FOUND = machine(), model("llama")
PLACED = place(FOUND, BOX, LlamaCppFlags(n_context_tokens=640))
EXPECTATION = Expectation(model=FOUND, placement=PLACED, machine=BOX, facts=FACTS)
DECODE = Measurement(
    phase="decode", n_prompt_tokens=0, n_generated_tokens=128, n_depth_tokens=0, samples_s=(1.0,)
)
PREFILL = replace(DECODE, phase="prefill", n_prompt_tokens=512, n_generated_tokens=0)


def expected(estimate: SpeedEstimate | None) -> float:
    assert estimate is not None
    assert estimate.tokens_per_s is not None
    return estimate.tokens_per_s.expected


@pytest.mark.parametrize(("depth", "n_sequences"), [(0, 1), (1024, 1), (0, 8), (512, 4)])
def test_decoding_is_expected_half_way_through_what_it_generates(depth: int, n_sequences: int) -> None:
    test = replace(DECODE, n_depth_tokens=depth, n_sequences=n_sequences)
    same = decode_speed(FOUND, PLACED, BOX, FACTS, depth + 64, n_sequences)
    assert expected(EXPECTATION.of(test)) == expected(same)


def test_a_prompt_is_expected_at_its_length() -> None:
    longer = replace(PREFILL, n_prompt_tokens=2048)
    assert expected(EXPECTATION.of(PREFILL)) == expected(prefill_speed(FOUND, PLACED, BOX, FACTS, 512))
    assert expected(EXPECTATION.of(longer)) == expected(prefill_speed(FOUND, PLACED, BOX, FACTS, 2048))


def test_other_work_is_not_expected() -> None:
    # With other threads than the engine's own, or behind a cache that the prompt estimate does not have.
    tests = (DECODE, replace(DECODE, n_threads=1), replace(PREFILL, n_depth_tokens=1024), PREFILL)
    assert set(EXPECTATION.of_all(tests)) == {"tg128", "pp512"}

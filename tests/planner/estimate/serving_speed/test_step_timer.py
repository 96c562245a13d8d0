"""Steps for a simulation are those of the closed form, wherever both can be asked."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.engines.sharding import Parallel
from planner.estimate.serving_speed.deployment import Deployment, batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.schedule import Schedule
from planner.estimate.serving_speed.served_latency import ServingFacts
from planner.estimate.serving_speed.spread import Kind, Spread
from planner.estimate.serving_speed.step_rates import StepRates
from planner.estimate.serving_speed.step_time import prompt_step_s
from planner.estimate.serving_speed.step_timer import ServingStepTimer, serving_step_timer
from tests.planner.estimate.serving_speed.questions import START, deployment

MODELS = ("llama-3.1-8b-instruct", "qwen3-30b-a3b", "deepseek-r1", "qwen3.5-397b-a17b", "gpt-oss-120b")
FACTS = ServingFacts(
    rates=START,
    spreads=(
        Spread(quantity="tpot", kind=Kind(), low_ratio=0.8, high_ratio=1.5, n_groups=9, source="a test"),
    ),
)


def timer(one: Deployment, **changes: Any) -> ServingStepTimer:
    asked = {"max_sequences": 256, "max_batched_tokens": 8192, **changes}
    return serving_step_timer(one, FACTS, **asked)


@given(
    name=st.sampled_from(MODELS),
    ranks=st.sampled_from(
        (Parallel(), Parallel(tensor=8), Parallel(tensor=8, attention_replicas=8, expert=8))
    ),
    n=st.integers(1, 256),
)
@settings(max_examples=30, deadline=None)
def test_a_step_half_way_through_the_answers_is_the_closed_forms(name: str, ranks: Parallel, n: int) -> None:
    one = deployment(name, ranks=ranks, n_requests=n * ranks.attention_replicas)
    empty_s, cached_token_s = timer(one).decode(n)
    cached = n * (one.n_prompt_tokens + one.n_output_tokens // 2)
    expected = latency(batch([one]), START).decode_step_s[0]
    assert empty_s + cached_token_s * cached == pytest.approx(expected, rel=1e-9)
    assert empty_s > 0 and cached_token_s >= 0


@given(name=st.sampled_from(MODELS), n_prompt=st.integers(2, 8192))
@settings(max_examples=40, deadline=None)
def test_a_whole_prompt_alone_is_the_closed_forms(name: str, n_prompt: int) -> None:
    one = deployment(name, ranks=Parallel(tensor=4), n_prompt_tokens=n_prompt)
    found = timer(one).mixed(0, 0, n_prompt, n_prompt**2 // 2)
    # Between two points of the table the times run on a line.
    assert found == pytest.approx(float(prompt_step_s(batch([one]), START)[0]), rel=0.02)


@given(
    name=st.sampled_from(MODELS), n=st.integers(0, 256), chunk=st.integers(1, 8192), more=st.integers(1, 4096)
)
@settings(max_examples=40, deadline=None)
def test_more_work_is_never_faster(name: str, n: int, chunk: int, more: int) -> None:
    found = timer(deployment(name, ranks=Parallel(tensor=4)), max_sequences=257)
    cached, pairs = n * 1000, chunk * 500
    least = found.mixed(n, cached, chunk, pairs)
    assert found.mixed(n + 1, cached + 1000, chunk, pairs) >= least
    assert found.mixed(n, cached, min(8192, chunk + more), pairs) >= least
    assert found.mixed(n, cached, chunk, pairs + more) >= least
    assert least > sum(found.decode(n)) * (n > 0)


def test_what_the_host_launches_runs_beside_the_decoding() -> None:
    # The host launches 32 layers for 32 · 0.3 ms = 9.6 ms. Alone that hides a token that is read; beside a decoding step
    # of four times as long it is hidden itself: what a token adds is what the GPU takes for it, and a little more.
    one = timer(deployment())
    assert one.host_s == pytest.approx(32 * 3e-4)
    alone = one.mixed(0, 0, 1, 1)
    empty_s, cached_token_s = one.decode(256)
    decoding_s = empty_s + 256_000 * cached_token_s
    added = one.mixed(256, 256_000, 1, 1) - decoding_s
    assert decoding_s > 4 * one.host_s and alone > one.host_s
    assert added < 1.1 * (alone**3 - one.host_s**3) ** (1 / 3)


def test_prompts_cost_those_that_wait_what_the_closed_form_counts_of_them() -> None:
    # The closed form counts 0.7 of a prompt, whether others decode beside it or wait for its step.
    rates = StepRates(summands={("prompt_interference", "*"): math.log(0.7)})
    one = serving_step_timer(
        deployment(engine="sglang"), replace(FACTS, rates=rates), max_sequences=64, max_batched_tokens=8192
    )
    alone = one.prompts(0, 2000, 2_000_000)
    assert one.mixed(0, 0, 2000, 2_000_000) == alone
    assert one.prompts(1, 2000, 2_000_000) == one.prompts(64, 2000, 2_000_000) == pytest.approx(0.7 * alone)


def test_drafted_tokens_make_a_step_count_for_several() -> None:
    # One token drafted, half of them accepted: 1 + 0.5 tokens a step.
    one = deployment(n_requests=1, schedule=Schedule(draft_tokens=1))
    middle = one.n_prompt_tokens + one.n_output_tokens // 2
    empty_s, cached_token_s = timer(one).decode(1)
    whole = latency(batch([one]), START).decode_step_s[0]
    assert empty_s + cached_token_s * middle == pytest.approx(whole / 1.5)


def test_bounds_stretch_every_second_alike() -> None:
    one = deployment()
    low, expected, high = (timer(one, bound=bound) for bound in ("low", "expected", "high"))
    assert np.allclose(np.array(low.empty_s), 0.8 * np.array(expected.empty_s))
    for n, chunk in ((0, 100), (3, 8192)):
        seconds = expected.mixed(n, n * 1000, chunk, chunk**2 // 2)
        assert low.mixed(n, n * 1000, chunk, chunk**2 // 2) == pytest.approx(0.8 * seconds)
        assert high.mixed(n, n * 1000, chunk, chunk**2 // 2) == pytest.approx(1.5 * seconds)

"""Prompts and answers on replicas of their own: the same work, no step with both, and time for moving between them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulate.apart import Side, simulate_apart
from planner.simulate.policy import Policy
from planner.simulate.request_spec import RequestSpec
from planner.simulate.simulator import simulate
from tests.planner.simulate.line import Line
from tests.planner.simulate.test_simulator import ROOMY, request

TIMER = Line(step_s=0.01, prompt_s=1e-4)


def sides(n_reading: int = 1, n_decoding: int = 1, **policy: Any) -> tuple[Side, Side]:
    found = replace(ROOMY, **policy)
    return (
        Side(policy=found, timer=TIMER, count=n_reading),
        Side(policy=found, timer=TIMER, count=n_decoding),
    )


def test_one_request_by_hand() -> None:
    # Its prompt takes 0.01 + 1000 · 1e-4 s, its cache 0.05 s on the way, then four steps give four more tokens.
    result = simulate_apart(*sides(), [request(1.0, 1000, 5)], move_s=lambda n: n * 5e-5)
    (times,) = result.requests
    assert times.ttft_s == pytest.approx(0.11)
    assert times.e2e_s == pytest.approx(0.11 + 0.05 + 0.04)
    assert result.decoding[0].n_prefill_tokens == 0
    assert result.reading[0].n_output_tokens == 1


def test_a_long_prompt_does_not_stop_what_decodes() -> None:
    long_one = [request(0.0, 100, 60), request(0.2, 20_000, 2)]
    apart = simulate_apart(*sides(max_batched_tokens=32_768), long_one, move_s=lambda n: 0.0)
    together = simulate(replace(ROOMY, max_batched_tokens=32_768), TIMER, long_one)
    first = apart.requests[0]
    assert first.tpot_s == pytest.approx(0.01)
    assert (together.requests[0].tpot_s or 0) > 0.04  # two seconds of reading between its tokens


def test_requests_go_where_the_fewest_are() -> None:
    plan = [request(0.0, 1000, 50) for _ in range(8)]
    result = simulate_apart(*sides(2, 4), plan, move_s=lambda n: 0.0)
    assert [len(one.requests) for one in result.reading] == [4, 4]
    assert [len(one.requests) for one in result.decoding] == [2, 2, 2, 2]


def test_an_answer_of_one_token_is_never_moved() -> None:
    result = simulate_apart(*sides(), [request(0.0, 100, 1)], move_s=lambda n: 100.0)
    assert result.requests[0].e2e_s == pytest.approx(0.02)
    assert not result.decoding[0].requests


def test_what_is_too_long_for_the_decoding_side_is_refused_there() -> None:
    reading, decoding = sides()
    small = replace(decoding, policy=replace(ROOMY, sequence_tokens=120))
    result = simulate_apart(
        reading, small, [request(0.0, 100, 50), request(0.0, 100, 20)], move_s=lambda n: 0.0
    )
    assert result.requests[0].rejected is not None and result.requests[1].rejected is None


def test_a_closed_loop_goes_on_after_the_last_token() -> None:
    left = [request(0.0, 50, 5) for _ in range(30)]

    def again(ended: RequestSpec, now_s: float, is_served: bool) -> list[RequestSpec]:
        return [replace(left.pop(), arrival_s=now_s)] if left else []

    result = simulate_apart(
        *sides(), [request(0.0, 50, 5) for _ in range(3)], move_s=lambda n: 0.0, next_requests=again
    )
    assert len(result.requests) == 33
    under_way = sum(times.e2e_s or 0 for times in result.requests) / max(
        t.last_s or 0 for t in result.requests
    )
    assert under_way == pytest.approx(3, rel=0.05)


plans = st.lists(
    st.builds(
        RequestSpec, arrival_s=st.floats(0, 3), n_prompt_tokens=st.integers(1, 200), n_output_tokens=st.integers(1, 40)
    ),
    min_size=1,
    max_size=20,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(plan=plans, n_reading=st.integers(1, 3), n_decoding=st.integers(1, 3), kv=st.integers(240, 2000))
def test_everything_is_served_in_order_of_cause(
    plan: list[RequestSpec], n_reading: int, n_decoding: int, kv: int
) -> None:
    policy = Policy(max_sequences=4, max_batched_tokens=64, kv_tokens=kv)
    reading = Side(policy=policy, timer=TIMER, count=n_reading)
    decoding = Side(policy=policy, timer=TIMER, count=n_decoding)
    result = simulate_apart(reading, decoding, plan, move_s=lambda n: 1e-4 * n)
    assert len(result.requests) == len(plan)
    for spec, times in zip(plan, result.requests, strict=True):
        assert times.first_s is not None and times.last_s is not None
        assert spec.arrival_s < times.first_s <= times.last_s
        if spec.n_output_tokens > 1:
            # Moving takes its time, and each further token a step.
            least = 1e-4 * spec.n_prompt_tokens + 0.01 * (spec.n_output_tokens - 1)
            assert times.last_s - times.first_s >= least - 1e-9
    made = sum(one.n_output_tokens for one in (*result.reading, *result.decoding))
    assert made == sum(spec.n_output_tokens for spec in plan)

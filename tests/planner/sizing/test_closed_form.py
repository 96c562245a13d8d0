"""Without a simulation: worked numbers, and bounds that the simulation keeps to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.simulate.policy import Policy
from planner.simulate.request_spec import RequestSpec
from planner.sizing.closed_form import impossible, means_of, most_at_once, most_requests_per_s, most_users
from planner.sizing.replica import BUSIEST, Replica, capacity, saturation
from planner.sizing.sampled_load import sampled_load
from planner.workload.lengths import parse_lengths
from planner.workload.workload import Measure, Objective, Traffic, Workload
from tests.planner.simulate.line import Line

ROOMY = Policy(max_sequences=64, max_batched_tokens=2048, kv_tokens=1_000_000)


def objective(measure: Measure, limit_s: float) -> Objective:
    return Objective(measure=measure, quantile=0.95, limit_s=limit_s)


def requests(n: int, prompt: int, output: int) -> tuple[RequestSpec, ...]:
    return tuple(RequestSpec(arrival_s=0.0, n_prompt_tokens=prompt, n_output_tokens=output) for _ in range(n))


def test_means_weigh_contexts_by_what_is_decoded_at_them() -> None:
    # 100 + 10 / 2 tokens for 10 steps and 1000 + 30 / 2 for 30: (10 · 105 + 30 · 1015) / 40 = 787.5.
    means = means_of((*requests(1, 100, 10), *requests(1, 1000, 30)), prefix_cache=True)
    assert (means.n_read_tokens, means.n_output_tokens) == (550, 20)
    assert means.n_cached_tokens == pytest.approx(787.5)


def test_a_request_alone_that_breaks_an_objective_is_told_in_numbers() -> None:
    # 5,000 tokens in chunks of 2,048: three steps of 0.01 s and 5,000 · 0.0001 s: 0.53 s, and 0.02 s of the host.
    timer = Line(prompt_s=1e-4)
    reason = impossible(timer, ROOMY, requests(20, 5000, 10), (objective("ttft", 0.5),), 0.02)
    assert reason == "the first token of a request alone takes 550 ms at p95, over 500 ms"
    assert impossible(timer, ROOMY, requests(20, 5000, 10), (objective("ttft", 0.56),), 0.02) is None
    assert impossible(Line(step_s=0.05), ROOMY, requests(20, 9, 9), (objective("tpot", 0.04),)) is not None
    # 100 tokens after the first of 0.01 s each, and one step that reads: 1.01 s.
    assert impossible(Line(), ROOMY, requests(20, 9, 101), (objective("e2e", 1.0),)) is not None
    assert impossible(Line(), ROOMY, requests(20, 9, 101), (objective("e2e", 1.02),)) is None


def test_the_batch_is_bounded_by_engine_pool_and_objective() -> None:
    means = means_of(requests(1, 900, 200), prefix_cache=True)  # 1,000 tokens in the cache of each
    assert most_at_once(Line(), ROOMY, means, ()) == 64
    assert (
        most_at_once(Line(), Policy(max_sequences=64, max_batched_tokens=64, kv_tokens=9_500), means, ()) == 9
    )
    # A step of 0.01 + n · 0.001 s is within 0.03 s for up to 20 sequences.
    slow = Line(sequence_s=0.001)
    assert most_at_once(slow, ROOMY, means, (objective("tpot", 0.0301),)) == 20
    limits = (objective("tpot", 0.0301),)
    # With a tenth of slack in the limit, 0.0331 s, 23 are, and a quarter of slack on top of them.
    assert most_users(slow, ROOMY, means, limits) == pytest.approx(23 * 1.25 + 1)
    # 23 at once end 23 / (200 · 0.033 s) requests a second, reading taking nothing here: of users who think for 6.6 s after
    # each, 23 are idle.
    assert most_users(slow, ROOMY, means, limits, 6.6) == pytest.approx((23 + 23) * 1.25 + 1)
    # All 64 places are taken at steps of 0.01 s: 64 / 2 s = 32 requests a second, of which 16 wait within half a second.
    fast = most_users(Line(), ROOMY, means, (objective("ttft", 0.5),))
    assert fast == pytest.approx((64 + 16) * 1.25 + 1)


TIMERS = st.builds(
    Line,
    step_s=st.floats(0.002, 0.03),
    sequence_s=st.floats(0.0, 5e-4),
    cached_s=st.floats(0.0, 2e-7),
    prompt_s=st.floats(0.0, 1e-4),
)


@settings(max_examples=20, deadline=None)
@given(
    timer=TIMERS,
    most=st.integers(4, 128),
    pool=st.integers(3_000, 200_000),
    prompt=st.sampled_from(["64", "500-1500", "lognormal:400:0.8:2000"]),
    output=st.sampled_from(["16", "50-150", "lognormal:100:0.6:500"]),
    limits=st.tuples(st.floats(0.05, 2.0), st.floats(0.01, 0.2)),
)
def test_no_simulated_rate_is_above_the_bound(
    timer: Line, most: int, pool: int, prompt: str, output: str, limits: tuple[float, float]
) -> None:
    # The search does not simulate what its bound rules out: a bound below a capacity would lose an answer.
    workload = Workload(
        name="any",
        prompt=parse_lengths(prompt),
        output=parse_lengths(output),
        traffic=Traffic(tasks_per_s=1.0),
    )
    load = sampled_load(workload, 300, 1)
    policy = Policy(max_sequences=most, max_batched_tokens=2048, kv_tokens=pool)
    objectives = (objective("ttft", limits[0]), objective("tpot", limits[1]))
    replica = Replica(policy=policy, timer=timer)
    means = means_of(load.requests, prefix_cache=True)
    bound = most_requests_per_s(timer, policy, means, objectives)
    able = saturation(replica, load.serve, most_at_once(timer, policy, means, ()))
    reached = capacity(replica, load.serve, objectives, BUSIEST * able).load
    if reached is not None:
        assert reached <= bound
        assert impossible(timer, policy, load.requests, objectives) is None


@settings(max_examples=20, deadline=None)
@given(
    timer=TIMERS,
    most=st.integers(2, 32),
    pool=st.integers(3_000, 60_000),
    prompt=st.sampled_from(["64", "500-1500"]),
    output=st.sampled_from(["16", "50-150"]),
    limits=st.tuples(st.floats(0.05, 2.0), st.floats(0.01, 0.2)),
    think_s=st.sampled_from([0.0, 0.5, 5.0]),
)
def test_no_simulated_number_of_users_is_above_the_bound(
    timer: Line, most: int, pool: int, prompt: str, output: str, limits: tuple[float, float], think_s: float
) -> None:
    # Users who think have nothing on the replica meanwhile: several times as many as run at once.
    workload = Workload(
        name="any", prompt=parse_lengths(prompt), output=parse_lengths(output),
        traffic=Traffic(concurrency=1, think_s=think_s),
    )  # fmt: skip
    load = sampled_load(workload, 200, 1)
    policy = Policy(max_sequences=most, max_batched_tokens=2048, kv_tokens=pool)
    objectives = (objective("ttft", limits[0]), objective("tpot", limits[1]))
    bound = most_users(
        timer, policy, means_of(load.requests, prefix_cache=True), objectives, load.idle_s_per_request
    )
    reached = capacity(Replica(policy=policy, timer=timer), load.serve, objectives, 1.5 * bound).load
    assert reached is None or reached <= bound

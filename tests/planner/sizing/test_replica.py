"""What one replica carries: percentiles by hand, and capacities against queueing theory."""

import math
from dataclasses import replace
from statistics import fmean, pstdev

import pytest

from planner.simulate.drawn_requests import draw_plan
from planner.simulate.policy import Policy
from planner.simulate.result import RequestTimes, SimulationResult
from planner.simulate.step_timer import StepTimer
from planner.sizing.replica import Replica, capacity, first_broken, long_run, percentile_s, saturation
from planner.sizing.sampled_load import SampledLoad, sampled_load
from planner.workload.lengths import parse_lengths
from planner.workload.workload import AgentLoop, Measure, Objective, Traffic, Workload
from tests.planner.simulate.line import Line

ONE = Workload(
    name="one", prompt=parse_lengths("10"), output=parse_lengths("100"), traffic=Traffic(tasks_per_s=1.0)
)
# One request at a time, 100 steps of 0.01 s: one second each.
SINGLE = Policy(max_sequences=1, max_batched_tokens=2048, kv_tokens=100_000)


def objective(measure: Measure, limit_s: float, quantile: float = 0.95) -> Objective:
    return Objective(measure=measure, quantile=quantile, limit_s=limit_s)


def run(times: list[RequestTimes]) -> SimulationResult:
    return SimulationResult(
        requests=times, end_s=1.0, busy_s=1.0, n_steps=1, n_preemptions=0, n_output_tokens=1, n_prefill_tokens=1,
        mean_running=1.0, mean_waiting=0.0, peak_blocks=1,
    )  # fmt: skip


def served(index: int, ttft_s: float, **rest: object) -> RequestTimes:
    facts = {"n_prompt_tokens": 1, "n_output_tokens": 11, "first_s": ttft_s, "last_s": ttft_s + 1.0} | rest
    return RequestTimes(index=index, arrival_s=0.0, **facts)  # type: ignore[arg-type]


def test_percentiles_leave_the_ends_out_and_never_round_down() -> None:
    # Of 100 requests the first 20 and the last 10 are left out; of the 70 others ⌈0.95 · 70⌉ = 67th is taken: 20 + 66.
    result = run([served(i, float(i)) for i in range(100)])
    assert percentile_s(result, objective("ttft", 1.0)) == 86.0
    assert percentile_s(result, objective("ttft", 1.0), 0.5) == 86.5  # the host's own time comes on top
    assert percentile_s(result, objective("e2e", 1.0)) == 87.0
    assert percentile_s(result, objective("tpot", 1.0)) == pytest.approx(0.1)  # 1 s for 10 tokens
    broken = first_broken(result, (objective("tpot", 0.2), objective("ttft", 80.0)), 0.0)
    assert broken == (objective("ttft", 80.0), 86.0)


def test_requests_that_are_turned_away_break_everything() -> None:
    result = run([served(0, 0.1), served(1, 0.1, first_s=None, last_s=None, rejected="too long")])
    assert percentile_s(result, objective("ttft", 100.0)) == math.inf


def test_saturation_is_one_over_the_service_time() -> None:
    load = sampled_load(ONE, 200, 0)
    assert saturation(Replica(policy=SINGLE, timer=Line()), load.serve, 1) == pytest.approx(1.0)
    # Eight at once in steps that take no longer: eight times as many.
    batch = Replica(policy=replace(SINGLE, max_sequences=8), timer=Line())
    assert saturation(batch, load.serve, 8) == pytest.approx(8.0, rel=0.02)
    twins = Replica(policy=SINGLE, timer=Line(), n_attention_replicas=2)
    assert saturation(twins, load.serve, 1) == pytest.approx(2.0)


def test_saturation_of_a_replica_with_more_places_than_the_sample_has_requests() -> None:
    # 1,000 places, steps of 0.01 s and 0.1 ms for each sequence in them: 1,000 · 100 tokens take 100 · 0.11 s, so 90.9
    # requests a second. All 200 of the sample at once would take 100 · 0.03 s and say 66.7; the first to end, far more.
    replica = Replica(
        policy=replace(SINGLE, max_sequences=1000, kv_tokens=10**7), timer=Line(sequence_s=1e-4)
    )
    load = sampled_load(replace(ONE, output=parse_lengths("50-150")), 200, 0)
    assert saturation(replica, load.serve, 1000) == pytest.approx(90.9, rel=0.03)


def test_a_short_sample_carries_what_a_long_one_does() -> None:
    # Here 100 tasks a second keep 300 requests under way: a run of 200 would never be full and hold at any load.
    policy = replace(SINGLE, max_sequences=1000, kv_tokens=10**7)
    replica = Replica(policy=policy, timer=Line(sequence_s=1e-4))
    workload = replace(ONE, output=parse_lengths("50-150"))
    limits = (objective("tpot", 0.035), objective("ttft", 1.0))
    found = [capacity(replica, sampled_load(workload, n, 0).serve, limits, 1000.0).load for n in (200, 8_000)]
    assert found[0] is not None and found[0] == pytest.approx(found[1], rel=0.08)


def test_a_doubtful_load_is_run_at_length_and_a_clear_one_is_not() -> None:
    load = sampled_load(ONE, 200, 0)
    asked: list[tuple[float, int]] = []

    def serve(policy: Policy, timer: StepTimer, at: float, n_requests: int) -> SimulationResult:
        asked.append((at, n_requests))
        return load.serve(policy, timer, at, n_requests)

    # A first token takes one step of 0.01 s and the wait for other answers, of a second each.
    capacity(Replica(policy=SINGLE, timer=Line()), serve, (objective("ttft", 3.61),), 0.95)
    short, long = ({at for at, n in asked if bool(n) is is_long} for is_long in (False, True))
    assert long < short  # no load was run at length without need, and all were run
    assert all(0.4 < at < 0.95 for at in long)  # M/D/1: at 0.4 a wait of 3.6 s is one in thousands


def test_more_users_than_the_sample_has_tasks() -> None:
    # 500 places and 1,000 users who never wait to ask: half of them always wait, for as long as an answer takes.
    users = replace(ONE, traffic=Traffic(concurrency=1))
    replica = Replica(policy=replace(SINGLE, max_sequences=500, kv_tokens=10**7), timer=Line())
    run = long_run(replica, sampled_load(users, 200, 0).serve, 1000.0)
    assert len(run.requests) >= 10_000
    assert percentile_s(run, objective("ttft", 1.0, 0.5)) == pytest.approx(1.0, rel=0.05)


def test_a_small_sample_has_its_share_of_long_tasks() -> None:
    # Lognormal with sigma 1: a mean of 100 such lengths strays by 13 %; of those taken from four times as many by much less.
    wide = replace(ONE, prompt=parse_lengths("lognormal:1000:1:100000"), output=parse_lengths("1"))
    means = [
        sum(one.n_prompt_tokens for one in load.requests) / len(load.requests)
        for load in (sampled_load(wide, 100, seed) for seed in range(40))
    ]
    assert pstdev(means) / fmean(means) < 0.085
    assert fmean(means) == pytest.approx(wide.prompt.mean, rel=0.04)


def test_a_run_has_the_mean_rate_that_was_asked_for() -> None:
    arrivals = [spec.arrival_s for spec in sampled_load(ONE, 100, 7).drawn(2.0).first()]
    assert len(arrivals) == 100 and arrivals[-1] == pytest.approx(50.0)


def test_a_longer_log_begins_anew() -> None:
    log = SampledLoad(ONE, draw_plan(ONE, 3), 0, times=(0.0, 0.5, 2.0))
    longer = log.longer(6)
    # It ends at 2 and begins again a mean gap of 1 later.
    assert longer.times == (0.0, 0.5, 2.0, 3.0, 3.5, 5.0)
    assert log.longer(3) is log and log.longer(5) is longer


def test_a_longer_sample_turns_the_same_requests_away() -> None:
    mixed = replace(ONE, prompt=parse_lengths("10-400"))
    taken = sampled_load(mixed, 100, 0).within(300)
    assert taken is not None
    longer = taken.longer(4 * len(taken.requests))
    assert len(longer.requests) == pytest.approx(4 * len(taken.requests), rel=0.05)
    assert longer.n_longest_tokens <= 300 < sampled_load(mixed, 400, 0).n_longest_tokens


def test_capacity_of_a_single_server_queue() -> None:
    # M/D/1 with service of 1 s: the mean wait is ρ / (2 (1 − ρ)) seconds. The wait that 95 of 100 keep to at ρ = 0.7 is
    # 3.6 s by Crommelin's formula, so with a first token within 3.6 s + 0.01 s the capacity is near 0.7.
    load = sampled_load(ONE, 4000, 5)
    found = capacity(Replica(policy=SINGLE, timer=Line()), load.serve, (objective("ttft", 3.61),), 0.95)
    assert found.load == pytest.approx(0.7, rel=0.08)
    assert found.broken == "ttft p95<3.61s"


def test_without_objectives_the_bound_decides() -> None:
    found = capacity(Replica(policy=SINGLE, timer=Line()), sampled_load(ONE, 200, 0).serve, (), 0.95)
    assert found.load == pytest.approx(0.95, rel=0.025)
    assert found.broken == "its throughput"


def test_an_objective_that_never_holds_says_how_far_off_it_is() -> None:
    found = capacity(
        Replica(policy=SINGLE, timer=Line()), sampled_load(ONE, 200, 0).serve, (objective("e2e", 0.5),), 0.95
    )
    assert found.load is None
    assert found.broken == "at the least load already, e2e p95<500ms is 1 s"


def test_agents_are_counted_in_tasks() -> None:
    # Three calls a task of a second each on a server of one: a third of a task a second.
    agent = AgentLoop(steps=parse_lengths("3"), tool_tokens=parse_lengths("1"), max_steps=3)
    load = sampled_load(replace(ONE, agent=agent), 300, 0)
    assert load.n_tasks_per_request == pytest.approx(1 / 3)
    found = saturation(Replica(policy=SINGLE, timer=Line()), load.serve, 1, load.n_tasks_per_request)
    assert found == pytest.approx(1 / 3, rel=0.02)


def test_users_ask_again_when_they_are_answered() -> None:
    # Four places and a second for each answer: four users never wait, a fifth does.
    users = replace(ONE, traffic=Traffic(concurrency=1))
    load = sampled_load(users, 400, 0)
    replica = Replica(policy=replace(SINGLE, max_sequences=4), timer=Line())
    found = capacity(replica, load.serve, (objective("ttft", 0.05),), 100.0)
    assert found.load is not None and round(found.load) == 4


def test_half_the_load_is_the_same_requests_twice_as_far_apart() -> None:
    load = sampled_load(ONE, 100, 3)
    slow, fast = (load.serve(SINGLE, Line(step_s=1e-6), rate).requests for rate in (1.0, 2.0))
    for one, other in zip(slow, fast, strict=True):
        assert one.arrival_s == pytest.approx(2 * other.arrival_s)
        assert one.n_prompt_tokens == other.n_prompt_tokens


def test_what_is_too_long_is_left_out_with_the_rest_of_its_task() -> None:
    growing = AgentLoop(steps=parse_lengths("5"), tool_tokens=parse_lengths("100"), max_steps=5)
    load = sampled_load(replace(ONE, agent=growing), 100, 0)
    # Calls of 110, 310, 510, 710 and 910 tokens with their answers: two of five are within 400.
    taken = load.within(400)
    assert taken is not None and {len(task.calls) for task in taken.tasks} == {2}
    assert load.within(50) is None

"""Workloads in the simulator: tasks, calls and samples follow each other as drawn."""

from dataclasses import replace
from statistics import fmean, pstdev

import pytest

from planner.simulate.drawn_requests import draw_plan, simulate_workload
from planner.simulate.policy import Policy
from planner.workload.draw import pauses_s
from planner.workload.lengths import parse_lengths
from planner.workload.totals import expected_task
from planner.workload.workload import AgentLoop, Traffic, Workload

ROOMY = Policy(
    max_sequences=64, max_batched_tokens=4096, kv_tokens=4_000_000, block_tokens=1, prefix_cache=True
)
WORKLOAD = Workload(
    name="w",
    prompt=parse_lengths("lognormal:300:0.5"),
    output=parse_lengths("lognormal:20:0.5"),
    thinking=parse_lengths("5"),
    shared_prefix_tokens=100,
    traffic=Traffic(tasks_per_s=2.0),
)
AGENT = replace(
    WORKLOAD,
    agent=AgentLoop(steps=parse_lengths("1-6"), tool_tokens=parse_lengths("10-50"), max_steps=5, tool_s=0.25),
)


class Steady:
    """Ten milliseconds a step, whatever it does."""

    interference = 1.0

    def decode(self, n_sequences: int) -> tuple[float, float]:
        return 0.01, 0.0

    def mixed(
        self, n_sequences: int, cached_tokens: int, chunk_tokens: int, chunk_context_tokens: int
    ) -> float:
        return 0.01

    def prompts(self, n_waiting: int, chunk_tokens: int, chunk_context_tokens: int) -> float:
        return 0.01


@pytest.mark.parametrize("workload", [WORKLOAD, AGENT], ids=["one call", "agent"])
def test_a_large_cache_finds_what_the_totals_call_cached(workload: Workload) -> None:
    result = simulate_workload(ROOMY, Steady(), workload, n_tasks=2_000, seed=4)
    expected = expected_task(workload)
    assert len(result.requests) / 2_000 == pytest.approx(expected.n_calls, rel=0.03)
    hits = sum(times.n_prefix_hit_tokens for times in result.requests)
    assert hits / 2_000 == pytest.approx(expected.tokens.cached, rel=0.03)
    assert result.n_prefill_tokens / 2_000 == pytest.approx(expected.tokens.fresh, rel=0.05)
    assert result.n_output_tokens / 2_000 == pytest.approx(expected.tokens.generated, rel=0.03)


def test_an_agents_next_call_comes_after_its_tool() -> None:
    agent = replace(AGENT, traffic=Traffic(concurrency=1))
    plan = draw_plan(agent, 3)
    result = simulate_workload(ROOMY, Steady(), agent, n_tasks=3)
    assert len(result.requests) == sum(len(task.calls) for task in plan)
    starts, ends = (
        [times.arrival_s for times in result.requests],
        [times.last_s or 0.0 for times in result.requests],
    )
    waits = [round(start - end, 9) for start, end in zip(starts[1:], ends, strict=False)]
    # One user: a tool's 0.25 s within a task, nothing between tasks.
    assert waits.count(0.25) == len(result.requests) - 3
    assert waits.count(0.0) == 2


def test_samples_share_their_prompt_and_a_task_waits_for_all_of_them() -> None:
    both = replace(AGENT, samples=3, traffic=Traffic(concurrency=1))
    result = simulate_workload(ROOMY, Steady(), both, n_tasks=50)
    expected = expected_task(both)
    # Each further sample reads the last token of the prompt again, because that gives its first.
    n_calls = len(result.requests) / 3
    assert len(result.requests) % 3 == 0
    assert result.n_prefill_tokens - 2 * n_calls == pytest.approx(50 * expected.tokens.fresh, rel=0.15)


def test_users_ask_again_when_they_are_answered_and_have_thought() -> None:
    calm = replace(WORKLOAD, traffic=Traffic(concurrency=4, think_s=1.0, pattern="steady"))
    result = simulate_workload(ROOMY, Steady(), calm, n_tasks=200)
    assert len(result.requests) == 200
    # Each of four users is answered in about 0.28 s (28 steps) and thinks for one: 50 rounds.
    assert result.end_s == pytest.approx(50 * 1.28, rel=0.05)


def test_users_who_think_do_not_ask_all_at_once() -> None:
    # Answers of equal length and pauses of equal length would keep users together for good who all began together.
    alike = replace(WORKLOAD, prompt=parse_lengths("100"), output=parse_lengths("20"))
    steady = replace(alike, traffic=Traffic(concurrency=50, think_s=10.0, pattern="steady"))
    result = simulate_workload(ROOMY, Steady(), steady, n_tasks=500)
    assert [times.arrival_s for times in result.requests[:3]] == pytest.approx([0.0, 0.2, 0.4])
    # An answer of 20 steps takes 0.2 s, so one or two of the fifty are on the replica at any time.
    assert result.mean_running < 2
    # Otherwise pauses differ, as the gaps between tasks do, and have the stated mean.
    drawn = [gap for gap, _ in zip(pauses_s(Traffic(concurrency=1, think_s=10.0)), range(4000), strict=False)]
    assert fmean(drawn) == pytest.approx(10.0, rel=0.05) and pstdev(drawn) == pytest.approx(10.0, rel=0.08)


def test_a_refused_call_ends_its_task_and_not_the_user() -> None:
    small = replace(ROOMY, kv_tokens=500)
    result = simulate_workload(small, Steady(), replace(AGENT, traffic=Traffic(concurrency=2)), n_tasks=60)
    refused = [times for times in result.requests if times.rejected]
    served = [times for times in result.requests if not times.rejected]
    assert refused and served
    n_first = sum(len(task.calls) for task in draw_plan(AGENT, 60))
    assert len(result.requests) <= n_first


def test_traffic_is_one_of_both() -> None:
    with pytest.raises(ValueError, match="not both"):
        simulate_workload(ROOMY, Steady(), WORKLOAD, n_tasks=1, tasks_per_s=1.0, users=1)

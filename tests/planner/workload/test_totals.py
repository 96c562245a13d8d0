"""Totals against drawing, and against sums by hand."""

from dataclasses import replace
from itertools import islice

import pytest

from planner.errors import MissingFactError
from planner.workload.draw import draw_tasks
from planner.workload.lengths import parse_lengths
from planner.workload.totals import (
    calls_per_s,
    expected_task,
    largest_call_tokens,
    month_tokens,
    most_task_tokens,
    tasks_per_s,
    worst_task,
)
from planner.workload.traffic_growth import growth_factor, mean_growth_factor
from planner.workload.workload import AgentLoop, Traffic, Workload

CHAT = Workload(
    name="chat",
    prompt=parse_lengths("lognormal:800:0.9"),
    output=parse_lengths("lognormal:150:0.7"),
    thinking=parse_lengths("0-600", least=0),
    shared_prefix_tokens=400,
    samples=3,
    traffic=Traffic(tasks_per_s=2.0, day_profile=(3.0, *(1.0,) * 23)),
)
LOOP = AgentLoop(
    steps=parse_lengths("lognormal:6:0.8"), tool_tokens=parse_lengths("lognormal:500:1"), max_steps=20
)
AGENT = replace(CHAT, name="agent", samples=1, agent=LOOP)


@pytest.mark.parametrize(
    "workload",
    [
        CHAT,
        AGENT,
        replace(AGENT, samples=2),
        replace(AGENT, agent=replace(LOOP, keeps_thinking=False)),
        # Half of all tasks are cut by the first of these budgets, a few by the second.
        replace(AGENT, agent=replace(LOOP, token_budget=20_000)),
        replace(AGENT, agent=replace(LOOP, token_budget=100_000)),
    ],
    ids=["one call", "agent", "samples", "thinking dropped", "small budget", "large budget"],
)
def test_expected_tokens_are_those_of_drawn_tasks(workload: Workload) -> None:
    expected = expected_task(workload)
    tasks = list(islice(draw_tasks(workload, seed=3), 20_000))
    calls = [call for task in tasks for call in task.calls]
    n = len(tasks)
    is_cut = workload.agent is not None and workload.agent.token_budget is not None
    # Without a budget the sums are exact and only the draws err (0.7 % or so); with one, calls stand at their means.
    near = 0.05 if is_cut else 0.02
    tokens = expected.tokens
    assert len(calls) / n == pytest.approx(expected.n_calls, rel=near)
    assert sum(call.n_prompt_tokens for call in calls) / n == pytest.approx(tokens.prompt, rel=near)
    assert sum(call.n_known_tokens for call in calls) / n == pytest.approx(tokens.cached, rel=near)
    made = workload.samples * sum(call.n_thinking_tokens for call in calls) / n
    assert made == pytest.approx(tokens.thinking, rel=near)
    made = workload.samples * sum(call.n_output_tokens for call in calls) / n
    assert made == pytest.approx(tokens.output, rel=near)


def test_an_agent_by_hand() -> None:
    # Three calls; 100 + 20 output + 30 from a tool: prompts 100, 150, 200. Known: the shared 40, then 120 and 170.
    agent = AgentLoop(steps=parse_lengths("3"), tool_tokens=parse_lengths("30"), max_steps=9)
    workload = replace(
        CHAT, prompt=parse_lengths("100"), output=parse_lengths("20"), thinking=parse_lengths("0", least=0),
        shared_prefix_tokens=40, samples=1, agent=agent,
    )  # fmt: skip
    total = expected_task(workload)
    assert (total.n_calls, total.tokens.prompt, total.tokens.cached) == (3, 450, 330)
    assert (total.tokens.output, total.tokens.fresh, total.call.prompt) == (60, 120, 150)
    assert worst_task(workload) == total.tokens
    assert largest_call_tokens(workload) == 220
    # A budget of 300 tokens leaves 100 + 20, then 150 + 20, then 10, in which no prompt of 200 has room.
    short = replace(workload, agent=replace(agent, token_budget=300))
    assert expected_task(short).tokens.all == pytest.approx(290)
    assert most_task_tokens(short) == pytest.approx(290)
    # One of 275 cuts the second answer to 5 tokens.
    shorter = expected_task(replace(workload, agent=replace(agent, token_budget=275)))
    assert [shorter.n_calls, shorter.tokens.output] == pytest.approx([2, 25])


def test_no_drawn_task_exceeds_its_budget_or_the_worst_case() -> None:
    budgeted = replace(AGENT, agent=replace(LOOP, token_budget=30_000))
    for task in islice(draw_tasks(budgeted), 2_000):
        spent = sum(call.n_prompt_tokens + call.n_generated_tokens for call in task.calls)
        assert spent <= 30_000
    bounded = replace(
        AGENT, prompt=parse_lengths("100-900"), output=parse_lengths("10-90"),
        agent=replace(LOOP, tool_tokens=parse_lengths("0-50", least=0)),
    )  # fmt: skip
    worst = most_task_tokens(bounded)
    longest = largest_call_tokens(bounded)
    assert worst is not None and longest is not None
    for task in islice(draw_tasks(bounded), 2_000):
        assert sum(call.n_prompt_tokens + call.n_generated_tokens for call in task.calls) <= worst
        assert max(call.n_prompt_tokens + call.n_generated_tokens for call in task.calls) <= longest


def test_what_nothing_bounds_has_no_worst_case() -> None:
    assert worst_task(AGENT) is None and most_task_tokens(AGENT) is None
    assert most_task_tokens(replace(AGENT, agent=replace(LOOP, token_budget=500))) == 500


def test_a_month_is_its_tasks() -> None:
    # 2 tasks per second, 30.4375 days of 86,400 s: 5,259,600 tasks; at the peak 3 / (26/24) = 2.769 times as many.
    assert month_tokens(CHAT).prompt == pytest.approx(5_259_600 * expected_task(CHAT).tokens.prompt)
    assert tasks_per_s(CHAT, at_peak=True) == pytest.approx(2 * 3 * 24 / 26)
    assert calls_per_s(AGENT) == pytest.approx(2 * expected_task(AGENT).n_calls)


def test_traffic_grows_by_the_same_factor_each_year() -> None:
    grown = replace(CHAT, traffic=replace(CHAT.traffic, growth_per_year=0.5))
    assert tasks_per_s(grown, years=2) == pytest.approx(4.5)
    # ∫₀² 1.5^t dt / 2 = (2.25 − 1) / (2 ln 1.5)
    assert mean_growth_factor(0.5, 2) == pytest.approx(1.25 / (2 * 0.405465), rel=1e-5)
    assert mean_growth_factor(0.0, 3) == growth_factor(0.0, 3) == 1


def test_users_have_no_rate() -> None:
    with pytest.raises(MissingFactError, match="give a rate with --rps"):
        tasks_per_s(replace(CHAT, traffic=Traffic(concurrency=4)))

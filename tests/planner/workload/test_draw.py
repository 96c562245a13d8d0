"""Draws: the same for the same seed, further apart at a lower rate, as bursty as asked."""

from dataclasses import replace
from itertools import islice

import pytest

from planner.workload.draw import draw_tasks, first_arrivals_s
from planner.workload.lengths import parse_lengths
from planner.workload.workload import AgentLoop, Traffic, Workload

WORKLOAD = Workload(
    name="w", prompt=parse_lengths("100-200"), output=parse_lengths("10-20"), traffic=Traffic(tasks_per_s=1.0)
)


def test_the_same_seed_asks_the_same_at_any_rate() -> None:
    faster = replace(WORKLOAD, traffic=Traffic(tasks_per_s=8.0, pattern="bursty", burstiness=2.0))
    assert list(islice(draw_tasks(WORKLOAD, seed=5), 20)) == list(islice(draw_tasks(faster, seed=5), 20))
    assert list(islice(draw_tasks(WORKLOAD, seed=5), 20)) != list(islice(draw_tasks(WORKLOAD, seed=6), 20))
    slow = first_arrivals_s(WORKLOAD.traffic, 50, tasks_per_s=1.0)
    fast = first_arrivals_s(WORKLOAD.traffic, 50, tasks_per_s=4.0)
    assert [when / 4 for when in slow] == pytest.approx(list(fast))


@pytest.mark.parametrize(
    ("pattern", "burstiness", "expected"), [("poisson", 1.0, 1.0), ("bursty", 3.0, 3.0), ("steady", 1.0, 0.0)]
)
def test_gaps_vary_as_asked(pattern: str, burstiness: float, expected: float) -> None:
    traffic = Traffic(tasks_per_s=2.0, pattern=pattern, burstiness=burstiness)  # type: ignore[arg-type]
    times = first_arrivals_s(traffic, 60_000, tasks_per_s=2.0)
    gaps = [after - before for before, after in zip((0.0, *times), times, strict=False)]
    mean = sum(gaps) / len(gaps)
    variation = sum((gap - mean) ** 2 for gap in gaps) / len(gaps) / mean**2
    assert mean == pytest.approx(0.5, rel=0.02)
    assert variation == pytest.approx(expected, abs=0.15)


def test_an_agents_calls_grow_by_what_was_said_and_what_a_tool_answered() -> None:
    agent = AgentLoop(steps=parse_lengths("4"), tool_tokens=parse_lengths("7"), max_steps=3)
    (task,) = islice(draw_tasks(replace(WORKLOAD, agent=agent)), 1)
    assert len(task.calls) == 3
    for before, after in zip(task.calls, task.calls[1:], strict=False):
        assert after.n_known_tokens == before.n_prompt_tokens + before.n_output_tokens
        assert after.n_prompt_tokens == after.n_known_tokens + 7

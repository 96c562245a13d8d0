"""Levels of load one after the other, with requests that are sent nowhere and a clock that does not wait."""

import asyncio
from itertools import count

import pytest

from planner.bench.endpoint.load_levels import LoadLevels
from planner.bench.endpoint.load_run import Stop
from planner.bench.endpoint.stream import Limits
from planner.load.load_test import LoadQuestion
from planner.load.request_record import RequestPlan, RequestRecord
from planner.workload.lengths import parse_lengths


def test_a_level_that_nobody_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two rates; the server hangs for good during the second one. Its requests are all cut off, and that is the finding.
    monkeypatch.setattr("planner.bench.endpoint.load_run._TICK_S", 0.001)
    ticks = count()
    levels: LoadLevels

    def clock() -> float:
        return next(ticks) * 0.05

    async def send(plan: RequestPlan, due_s: float) -> RequestRecord:
        if levels.levels:
            await asyncio.Event().wait()
        now_s = clock()
        return RequestRecord(
            planned_s=due_s,
            sent_s=due_s,
            end_s=now_s,
            token_s=(now_s, now_s + 0.1),
            n_prompt_tokens=4,
            n_output_tokens=2,
        )

    question = LoadQuestion(
        base_url="",
        prompt=parse_lengths("4"),
        output=parse_lengths("2"),
        budget_s=8.0,
        rates_per_s=(2.0, 3.0),
    )
    levels = LoadLevels(question, send, clock, Limits(whole_s=5.0), Stop(), None)
    asyncio.run(levels.run())
    answered, hung = levels.levels
    assert answered.n_good > 0
    assert (hung.offered_per_s, hung.n_good, hung.ttft, hung.requests_per_s) == (3.0, 0, None, 0.0)
    assert any("unanswered at the end and were cut off" in note for note in hung.notes)

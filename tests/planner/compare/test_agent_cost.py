"""An agent's cost: expected, drawn and at the worst, under limits."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.compare.agent_cost import agent_cost, worst_usd
from planner.errors import PriceError
from planner.prices.tariff import Schedule, Tariff, TokenRates
from planner.workload.lengths import parse_lengths
from planner.workload.workload import AgentLoop, Traffic, Workload
from tests.planner.compare.test_levers import price

AT = datetime(2026, 11, 28, tzinfo=UTC)
PLAIN = price("model", 1, 10)


def agent(steps: str = "3", max_steps: int = 5, budget: int | None = None) -> Workload:
    return Workload(
        name="agent", prompt=parse_lengths("1000"), output=parse_lengths("200"), traffic=Traffic(tasks_per_s=1.0),
        agent=AgentLoop(
            steps=parse_lengths(steps), tool_tokens=parse_lengths("100"), max_steps=max_steps, token_budget=budget
        ),
    )  # fmt: skip


def test_certain_lengths_by_hand() -> None:
    # Calls of 1,000, 1,300 and 1,600 in and 200 out: 3,900 · 1 + 600 · 10 = 9,900 millionths; no cache price, so none is cheaper.
    found = agent_cost(PLAIN, agent(), AT)
    assert (found.expected_usd, found.mean_usd, found.worst_usd) == pytest.approx((9_900e-6,) * 3)
    assert found.n_calls == 3
    assert found.stopped_fraction == 0


def test_a_limit_of_money_stops_after_the_call_that_reaches_it() -> None:
    # The calls cost 3,000, 3,300 and 3,600 millionths: at a limit of 6,000 two are made, at 6,300 too, at 6,301 all three.
    for limit, spent, stopped in (
        (6_000e-6, 6_300e-6, 1.0),
        (6_300e-6, 6_300e-6, 1.0),
        (6_301e-6, 9_900e-6, 0.0),
    ):
        found = agent_cost(PLAIN, agent(), AT, limit)
        assert found.mean_usd == pytest.approx(spent)
        assert found.stopped_fraction == stopped
        assert found.worst_usd is not None
        assert found.worst_usd >= found.dearest_usd


def test_limits_of_steps_and_tokens_bound_the_worst() -> None:
    longer = agent("1-40", max_steps=4)
    # Four calls: 1,000 + 1,300 + 1,600 + 1,900 in, 800 out.
    assert worst_usd(PLAIN, longer, AT) == pytest.approx((5_800 + 8_000) * 1e-6)
    # 3,000 tokens: 1,200, then 1,500 more, then 300 are left and a prompt of 1,600 is too long for them.
    assert worst_usd(PLAIN, agent("1-40", max_steps=4, budget=3_000), AT) == pytest.approx(
        (2_300 + 4_000) * 1e-6
    )


def test_what_nothing_bounds_has_no_worst() -> None:
    endless = Workload(
        name="x",
        prompt=parse_lengths("lognormal:1000:1.0"),
        output=parse_lengths("200"),
        traffic=Traffic(tasks_per_s=1.0),
    )
    assert worst_usd(PLAIN, endless, AT) is None


def test_no_limit_below_a_call() -> None:
    with pytest.raises(PriceError, match="allows no call"):
        agent_cost(PLAIN, agent(), AT, 0.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.floats(1e-4, 0.2))
def test_no_drawn_task_exceeds_the_worst(max_steps: int, limit: float) -> None:
    rates = TokenRates(
        input_usd_per_mtok=1,
        output_usd_per_mtok=10,
        cache_read_usd_per_mtok=0.1,
        cache_write_usd_per_mtok=1.25,
    )
    cached = replace(PLAIN, schedule=Schedule(tariff=Tariff(rates=rates)))
    found = agent_cost(cached, agent("1-12", max_steps=max_steps), AT, limit)
    assert found.worst_usd is not None
    assert found.dearest_usd <= found.worst_usd * (1 + 1e-12)

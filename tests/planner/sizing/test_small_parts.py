"""Budgets, demands and splits."""

from dataclasses import replace

import pytest

from hardware.units import HOURS_PER_MONTH
from planner.api.models import open_model
from planner.engines.sharding import Parallel, split_problem
from planner.sizing.budget import parse_budget
from planner.sizing.demand import Demand, demand_of
from planner.sizing.splits import spanning_splits, splits
from planner.workload.lengths import parse_lengths
from planner.workload.workload import Traffic, Workload

WORKLOAD = Workload(
    name="any", prompt=parse_lengths("100"), output=parse_lengths("10"), traffic=Traffic(tasks_per_s=2.0)
)


@pytest.mark.parametrize(
    ("text", "usd"),
    [
        ("10000$/month", 10_000.0),
        ("$10,000 / month", 10_000.0),
        ("12k$/year", 1_000.0),
        ("2 usd per hour", 2 * HOURS_PER_MONTH),
        ("$1.5/h", 1.5 * HOURS_PER_MONTH),
    ],
)
def test_budgets(text: str, usd: float) -> None:
    assert parse_budget(text) == pytest.approx(usd)


@pytest.mark.parametrize("text", ["10000", "10000$", "10000/month", "0$/month", "$-5/h", "1e5$/h", "€5/h"])
def test_a_budget_without_currency_or_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no budget; write"):
        parse_budget(text)


def test_demand_is_the_busiest_hour_after_growth() -> None:
    # One hour at three times the others: peak over average is 3 / ((23 + 3) / 24) = 2.769; after two years of +50 %
    # the mean of 2 a second is 2 · 1.5² = 4.5.
    traffic = Traffic(tasks_per_s=2.0, day_profile=(1.0,) * 23 + (3.0,), growth_per_year=0.5)
    found = demand_of(replace(WORKLOAD, traffic=traffic), 2.0)
    assert found.average == pytest.approx(4.5)
    assert found.peak == pytest.approx(4.5 * 72 / 26)
    assert found.unit == "tasks/s"


def test_users_are_whole() -> None:
    found = demand_of(replace(WORKLOAD, traffic=Traffic(concurrency=10, growth_per_year=0.05)), 1.0)
    assert (found.unit, found.peak) == ("users", 11.0)
    with pytest.raises(ValueError, match="no more than the peak"):
        Demand(unit="users", average=2.0, peak=1.0)


def test_splits_divide_the_model_and_fit_the_machine() -> None:
    dense = open_model("llama-3.3-70b-instruct").network
    assert splits(dense, 4) == (Parallel(tensor=1), Parallel(tensor=2), Parallel(tensor=4))
    experts = open_model("gpt-oss-120b").network
    assert splits(experts, 2) == (
        Parallel(tensor=1),
        Parallel(tensor=2),
        Parallel(tensor=2, expert=2),
        Parallel(tensor=2, expert=2, attention_replicas=2),
    )


def test_heads_that_do_not_divide_go_over_pipeline_stages() -> None:
    network = open_model("smollm2-135m-instruct").network  # 9 heads
    assert split_problem(network, Parallel(tensor=2)) is not None
    assert splits(network, 4) == (Parallel(), Parallel(pipeline=2), Parallel(pipeline=4))


def test_machines_that_are_joined_hold_a_stage_each_or_all_experts_together() -> None:
    dense = open_model("llama-3.3-70b-instruct").network
    assert spanning_splits(dense, 8, 2) == (Parallel(tensor=8, pipeline=2),)
    experts = open_model("gpt-oss-120b").network  # 64 heads, 128 experts
    assert spanning_splits(experts, 8, 2) == (
        Parallel(tensor=8, pipeline=2),
        Parallel(tensor=16, expert=16, attention_replicas=2),
        Parallel(tensor=16, expert=16, attention_replicas=16),
    )

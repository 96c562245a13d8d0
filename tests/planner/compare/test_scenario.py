"""The scenario that a workload and stated figures make."""

from dataclasses import replace

import pytest

from planner.compare.month_load import SECONDS_PER_MONTH, month_load
from planner.compare.options import GROWTH, TASKS
from planner.compare.scenario import STATED_UNITS, scenario_for, stated_for_machines
from planner.errors import MissingFactError
from planner.prices.figure import assumed_figures, stated
from planner.workload.lengths import parse_lengths
from planner.workload.slo import parse_slo
from planner.workload.workload import Traffic, Workload

DAY = (0.0,) * 12 + (2.0,) * 12
CHAT = Workload(
    name="chat", prompt=parse_lengths("1000"), output=parse_lengths("200"), objectives=parse_slo("ttft p95<1s"),
    traffic=Traffic(tasks_per_s=2.0, day_profile=DAY, growth_per_year=0.4),
)  # fmt: skip


def test_the_month_of_a_workload() -> None:
    found = scenario_for(CHAT, assumed_figures())
    assert found.figures.value(TASKS) == pytest.approx(2.0 * SECONDS_PER_MONTH)
    assert found.load.peak_to_average == pytest.approx(2.0)
    growth = found.figures[GROWTH]
    # What the workload says, give or take growth_error_per_year of -0.3 to 0.5.
    assert (growth.value, growth.low, growth.high) == pytest.approx((0.4, 0.1, 0.9))


def test_where_nobody_waits_every_hour_is_alike() -> None:
    assert month_load(replace(CHAT, objectives=())).peak_to_average == 1.0


def test_users_need_a_stated_number_of_tasks() -> None:
    users = replace(CHAT, traffic=Traffic(concurrency=40, day_profile=DAY))
    with pytest.raises(MissingFactError, match="--set tasks_per_month"):
        scenario_for(users, assumed_figures())
    tasks = stated(TASKS, "100000(80000-150000)", assumed_figures(), STATED_UNITS)
    found = scenario_for(users, assumed_figures(), [tasks])
    assert found.figures[TASKS].is_uncertain
    assert (found.load.tasks_per_month, found.load.peak_to_average) == (100_000, 2.0)


def test_stated_figures_go_where_they_belong() -> None:
    known = assumed_figures()
    given = [stated(name, "3", known, STATED_UNITS) for name in ("pue", "machine_usd", "tasks_per_s", GROWTH)]
    found = scenario_for(CHAT, known, given)
    assert found.figures.value("pue") == 3
    assert found.figures.value(GROWTH) == 3
    assert "machine_usd" not in found.figures
    assert {figure.name for figure in stated_for_machines(given)} == {"machine_usd", "tasks_per_s"}

"""A small comparison with round numbers, for tests."""

from typing import Any

from hardware.spec import Basis
from planner.compare.month_load import SECONDS_PER_MONTH, MonthLoad
from planner.compare.options import GROWTH, TASKS, TASKS_PER_S, USD_PER_TASK, ApiOption, OwnOption, Scenario
from planner.estimate.term import Term
from planner.prices.figure import Figure, Figures, assumed_figures
from planner.prices.machine_cost import Deal

EVEN = ((1.0, 1.0),)
HALF_AND_HALF = ((0.5, 0.5), (1.5, 0.5))  # half of the hours three times as busy as the other half


def figure(
    name: str, value: float, low: float | None = None, high: float | None = None, unit: str = "USD"
) -> Figure:
    return Figure(name=name, value=value, unit=unit, basis=Basis.GIVEN, source="test", low=low, high=high)


def certain(**values: Any) -> Figures:
    """The assumptions without bounds, growth or decline, with some values of one's own."""
    zero = {name: 0.0 for name in assumed_figures() if "decline" in name or name == "growth_error_per_year"}
    assumed = {
        name: figure(name, values.get(name, zero.get(name, found.value)), unit=found.unit)
        for name, found in assumed_figures().items()
    }
    return Figures(assumed)


def scenario(
    tasks: float,
    n_months: int = 24,
    growth: float = 0.0,
    load: tuple[tuple[float, float], ...] = EVEN,
    **values: Any,
) -> Scenario:
    return Scenario(
        figures=certain(**values).with_figures(figure(TASKS, tasks), figure(GROWTH, growth)),
        load=MonthLoad(tasks_per_month=tasks, hour_weights=load),
        n_months=n_months,
    )


def bought(
    tasks_per_unit: float = 100_000, usd: float = 60_000, deal: Deal = "buy", **more: float
) -> OwnOption:
    """A machine that serves so many tasks a month when it never waits."""
    found = [
        figure(
            TASKS_PER_S, tasks_per_unit / SECONDS_PER_MONTH / (1 - certain().value("unavailable_fraction"))
        ),
        figure("machine_usd", usd),
        figure("full_power_w", 1_000),
        figure("rent_usd_per_machine_hour", 4.0),
        figure("spot_usd_per_machine_hour", 2.0),
        *(figure(name, value) for name, value in more.items()),
    ]
    return OwnOption(
        name=f"one machine, {deal}",
        machine="one machine",
        deal=deal,
        site="office" if deal == "buy" else "cloud",
        specific=Figures({one.name: one for one in found}),
    )


def api(usd_per_task: float = 0.05, low: float | None = None, high: float | None = None) -> ApiOption:
    return ApiOption(
        name="host/model",
        provider="host",
        model="model",
        specific=Figures({USD_PER_TASK: figure(USD_PER_TASK, usd_per_task, low, high)}),
        task_terms=(
            Term(name="input", value=usd_per_task / 2, unit="USD", basis=Basis.VENDOR, source="test"),
            Term(name="output", value=usd_per_task / 2, unit="USD", basis=Basis.VENDOR, source="test"),
        ),
        same_weights=True,
    )

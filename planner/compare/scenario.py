"""The scenario of a comparison: the workload's month and growth beside the assumptions, some of them stated otherwise."""

from collections.abc import Sequence

from hardware.spec import Basis
from planner.compare.month_load import MonthLoad, hour_weights, month_load
from planner.compare.options import GROWTH, TASKS, TASKS_PER_S, Scenario
from planner.errors import MissingFactError
from planner.prices.figure import Figure, Figures
from planner.prices.machine_prices import MACHINE_UNITS
from planner.workload.workload import Workload

# Figures of an option and not of the scenario; stated ones hold for every machine that is compared.
SPECIFIC_UNITS = {**MACHINE_UNITS, TASKS_PER_S: "tasks per second"}
# Figures that the workload brings, and that may be stated otherwise.
SCENARIO_UNITS = {TASKS: "tasks per month", GROWTH: "fraction per year"}
STATED_UNITS = {**SPECIFIC_UNITS, **SCENARIO_UNITS}


def scenario_for(
    workload: Workload, assumed: Figures, stated: Sequence[Figure] = (), *, n_months: int = 24
) -> Scenario:
    """The workload's scenario. Raises MissingFactError where nothing says how many tasks come."""
    given = {figure.name: figure for figure in stated}
    load = _load(workload, given.get(TASKS))
    figures = assumed.with_figures(*(figure for name, figure in given.items() if name not in SPECIFIC_UNITS))
    tasks = given.get(TASKS) or Figure(
        name=TASKS,
        value=load.tasks_per_month,
        unit=SCENARIO_UNITS[TASKS],
        basis=Basis.GIVEN,
        source=f"the workload {workload.name!r}",
    )
    return Scenario(
        figures=figures.with_figures(tasks, given.get(GROWTH) or _growth(workload, figures)),
        load=load,
        n_months=n_months,
    )


def stated_for_machines(stated: Sequence[Figure]) -> tuple[Figure, ...]:
    """Those of the stated figures that hold for machines: prices, power, speed."""
    return tuple(figure for figure in stated if figure.name in SPECIFIC_UNITS)


def _load(workload: Workload, tasks: Figure | None) -> MonthLoad:
    if tasks is None:
        return month_load(workload)
    if tasks.value <= 0:
        raise MissingFactError(f"{TASKS} is {tasks.value:g}; state how many tasks come, above 0")
    return MonthLoad(tasks_per_month=tasks.value, hour_weights=hour_weights(workload))


def _growth(workload: Workload, figures: Figures) -> Figure:
    """What the workload says, give or take what nobody knows."""
    growth, error = workload.traffic.growth_per_year, figures["growth_error_per_year"]
    return Figure(
        name=GROWTH,
        value=growth,
        unit=SCENARIO_UNITS[GROWTH],
        basis=Basis.GIVEN,
        source=f"the workload {workload.name!r}, its bounds from growth_error_per_year",
        low=max(-0.95, growth + (error.low or 0.0)),
        high=growth + (error.high or 0.0),
    )

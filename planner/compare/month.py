"""A month of each option: own machines, an API, or both, with every term."""

from dataclasses import dataclass
from math import isfinite

from hardware.spec import Basis
from planner.compare.month_load import at_least, served_tasks, whole
from planner.compare.options import (
    TASKS,
    ApiOption,
    OwnOption,
    Scenario,
    api_line,
    api_task_terms,
    busy_hours,
    capacity_per_month,
    existing_hours,
    rates_of,
)
from planner.estimate.term import Term, total
from planner.prices.figure import Figures
from planner.prices.machine_cost import machine_cost

_MOST_UNITS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionMonth:
    """A month under one option. Capacities and volumes are tasks a month; None where there are no own machines."""

    name: str
    own: OwnOption | None
    api: ApiOption | None
    tasks: float
    own_tasks: float
    terms: tuple[Term, ...]
    n_units: int = 0
    n_machines: int = 0  # spares included
    capacity: float | None = None  # of the units, spares aside, over the whole month
    own_usd: float = 0.0  # of the machines and those who look after them
    existing_hours: float = 0.0
    busy_hours: float = 0.0

    @property
    def usd(self) -> float:
        """The month's cost: the sum of the terms."""
        return float(total(self.terms))

    @property
    def kind(self) -> str:
        """One of own, api and hybrid."""
        if self.own is None:
            return "api"
        return "own" if self.api is None else "hybrid"

    @property
    def usd_per_task(self) -> float:
        """Cost over tasks."""
        return self.usd / self.tasks

    @property
    def usd_per_existing_hour(self) -> float | None:
        """What one machine costs for each hour that it is there; None without machines."""
        return self.own_usd / self.existing_hours if self.existing_hours else None

    @property
    def usd_per_busy_hour(self) -> float | None:
        """What one machine costs for each hour that it works; None where none does."""
        return self.own_usd / self.busy_hours if self.busy_hours else None

    @property
    def utilisation(self) -> float | None:
        """Own tasks over what the units could serve."""
        return None if not self.capacity else self.own_tasks / self.capacity

    @property
    def spare_tasks(self) -> float | None:
        """What the units could serve besides."""
        return None if self.capacity is None else self.capacity - self.own_tasks

    @property
    def api_tasks(self) -> float:
        """What goes to the API."""
        return self.tasks - self.own_tasks if self.api is not None else 0.0


def own_month(option: OwnOption, scenario: Scenario) -> OptionMonth:
    """All of it on own machines, enough of them for the busiest hour."""
    figures = scenario.figures.with_figures(*option.specific.values())
    per_unit = capacity_per_month(option, figures)
    needed = scenario.load.peak_to_average * figures.value(TASKS) / per_unit
    return _with_units(option, None, scenario, figures, _counted(needed))


def api_month(option: ApiOption, scenario: Scenario) -> OptionMonth:
    """All of it through an API."""
    tasks = scenario.figures.value(TASKS)
    return OptionMonth(
        name=option.name,
        own=None,
        api=option,
        tasks=tasks,
        own_tasks=0.0,
        terms=_api_terms(option, scenario, tasks),
    )


def hybrid_month(own: OwnOption, api: ApiOption, scenario: Scenario) -> OptionMonth:
    """Own machines for the base, the API for what comes beyond them; of all numbers of machines the cheapest.

    The cost over the number of units falls and then rises, as each further unit serves fewer tasks, so the search ends
    where it has risen; not so with discounts for volume, where all numbers are tried.
    """
    figures = scenario.figures.with_figures(*own.specific.values())
    most = _counted(scenario.load.peak_to_average * figures.value(TASKS) / capacity_per_month(own, figures))
    best = _with_units(own, api, scenario, figures, 1)
    for n in range(2, most + 1):
        found = _with_units(own, api, scenario, figures, n)
        if found.usd <= best.usd:
            best = found
        elif not api.volume_tiers:
            break
    return best


def _counted(needed: float) -> int:
    n = at_least(whole(needed), 1)
    if not isfinite(n) or n > _MOST_UNITS:
        raise ValueError(f"{needed:,.0f} units are more than the {_MOST_UNITS:,} that are compared")
    return int(n)


def _with_units(
    own: OwnOption, api: ApiOption | None, scenario: Scenario, figures: Figures, n_units: int
) -> OptionMonth:
    tasks = figures.value(TASKS)
    capacity = n_units * capacity_per_month(own, figures)
    served = tasks if api is None else float(served_tasks(scenario.load, tasks, capacity))
    n_machines = n_units * own.machines_per_unit + own.n_spare_machines
    existing = float(existing_hours(own, figures, scenario.load, tasks, n_units))
    cost = machine_cost(rates_of(own, figures), n_machines, existing, busy_hours(own, figures, served))
    beyond = () if api is None else _api_terms(api, scenario, tasks - served)
    return OptionMonth(
        name=own.name if api is None else f"{own.name}, peaks to {api.name}",
        own=own,
        api=api,
        tasks=tasks,
        own_tasks=served,
        terms=(*cost.terms, *beyond),
        n_units=n_units,
        n_machines=n_machines,
        capacity=capacity,
        own_usd=float(cost.usd),
        existing_hours=existing,
        busy_hours=cost.busy_hours,
    )


def _api_terms(option: ApiOption, scenario: Scenario, tasks: float) -> tuple[Term, ...]:
    """So many tasks by what is charged for, the discount for the volume as a term of its own, and the people who look after it."""
    figures = scenario.figures.with_figures(*option.specific.values())
    line = api_line(option, figures)
    charged = api_task_terms(option, tasks)
    terms = list(charged)
    discount = line.usd(tasks) - line.fixed_usd - total(charged)
    if option.volume_tiers:
        terms.append(
            Term(
                name="discount for the volume",
                value=discount,
                unit="USD",
                basis=Basis.GIVEN,
                source="as stated",
            )
        )
    hours, wage = figures["api_operations_hours_per_month"], figures["operations_usd_per_hour"]
    terms.append(
        Term(
            name="people: API",
            value=line.fixed_usd,
            unit="USD",
            basis=max((hours.basis, wage.basis), key=lambda basis: basis.rank),
            source=f"{hours.name}: {hours.source}; {wage.name}: {wage.source}",
            as_of=wage.as_of,
        )
    )
    return tuple(terms)


def spare_worth_usd(month: OptionMonth, usd_per_task: float) -> float | None:
    """What the spare capacity would cost elsewhere, at a price for a task."""
    return None if month.spare_tasks is None else at_least(month.spare_tasks, 0.0) * usd_per_task

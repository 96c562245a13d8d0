"""What can be chosen between: machines of one's own, and APIs; and the scenario that all are compared in."""

from dataclasses import dataclass
from typing import Any

from hardware.units import HOURS_PER_MONTH, SECONDS_PER_HOUR
from planner.compare.hourly_stairs import HourlyStairs
from planner.compare.month_load import SECONDS_PER_MONTH, MonthLoad, mean_units
from planner.compare.staircase import Line, Staircase
from planner.estimate.term import Term, total
from planner.prices.figure import Figures
from planner.prices.machine_cost import CostRates, Deal, Site, cost_rates, scaled

TASKS = "tasks_per_month"
GROWTH = "growth_per_year"
TASKS_PER_S = "tasks_per_s"
USD_PER_TASK = "usd_per_task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What all options are compared in: the load, how it grows, for how long, and every assumption of costs.

    `figures` hold TASKS and GROWTH beside the assumptions; any value may be an array of cases.
    """

    figures: Figures
    load: MonthLoad
    n_months: int

    def __post_init__(self) -> None:
        if not 1 <= self.n_months <= 120:
            raise ValueError("a comparison runs over 1 to 120 months")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOption:
    """Machines of one kind under one deal. A unit of `machines_per_unit` serves TASKS_PER_S tasks a second at its best.

    `specific` are the figures of this machine (price, rent, power, TASKS_PER_S); options of the same `machine` share them,
    and share what chance makes of them.
    """

    name: str
    machine: str
    deal: Deal
    site: Site
    specific: Figures
    machines_per_unit: int = 1
    n_spare_machines: int = 0
    follows_load: bool = False  # had for the hours that need them, one unit always; else all month
    layout: str = ""  # how the model runs there, in words
    notes: tuple[str, ...] = ()

    @property
    def leaves_the_house(self) -> bool:
        """Whether prompts are worked on outside one's own rooms and racks; who rents still rules the machine."""
        return self.deal != "buy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOption:
    """A model at a provider. `task_terms` are what one task costs, in US dollars; they sum to the figure USD_PER_TASK.

    `volume_tiers` are discounts: from so many tasks a month on, each further task costs such a fraction of the price.
    """

    name: str
    provider: str
    model: str
    specific: Figures
    task_terms: tuple[Term, ...]
    same_weights: bool  # as the model that would run on own machines
    processing: str = "standard"  # "batch": answers within a day
    volume_tiers: tuple[tuple[float, float], ...] = ()
    region: str | None = None
    notes: tuple[str, ...] = ()


def rates_of(option: OwnOption, figures: Figures) -> CostRates:
    """The cost rates of an option's machines."""
    return cost_rates(figures, option.deal, option.site)


def capacity_per_month(option: OwnOption, figures: Figures) -> Any:
    """Tasks that one unit could serve in a month if it never waited: rate · seconds · the share of the time that it is there."""
    there = 1 - figures.value("unavailable_fraction")
    if option.deal == "spot":
        there = there * (1 - figures.value("spot_lost_fraction"))
    return figures.value(TASKS_PER_S) * SECONDS_PER_MONTH * there


def existing_hours(option: OwnOption, figures: Figures, load: MonthLoad, tasks: Any, n_units: Any) -> Any:
    """Hours in which machines are there in a month, spares included, where `n_units` are the most at once."""
    there = n_units
    if option.follows_load:
        there = mean_units(load, tasks, capacity_per_month(option, figures), n_units)
    return (there * option.machines_per_unit + option.n_spare_machines) * HOURS_PER_MONTH


def busy_hours(option: OwnOption, figures: Figures, tasks: Any) -> Any:
    """Hours of machines at work that so many tasks take, all machines together."""
    return tasks / (figures.value(TASKS_PER_S) * SECONDS_PER_HOUR) * option.machines_per_unit


def hourly_stairs(option: OwnOption, figures: Figures, load: MonthLoad) -> HourlyStairs:
    """The cost over the volume of machines that are had for the hours that need them."""
    rates = rates_of(option, figures)
    kept, per_hour = total(rates.per_machine_month), total(rates.per_existing_hour)
    return HourlyStairs(
        fixed_usd=rates.fixed_usd + option.n_spare_machines * rates.machine_usd,
        kept_unit_usd=option.machines_per_unit * kept,
        existing_unit_usd=option.machines_per_unit * per_hour * HOURS_PER_MONTH,
        usd_per_task=rates.busy_hour_usd * busy_hours(option, figures, 1.0),
        tasks_per_unit=capacity_per_month(option, figures),
        load=load,
    )


def staircase(option: OwnOption, figures: Figures, load: MonthLoad) -> Staircase:
    """The option's cost over the volume, each unit filled by the busiest hour of the week."""
    rates = rates_of(option, figures)
    return Staircase(
        fixed_usd=rates.fixed_usd + option.n_spare_machines * rates.machine_usd,
        unit_usd=option.machines_per_unit * rates.machine_usd,
        usd_per_task=rates.busy_hour_usd * busy_hours(option, figures, 1.0),
        tasks_per_unit=capacity_per_month(option, figures) / load.peak_to_average,
    )


def api_line(option: ApiOption, figures: Figures) -> Line:
    """The API's cost over the volume."""
    usd = figures.value(USD_PER_TASK)
    return Line(
        fixed_usd=figures.value("api_operations_hours_per_month", "operations_usd_per_hour"),
        tiers=((0.0, usd), *((start, usd * factor) for start, factor in option.volume_tiers)),
    )


def api_task_terms(option: ApiOption, tasks: Any) -> tuple[Term, ...]:
    """What so many tasks cost at list price, by what is charged for."""
    return scaled(option.task_terms, tasks)

"""How much is asked in a month, and how unevenly over the hours of a week."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hardware.units import DAYS_PER_MONTH, SECONDS_PER_DAY
from planner.errors import MissingFactError
from planner.workload.workload import Workload

SECONDS_PER_MONTH = DAYS_PER_MONTH * SECONDS_PER_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthLoad:
    """Tasks of a month, and the shape of a week: how often an hour is so many times as busy as the mean hour."""

    tasks_per_month: float
    hour_weights: tuple[tuple[float, float], ...]  # weight, share of the hours; the mean weight is 1

    @property
    def peak_to_average(self) -> float:
        """The busiest hour over the mean one."""
        return max(weight for weight, _ in self.hour_weights)

    def hours(self) -> Iterator[tuple[float, float]]:
        """Every kind of hour: how busy, and which share of all hours."""
        return iter(self.hour_weights)


def month_load(workload: Workload) -> MonthLoad:
    """The month of a workload; raises MissingFactError for users who wait, whose rate follows from the speed of the answers."""
    traffic = workload.traffic
    if traffic.tasks_per_s is None:
        raise MissingFactError(
            f"the workload {workload.name!r} says how many users wait at once and not how much they ask; "
            "state it with --rps, or with --set tasks_per_month=VALUE"
        )
    return MonthLoad(
        tasks_per_month=traffic.tasks_per_s * SECONDS_PER_MONTH, hour_weights=hour_weights(workload)
    )


def hour_weights(workload: Workload) -> tuple[tuple[float, float], ...]:
    """The hours of a workload's week; all alike where it has no objectives: nobody waits, and work is done when it suits."""
    traffic = workload.traffic
    if not workload.objectives:
        return ((1.0, 1.0),)
    return week_weights(traffic.day_profile, traffic.week_profile)


def week_weights(day: tuple[float, ...], week: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """The 168 hours of a week, alike ones together, the quietest first."""
    mean = (sum(day) / len(day)) * (sum(week) / len(week))
    counted = Counter(round(hour * of_day / mean, 9) for of_day in week for hour in day)
    n_hours = sum(counted.values())
    return tuple((weight, count / n_hours) for weight, count in sorted(counted.items()))


def served_tasks(load: MonthLoad, tasks_per_month: Any, capacity_per_month: Any) -> Any:
    """Tasks of a month that a capacity serves when what comes beyond it in an hour goes elsewhere: Σ hours min(load, capacity)."""
    served: Any = 0.0
    for weight, share in load.hours():
        asked = tasks_per_month * weight
        served = served + share * (asked - at_least(asked - capacity_per_month, 0.0))
    return served


def mean_units(load: MonthLoad, tasks_per_month: Any, tasks_per_unit: Any, n_units: Any) -> Any:
    """Units that are there in the mean hour when each hour has as many as it needs: at least one, at most `n_units`."""
    found: Any = 0.0
    for weight, share in load.hours():
        needed = at_least(whole(tasks_per_month * weight / tasks_per_unit), 1)
        found = found + share * (needed - at_least(needed - n_units, 0))
    return found


def at_least(value: Any, low: Any) -> Any:
    """The larger of two, of numbers or arrays."""
    return value + (value < low) * (low - value)


def whole(needed: Any) -> Any:
    """Whole units for so much: rounded up, a billionth aside, so that 3.0000000001 are 3."""
    return -(-(needed * (1 - 1e-9)) // 1)

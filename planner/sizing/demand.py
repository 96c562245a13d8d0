"""The load that machines are sized for: at the peak hour, and in the mean that they are paid by."""

import math
from dataclasses import dataclass

from planner.sizing.option import LoadUnit
from planner.workload.traffic_growth import growth_factor
from planner.workload.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Tasks per second, or users who each wait for an answer before they ask again."""

    unit: LoadUnit
    average: float  # over a week
    peak: float  # the busiest hour of the busiest day; in a window, its mean

    def __post_init__(self) -> None:
        if not 0 < self.average <= self.peak:
            raise ValueError("an average is more than nothing and no more than the peak")


def demand_of(workload: Workload, years_ahead: float = 0.0) -> Demand:
    """A workload's traffic after some years of its growth, and its peak hour."""
    traffic = workload.traffic
    grown = growth_factor(traffic.growth_per_year, years_ahead)
    if traffic.tasks_per_s is not None:
        average = traffic.tasks_per_s * grown
        return Demand(unit="tasks/s", average=average, peak=average * traffic.peak_to_average)
    average = (traffic.concurrency or 1) * grown
    return Demand(unit="users", average=average, peak=float(math.ceil(average * traffic.peak_to_average)))

"""From the load of a replica to machines: how many carry the peak, how many a budget pays for, what a month costs."""

import math
from dataclasses import dataclass
from typing import Final

from hardware.units import HOURS_PER_MONTH
from planner.estimate.term import Interval

_ROUNDING: Final = 1e-9
_DAY_HOURS: Final = 24.0


def n_machines_for(peak: float, capacity_per_replica: float, replicas_per_machine: int) -> int:
    """Machines that carry a peak, each with all its replicas: ⌈peak / (capacity · replicas)⌉, at least one."""
    return max(1, math.ceil(peak / (capacity_per_replica * replicas_per_machine) - _ROUNDING))


def n_machines_within(budget_usd: float, usd_per_machine_month: float) -> int:
    """Machines that a month's budget pays for."""
    return math.floor(budget_usd / usd_per_machine_month + _ROUNDING)


def surviving_capacity(
    n_machines: int, n_spares: int, n_failed: int, capacity_per_replica: float, replicas_per_machine: int
) -> float:
    """What is left to carry load with when machines fail as a whole."""
    return max(0, n_machines + n_spares - n_failed) * replicas_per_machine * capacity_per_replica


def scaled_interval(found: Interval, factor: float) -> Interval:
    """So many times as much."""
    return Interval(
        low=found.low * factor,
        expected=found.expected * factor,
        high=found.high * factor,
        basis=found.basis,
        source=found.source,
    )


def usd_per_month(usd_per_hour: Interval | None, n_machines: int, hours: float) -> Interval | None:
    """Machines kept for so many hours of a month; None without a price."""
    return None if usd_per_hour is None else scaled_interval(usd_per_hour, n_machines * hours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When machines run that nobody waits for: some hours of each day, and only while there is work, or all the time."""

    hours_per_day: float = _DAY_HOURS
    stops_when_idle: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.hours_per_day <= _DAY_HOURS:
            raise ValueError("a window is more than 0 and at most 24 hours of a day")

    def load_within(self, average: float) -> float:
        """The mean load while the window is open, when all of the day's work is done in it."""
        return average * _DAY_HOURS / self.hours_per_day

    def hours_per_month(self, average: float, capacity: float) -> float:
        """Hours of a month that machines of this capacity, all of them together, are kept for."""
        if self.stops_when_idle:
            return HOURS_PER_MONTH * average / capacity
        return HOURS_PER_MONTH * self.hours_per_day / _DAY_HOURS

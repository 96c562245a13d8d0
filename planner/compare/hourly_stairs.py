"""Machines that are had by the hour, as many as each hour of the week needs, against an API as a line."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.compare.month_load import MonthLoad, at_least, mean_units, whole
from planner.compare.staircase import BreakEven, Line

_MOST_STEPS = 60_000
_JUST_ABOVE = 1 + 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlyStairs:
    """A month over the volume: F + k · peak units + h · mean units + m · V, each hour with whole units, at least one.

    It is straight between the volumes at which some hour needs one unit more.
    """

    fixed_usd: float  # people, spare machines
    kept_unit_usd: float  # a month of what each unit of the busiest hour costs whether it is there or not
    existing_unit_usd: float  # of a unit that is there all month
    usd_per_task: float
    tasks_per_unit: float  # a month of a unit that never waits
    load: MonthLoad

    def units(self, tasks: Any) -> Any:
        """Units of the busiest hour."""
        return at_least(whole(tasks * self.load.peak_to_average / self.tasks_per_unit), 1)

    def usd(self, tasks: Any) -> Any:
        """The month's cost."""
        most = self.units(tasks)
        there = mean_units(self.load, tasks, self.tasks_per_unit, most)
        return (
            self.fixed_usd
            + most * self.kept_unit_usd
            + there * self.existing_unit_usd
            + tasks * self.usd_per_task
        )

    @property
    def usd_per_task_at_large(self) -> float:
        """What a task costs where whole units no longer matter."""
        busiest = self.load.peak_to_average * self.kept_unit_usd
        return (busiest + self.existing_unit_usd) / self.tasks_per_unit + self.usd_per_task


def hourly_break_even(own: HourlyStairs, line: Line) -> BreakEven:
    """From which volumes on owning costs no more, looked for on every straight piece.

    Rounding up costs less than one unit in each hour, so beyond F + one unit over what a task saves at large owning is
    always cheaper; where a task saves nothing at large, as many steps are looked at as are allowed.
    """
    last_price = line.tiers[-1][1]
    saved = last_price - own.usd_per_task_at_large
    one_unit = own.kept_unit_usd + own.existing_unit_usd
    # What the line would take at no volume, if its last piece were all of it; discounts make it positive.
    offset = list(line.pieces())[-1][2]
    lasting = max(own.fixed_usd + one_unit - offset, 0.0) / saved if saved > 0 else np.inf
    edges = _edges(own, line, lasting)
    starts, ends = edges[:-1] * _JUST_ABOVE, edges[1:]
    # Own less API just after a piece begins and at its end.
    early, late = own.usd(starts) - line.usd(starts), own.usd(ends) - line.usd(ends)
    serves = np.flatnonzero((early <= 0) | (late <= 0))
    if not len(serves):
        if saved > 0:
            return BreakEven(first_tasks=float(lasting), for_good_tasks=float(lasting))
        return BreakEven(first_tasks=None, for_good_tasks=None)
    first = _crossing(starts, ends, early, late, int(serves[0]))
    if saved <= 0:
        return BreakEven(first_tasks=first, for_good_tasks=None)
    dear = np.flatnonzero((early > 0) | (late > 0))
    if not len(dear):
        return BreakEven(first_tasks=first, for_good_tasks=first)
    if lasting > ends[-1]:  # more steps than are looked at
        return BreakEven(first_tasks=first, for_good_tasks=float(lasting))
    last = int(dear[-1])
    for_good = float(ends[last]) if late[last] > 0 else _crossing(starts, ends, early, late, last)
    return BreakEven(first_tasks=first, for_good_tasks=max(first, for_good))


def _edges(own: HourlyStairs, line: Line, lasting: float) -> Any:
    """Volumes at which a step or a piece of the line begins, up to where nothing changes any more."""
    weights = np.array([weight for weight, _ in own.load.hours() if weight > 0])
    first_steps = own.tasks_per_unit / weights
    starts = np.array([start for start, _ in line.tiers])
    most = min(float(lasting), _MOST_STEPS / len(weights) * float(first_steps.min()))
    most = max(most, float(first_steps.max()), float(starts.max()) * 2)
    steps = [np.arange(1, int(most / step) + 2) * step for step in first_steps]
    edges = np.unique(np.concatenate([[0.0, most], starts, *steps]))
    return edges[edges <= most]


def _crossing(starts: Any, ends: Any, early: Any, late: Any, index: int) -> float:
    """Where the difference becomes 0 on a straight piece; its beginning where it is below 0 already."""
    if early[index] <= 0:
        return float(starts[index] / _JUST_ABOVE)
    part = early[index] / (early[index] - late[index])
    return float(starts[index] + part * (ends[index] - starts[index]))

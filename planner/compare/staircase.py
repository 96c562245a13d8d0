"""Own capacity as a staircase against an API as a line: above which volume owning is cheaper.

Own: F + n · U + m · V with n = ⌈V / c⌉ units, each good for c tasks a month; API: G + a · V. On step n owning is cheaper above

    V = (F − G + n · U) / (a − m)

if that is not beyond the step's end n · c. All of it is plain arithmetic over numbers or NumPy arrays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

import numpy as np

from planner.compare.month_load import at_least, whole

_MOST_STEPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Staircase:
    """A month of one's own machines over the volume. Values may be arrays of cases."""

    fixed_usd: Any  # people, spare machines
    unit_usd: Any  # one more unit, all month
    usd_per_task: Any  # what a task adds on a machine that is there: power
    tasks_per_unit: Any  # a month, of the load's shape: the busiest hour fills the unit

    def units(self, tasks: Any) -> Any:
        """Units for so many tasks a month; at least one, as the service is there before anybody asks."""
        return at_least(whole(tasks / self.tasks_per_unit), 1)

    def usd(self, tasks: Any) -> Any:
        """The month's cost."""
        return self.fixed_usd + self.units(tasks) * self.unit_usd + tasks * self.usd_per_task


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A month of an API over the volume: a straight line, or several with discounts from certain volumes on.

    `tiers` are pairs of tasks a month from which on each further task has another price; the first starts at 0.
    """

    fixed_usd: Any
    tiers: tuple[tuple[float, Any], ...]

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.tiers]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError("prices by volume start at 0 and rise")

    def usd(self, tasks: Any) -> Any:
        """The month's cost."""
        cost = self.fixed_usd + tasks * self.tiers[0][1]
        for (_, before), (start, price) in pairwise(self.tiers):
            cost = cost + at_least(tasks - start, 0.0) * (price - before)
        return cost

    def pieces(self) -> Iterator[tuple[float, float, Any, Any]]:
        """Each straight piece: from, to, its cost at no tasks if it were the whole line, and its price of a task."""
        offset: Any = self.fixed_usd
        for index, (start, price) in enumerate(self.tiers):
            if index:
                offset = offset + start * (self.tiers[index - 1][1] - price)
            end = self.tiers[index + 1][0] if index + 1 < len(self.tiers) else inf
            yield start, end, offset, price


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """From which volumes on owning is cheaper; None where it never is.

    Between `first` and `for_good` a new step of the staircase makes the API cheaper again for a while.
    """

    first_tasks: float | None
    for_good_tasks: float | None


def first_break_even(own: Staircase, fixed_usd: Any, usd_per_task: Any) -> Any:
    """The smallest volume at which owning costs no more than a straight line; infinite where it never does.

    With w = a − m and f = F − G, step n serves if (f + n · U) / w ≤ n · c, so from n = ⌈f / (w · c − U)⌉ on.
    """
    won, fixed = _won(own, fixed_usd, usd_per_task)
    per_step = won * own.tasks_per_unit - own.unit_usd
    later = (won > 0) & (per_step > 0)
    # On the first step, or before anybody asks.
    at_once = fixed + own.unit_usd <= at_least(won, 0.0) * own.tasks_per_unit
    n = np.where(later, at_least(whole(fixed / np.where(later, per_step, 1.0)), 1), 1)
    slope = np.where((later | at_once) & (won > 0), won, np.inf)  # infinite: nothing to cross
    return np.where(later | at_once, at_least((fixed + n * own.unit_usd) / slope, 0.0), np.inf)


def lasting_break_even(own: Staircase, fixed_usd: Any, usd_per_task: Any) -> Any:
    """The volume above which owning always costs no more: the crossing on the last step that begins dearer than the line.

    Step n begins dearer if (f + n · U) / w > (n − 1) · c, so up to n = ⌈(f + w · c) / (w · c − U)⌉ − 1.
    """
    won, fixed = _won(own, fixed_usd, usd_per_task)
    per_step = won * own.tasks_per_unit - own.unit_usd
    ever = (won > 0) & (per_step > 0)
    last = whole((fixed + won * own.tasks_per_unit) / np.where(ever, per_step, 1.0)) - 1
    volume = (fixed + at_least(last, 1) * own.unit_usd) / np.where(ever, won, 1.0)
    return np.where(ever, at_least(volume, 0.0), np.inf)


def break_even(own: Staircase, line: Line) -> BreakEven:
    """Both volumes against a line with any number of pieces; for one case, not for arrays."""
    first: float | None = None
    for start, end, fixed_usd, usd_per_task in line.pieces():
        first = _first_on_piece(own, start, end, fixed_usd, usd_per_task)
        if first is not None:
            break
    if first is None:
        return BreakEven(first_tasks=None, for_good_tasks=None)
    start, _, fixed_usd, usd_per_task = list(line.pieces())[-1]
    lasting = float(lasting_break_even(own, fixed_usd, usd_per_task))
    if lasting == inf:
        return BreakEven(first_tasks=first, for_good_tasks=None)
    if lasting <= start:
        lasting = _last_dearer(own, line, start)
    return BreakEven(first_tasks=first, for_good_tasks=max(first, lasting))


def _first_on_piece(
    own: Staircase, start: float, end: float, fixed_usd: float, usd_per_task: float
) -> float | None:
    """The first volume between two at which owning costs no more than a straight piece."""
    if end == inf:
        found = float(first_break_even(own, fixed_usd, usd_per_task))
        if found >= start:
            return None if found == inf else found
    for low, high in _steps(own, start, end):
        volume = _cheaper_from(own, low, high, fixed_usd, usd_per_task)
        if volume is not None:
            return volume
    return None


def _steps(own: Staircase, start: float, end: float) -> Iterator[tuple[float, float]]:
    """The staircase's steps between two volumes, a bounded number of them."""
    n = int(own.units(max(start, 0.0)))
    if start >= n * own.tasks_per_unit:
        n += 1
    for step in range(n, n + _MOST_STEPS):
        low, high = max(start, (step - 1) * own.tasks_per_unit), min(end, step * own.tasks_per_unit)
        yield low, high
        if high >= end:
            return


def _cheaper_from(
    own: Staircase, low: float, high: float, fixed_usd: float, usd_per_task: float
) -> float | None:
    """Where on one step, from just above `low` to `high`, owning becomes cheaper; None where it does not."""
    n = float(own.units(high))
    dearer_at_low = own.fixed_usd + n * own.unit_usd + low * own.usd_per_task - fixed_usd - low * usd_per_task
    if dearer_at_low <= 0:
        return low
    slope = usd_per_task - own.usd_per_task
    if slope <= 0:
        return None
    volume = low + dearer_at_low / slope
    return float(volume) if volume <= high * (1 + 1e-12) else None


def _last_dearer(own: Staircase, line: Line, end: float) -> float:
    """The last volume below `end` at which the API is cheaper."""
    last = 0.0
    for start, stop, fixed_usd, usd_per_task in line.pieces():
        if start >= end:
            break
        for low, high in _steps(own, start, min(stop, end)):
            volume = _cheaper_from(own, low, high, fixed_usd, usd_per_task)
            if volume is None:
                last = high
            elif volume > low:
                last = volume
    return last


def _won(own: Staircase, fixed_usd: Any, usd_per_task: Any) -> tuple[Any, Any]:
    """What a task saves on a machine that is there, and how much dearer owning starts."""
    return usd_per_task - own.usd_per_task, own.fixed_usd - fixed_usd

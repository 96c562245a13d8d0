"""What effects know of a case, and the bounds of its speed that follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from planner.speed.doubt import doubt
from planner.speed.factors import Case, Factors
from planner.speed.intervals import AFTER_BENCH, Knowledge, Spread, choose_spread, knowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Of measured over expected speed for one case, and the spread that they come from; arrays where the case's times are."""

    low_ratio: Any
    high_ratio: Any
    spread: Spread


def bounds_of(
    spreads: Sequence[Spread], speed_class: str, factors: Factors, case: Case, seconds: Sequence[Any]
) -> Bounds | None:
    """The bounds of a case whose operators take `seconds`; None for a class of which nothing is known."""
    spread = choose_spread(spreads, speed_class, *states_of(factors, case))
    if spread is None:
        return None
    if spread.slower is None:
        return Bounds(low_ratio=spread.low_ratio, high_ratio=spread.high_ratio, spread=spread)
    # Bounds after a benchmark were found with what is open after it, all others with what was open before.
    known = factors if spread.knowledge in AFTER_BENCH else factors.before or factors
    low, high = spread.ratios(doubt(known, case, seconds))
    return Bounds(low_ratio=low, high_ratio=high, spread=spread)


def outer(bounds: Bounds, other: Spread | None) -> Bounds:
    """The bounds that hold where two kinds of uncertainty are met: the outer ones of both."""
    if other is None:
        return bounds
    return Bounds(
        low_ratio=(bounds.low_ratio + other.low_ratio - abs(bounds.low_ratio - other.low_ratio)) / 2,
        high_ratio=(bounds.high_ratio + other.high_ratio + abs(bounds.high_ratio - other.high_ratio)) / 2,
        spread=min(bounds.spread, other, key=lambda spread: spread.n_groups),
    )


def states_of(factors: Factors, case: Case) -> tuple[Knowledge, ...]:
    """What holds of a case, the most special first: a benchmark on this machine, and what others had measured."""
    elsewhere = factors.before or factors
    model = elsewhere.knows_model(case)
    state = knowledge(device=elsewhere.knows_device(case), model=model)
    if factors.before is None or not factors.knows_machine(case):
        return (state,)
    return ("bench" if model else "bench_new", state)

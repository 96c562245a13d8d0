"""Bounds that are the same for all cases of a class and a state of knowledge: quantiles of what predictions missed by.

Residuals are log of measured over expected speed on rows that a fit had not seen; every group of rows counts once;
quantiles are conformal, which for n groups takes them a little outside the empirical ones.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from planner.speed.intervals import ELSEWHERE, KNOWLEDGE, Knowledge, Spread

_BEYOND = 0.1  # of the groups, on either side
_FEWEST_GROUPS = 8  # a quantile of 10 % needs about as many; with fewer, less special residuals join


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """One held-out row: log of measured over expected speed, and what the fit knew."""

    speed_class: str
    knowledge: Knowledge
    group: str
    log_ratio: float


# Where to look when a state has too few groups: the nearest state that knows no more.
_NEXT: Mapping[Knowledge, tuple[Knowledge, ...]] = {
    "both": ("both",),
    "device": ("device",),
    "model": ("model",),
    "neither": ("neither", "model", "device"),
    "bench": ("bench", "bench_new"),
    "bench_new": ("bench_new", "bench"),
    "bench_rate": ("bench_rate",),
}


def spreads(residuals: Iterable[Residual]) -> tuple[Spread, ...]:
    """The bounds of every class and state that has residuals, or borrows them from the state beside it."""
    by_state: dict[tuple[str, Knowledge], list[Residual]] = defaultdict(list)
    for residual in residuals:
        by_state[residual.speed_class, residual.knowledge].append(residual)
    found = []
    for speed_class in sorted({name for name, _ in by_state}):
        for state in KNOWLEDGE:
            pool: list[Residual] = []
            others = ELSEWHERE if state in ELSEWHERE else ()
            for near in dict.fromkeys((*_NEXT[state], *others)):
                if len({residual.group for residual in pool}) < _FEWEST_GROUPS:
                    pool += by_state.get((speed_class, near), [])
            if pool:
                found.append(_spread(speed_class, state, pool))
    return tuple(found)


def _spread(speed_class: str, state: Knowledge, pool: Sequence[Residual]) -> Spread:
    sizes: dict[str, int] = defaultdict(int)
    for residual in pool:
        sizes[residual.group] += 1
    pairs = sorted((residual.log_ratio, 1 / sizes[residual.group]) for residual in pool)
    n = len(sizes)
    low, high = _bound(pairs, n), _bound(pairs[::-1], n)
    return Spread(
        speed_class=speed_class,
        knowledge=state,
        low_ratio=math.exp(min(low, -0.005)),
        high_ratio=math.exp(max(high, 0.005)),
        n_groups=n,
        n_rows=len(pool),
    )


def _bound(outwards: Sequence[tuple[float, float]], n_groups: int) -> float:
    """The first value from outside with less than a tenth beyond it, of n groups that the weights add up to.

    One more group is imagined, which may lie anywhere: no more than a tenth of n + 1 lie at the bound or beyond, and
    where even one would be more, it is the outermost value.
    """
    goal = _BEYOND * (n_groups + 1)
    reached, found = 0.0, outwards[0][0]
    for value, weight in outwards:
        reached += weight
        if reached > goal:
            break
        found = value
    return found

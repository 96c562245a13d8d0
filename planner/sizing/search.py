"""The cheapest layout for each machine, without asking about layouts that cannot be it."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from planner.sizing.offer import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A layout on a machine. `key` names what its capacity depends on, which machines of the same GPUs share."""

    offer: Offer
    key: Hashable
    replicas_per_machine: int
    bound: float  # a load that one replica surely does not exceed


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The best candidate of an offer."""

    candidate: Candidate
    capacity: float  # of a replica
    cost: float


Cost = Callable[
    [Candidate, float], float
]  # of carrying the demand with replicas of this capacity; inf where it cannot be


def best_of_each_offer(
    candidates: Iterable[Candidate], cost: Cost, capacity_of: Callable[[Candidate], float | None]
) -> tuple[Found, ...]:
    """The candidate of least cost for each offer that has one, in the order of the offers.

    Branch and bound: `cost` must not rise with capacity, so that its value at the bound is the least it can be.
    Candidates are asked in that order until the next one cannot be cheaper. `capacity_of` gives None where objectives
    are met at no load. Of equal costs the larger bound stays.
    """
    by_offer: dict[Offer, list[Candidate]] = {}
    for candidate in candidates:
        by_offer.setdefault(candidate.offer, []).append(candidate)
    found = (_best(group, cost, capacity_of) for group in by_offer.values())
    return tuple(one for one in found if one is not None)


def _best(
    candidates: list[Candidate], cost: Cost, capacity_of: Callable[[Candidate], float | None]
) -> Found | None:
    best: Found | None = None
    ordered = sorted(
        candidates, key=lambda one: (cost(one, one.bound), -one.bound * one.replicas_per_machine)
    )
    for candidate in ordered:
        least = cost(candidate, candidate.bound)
        if least == float("inf") or (best is not None and least >= best.cost):
            break
        capacity = capacity_of(candidate)
        if capacity is None:
            continue
        actual = cost(candidate, capacity)
        if actual < (float("inf") if best is None else best.cost):
            best = Found(candidate=candidate, capacity=capacity, cost=actual)
    return best

"""Branch and bound against trying everything, on small spaces with any capacities, prices and bounds."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hardware.spec import Basis
from planner.estimate.term import Interval
from planner.sizing.counts import n_machines_for
from planner.sizing.offer import Offer
from planner.sizing.search import Candidate, best_of_each_offer


def offer(name: int, n_gpus: int, usd: float, n_available: int | None = None) -> Offer:
    price = Interval(low=usd, expected=usd, high=usd, basis=Basis.ASSUMED, source="a test")
    return Offer(
        description=f"machine {name}", accelerator_id=None, accelerator="a GPU", n_gpus=n_gpus, usd_per_hour=price,
        deal="on-demand", n_available=n_available,
    )  # fmt: skip


@st.composite
def spaces(draw: Any) -> tuple[list[Candidate], dict[Any, float | None]]:
    """A few machines with a few layouts each, of which some share their capacity and some have none."""
    capacities: dict[Any, float | None] = {}
    candidates = []
    for machine in range(draw(st.integers(1, 4))):
        n_gpus = draw(st.sampled_from([1, 2, 4, 8]))
        offered = offer(
            machine, n_gpus, draw(st.floats(0.5, 20)), draw(st.one_of(st.none(), st.integers(1, 5)))
        )
        for layout in range(draw(st.integers(1, 5))):
            key = (n_gpus, layout)
            capacity = capacities.setdefault(key, draw(st.one_of(st.none(), st.floats(0.1, 20))))
            bound = (capacity or draw(st.floats(0.1, 20))) * draw(st.floats(1, 3))
            candidates.append(
                Candidate(
                    offer=offered, key=key, replicas_per_machine=max(1, n_gpus // (layout + 1)), bound=bound
                )
            )
    return candidates, capacities


def cost_of(peak: float, spares: int) -> Any:
    def cost(candidate: Candidate, capacity: float) -> float:
        n = n_machines_for(peak, capacity, candidate.replicas_per_machine) + spares
        available = candidate.offer.n_available
        if available is not None and n > available:
            return math.inf
        assert candidate.offer.usd_per_hour is not None
        return n * candidate.offer.usd_per_hour.expected

    return cost


@given(spaces(), st.floats(0.1, 100), st.integers(0, 2))
def test_the_cheapest_is_what_trying_everything_finds(
    space: tuple[list[Candidate], dict[Any, float | None]], peak: float, spares: int
) -> None:
    candidates, capacities = space
    cost = cost_of(peak, spares)
    found = best_of_each_offer(candidates, cost, lambda one: capacities[one.key])
    for machine in {one.offer for one in candidates}:
        costs = [
            cost(one, capacity)
            for one in candidates
            if one.offer == machine and (capacity := capacities[one.key]) is not None
        ]
        cheapest = min(costs, default=math.inf)
        answer = next((one for one in found if one.candidate.offer == machine), None)
        assert (math.inf if answer is None else answer.cost) == cheapest


@given(spaces(), st.floats(0.1, 100), st.floats(1, 5), st.integers(0, 2))
def test_more_traffic_never_costs_less(
    space: tuple[list[Candidate], dict[Any, float | None]], peak: float, more: float, spares: int
) -> None:
    candidates, capacities = space

    def cheapest(load: float) -> float:
        found = best_of_each_offer(candidates, cost_of(load, spares), lambda one: capacities[one.key])
        return min((one.cost for one in found), default=math.inf)

    assert cheapest(peak * more) >= cheapest(peak)


@given(spaces(), st.floats(0.1, 100), st.floats(1, 3))
def test_larger_capacities_never_cost_more(
    space: tuple[list[Candidate], dict[Any, float | None]], peak: float, larger: float
) -> None:
    # What a looser objective does: every replica carries at least as much.
    candidates, capacities = space
    loose = {key: None if load is None else load * larger for key, load in capacities.items()}
    wide = [
        Candidate(
            offer=one.offer,
            key=one.key,
            replicas_per_machine=one.replicas_per_machine,
            bound=one.bound * larger,
        )
        for one in candidates
    ]

    def cheapest(tried: list[Candidate], loads: dict[Any, float | None]) -> float:
        found = best_of_each_offer(tried, cost_of(peak, 0), lambda one: loads[one.key])
        return min((one.cost for one in found), default=math.inf)

    assert cheapest(wide, loose) <= cheapest(candidates, capacities)


def test_what_cannot_be_cheaper_is_not_asked() -> None:
    asked = []

    def capacity(one: Candidate) -> float:
        asked.append(one.key)
        return 4.0

    machine = offer(0, 4, 2.0)
    layouts = [Candidate(offer=machine, key=n, replicas_per_machine=n, bound=5.0) for n in (1, 2, 4)]
    best_of_each_offer(layouts, cost_of(16.0, 0), capacity)
    # Four replicas of 4.0 carry 16 on one machine; two of at most 5.0 each would need two machines.
    assert asked == [4]

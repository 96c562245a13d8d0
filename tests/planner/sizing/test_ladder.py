"""The largest load on the ladder, with objectives that hold cleanly up to a load and with ones that jitter."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from planner.sizing.ladder import DEPTH, largest_load, rung

RUNGS = [rung(index) for index in range(2**DEPTH)]
LOADS = st.floats(0.001, 10_000.0)


def test_neighbouring_rungs_are_less_than_three_per_cent_apart() -> None:
    # 36 octaves in 1,024 rungs: 2^(36/1024) = 1.0247.
    assert max(b / a for a, b in pairwise(RUNGS)) < 1.025
    assert RUNGS[0] < 1e-4 and RUNGS[-1] == 2.0**20


@given(limit=LOADS, most=LOADS)
def test_it_is_the_last_rung_within_the_limit(limit: float, most: float) -> None:
    found = largest_load(lambda load: load <= limit, most)
    assert found == max(load for load in RUNGS if load <= limit and load < most)


def test_nothing_holds() -> None:
    assert largest_load(lambda load: False, 100.0) is None


@given(
    strict=st.sets(st.integers(0, 2**DEPTH - 1)),
    more=st.sets(st.integers(0, 2**DEPTH - 1)),
    most=LOADS,
    bound=st.floats(1, 4),
)
def test_a_looser_objective_never_ends_lower(
    strict: set[int], more: set[int], most: float, bound: float
) -> None:
    # Whatever jitter there is: where the loose objective holds wherever the strict one does, it ends no lower.
    lower = largest_load(lambda load: RUNGS.index(load) in strict, most)
    upper = largest_load(lambda load: RUNGS.index(load) in strict | more, most * bound)
    assert lower is None or (upper is not None and upper >= lower)


def test_loads_that_are_surely_not_carried_are_not_asked() -> None:
    asked = []

    def holds(load: float) -> bool:
        asked.append(load)
        return load <= 5.0

    assert largest_load(holds, 8.0) == max(load for load in RUNGS if load <= 5.0)
    assert len(asked) <= DEPTH and max(asked) < 8.0

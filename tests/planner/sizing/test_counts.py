"""Machines from loads: never too few, never more than needed, and spares that only stand by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.units import HOURS_PER_MONTH
from planner.sizing.counts import Window, n_machines_for, n_machines_within, surviving_capacity

LOADS = st.floats(0.01, 1000.0)
FEW = st.integers(1, 16)


def test_a_worked_number() -> None:
    # 9.65 a second over machines with two replicas of 2.1 each: 9.65 / 4.2 = 2.3, so 3 machines.
    assert n_machines_for(9.65, 2.1, 2) == 3


@given(peak=LOADS, capacity=LOADS, replicas=FEW)
def test_machines_carry_the_peak_and_one_less_would_not(peak: float, capacity: float, replicas: int) -> None:
    n = n_machines_for(peak, capacity, replicas)
    assert n * replicas * capacity >= peak * (1 - 1e-6)
    assert n == 1 or (n - 1) * replicas * capacity < peak


@given(peak=LOADS, more=st.floats(1, 10), capacity=LOADS, replicas=FEW)
def test_more_traffic_never_needs_fewer(peak: float, more: float, capacity: float, replicas: int) -> None:
    assert n_machines_for(peak * more, capacity, replicas) >= n_machines_for(peak, capacity, replicas)


@given(peak=LOADS, capacity=LOADS, replicas=FEW, spares=st.integers(0, 4), more=st.integers(0, 4))
def test_spares_never_reduce_capacity(
    peak: float, capacity: float, replicas: int, spares: int, more: int
) -> None:
    n = n_machines_for(peak, capacity, replicas)
    left = surviving_capacity(n, spares, spares, capacity, replicas)
    assert left >= peak * (1 - 1e-6)  # as many machines fail as there are spares, and the peak is carried
    assert surviving_capacity(n, spares + more, spares, capacity, replicas) >= left


@given(budget=st.floats(1, 1e6), price=st.floats(1, 1e5))
def test_a_budget_is_kept_and_used_up(budget: float, price: float) -> None:
    n = n_machines_within(budget, price)
    assert n * price <= budget * (1 + 1e-6) < (n + 1) * price * (1 + 2e-6)


def test_hours_of_work_that_nobody_waits_for() -> None:
    # A load of 2 on machines that carry 8: they work a quarter of the month. In 6 hours of each day the load is 8.
    assert Window().hours_per_month(2.0, 8.0) == pytest.approx(HOURS_PER_MONTH / 4)
    night = Window(hours_per_day=6, stops_when_idle=False)
    assert night.load_within(2.0) == pytest.approx(8.0)
    assert night.hours_per_month(2.0, 8.0) == pytest.approx(HOURS_PER_MONTH / 4)
    with pytest.raises(ValueError, match="24 hours"):
        Window(hours_per_day=25)

"""Intervals hold what they promise on residuals like those they were made of, and widen with less knowledge."""

import random
from statistics import NormalDist

import pytest

from planner.speed.intervals import choose_spread
from planner.speed.state_spreads import Residual, spreads


def residuals(n_groups: int, spread: float, state: str = "both", seed: int = 1) -> list[Residual]:
    noise = random.Random(seed)
    return [
        Residual(speed_class="dense_decode", knowledge=state, group=f"{state} {i}", log_ratio=noise.gauss(0, spread))  # type: ignore[arg-type]
        for i in range(n_groups)
    ]  # fmt: skip


def test_four_of_five_new_residuals_lie_inside() -> None:
    found = choose_spread(spreads(residuals(400, 0.1)), "dense_decode", "both")
    assert found is not None
    fresh = [2.718281828**residual.log_ratio for residual in residuals(4000, 0.1, seed=2)]
    inside = sum(found.low_ratio <= ratio <= found.high_ratio for ratio in fresh) / len(fresh)
    assert inside == pytest.approx(0.8, abs=0.05)
    # A normal distribution's decile lies 1.2816 standard deviations out.
    assert found.high_ratio == pytest.approx(2.718281828 ** (0.1 * NormalDist().inv_cdf(0.9)), rel=0.03)


@pytest.mark.parametrize(("n", "outermost"), [(9, 1), (12, 1), (19, 2), (28, 2), (29, 3)])
def test_few_groups_leave_no_more_than_a_tenth_beyond(n: int, outermost: int) -> None:
    """A new one lies beyond the k-th of n with probability k / (n + 1): of 12, the second would leave 15 % out."""
    values = [
        Residual(speed_class="dense_decode", knowledge="both", group=str(i), log_ratio=(i + 1) / 10)
        for i in range(n)
    ]
    (found,) = [spread for spread in spreads(values) if spread.knowledge == "both"]
    assert found.high_ratio == pytest.approx(2.718281828 ** ((n + 1 - outermost) / 10))


def test_a_group_counts_once_however_many_rows_it_has() -> None:
    few = residuals(40, 0.05)
    many = [
        Residual(speed_class="dense_decode", knowledge="both", group="one", log_ratio=2.0)
        for _ in range(5000)
    ]
    with_many = choose_spread(spreads(few + many), "dense_decode", "both")
    assert with_many is not None
    assert with_many.high_ratio < 1.2


def test_a_state_without_measurements_borrows_from_the_next() -> None:
    found = spreads([*residuals(50, 0.05), *residuals(50, 0.4, "model")])
    sure = choose_spread(found, "dense_decode", "both")
    unsure = choose_spread(found, "dense_decode", "neither")
    assert sure is not None and unsure is not None
    assert unsure.high_ratio / unsure.low_ratio > 2 * sure.high_ratio / sure.low_ratio
    assert choose_spread(found, "moe_prefill", "both") is None

"""What a solved task costs, and when the dearer model pays, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.compare.solved import (
    EvaluationResult,
    Repair,
    SolvedCost,
    break_even_usd_of_failure,
    dearer_pays,
    solved_cost,
    usd_per_solved,
)


def result(n_solved: float, n_tasks: int = 100, n_attempts: int | None = None) -> EvaluationResult:
    return EvaluationResult(
        model="m",
        evaluation="e",
        metric="solved",
        n_tasks=n_tasks,
        n_solved=n_solved,
        n_attempts=n_attempts or n_tasks,
    )


def cost(n_solved: float, usd: float, wage: float = 60, minutes: float = 10, **more: int) -> SolvedCost:
    return solved_cost(result(n_solved, **more), usd, Repair(minutes=minutes, usd_per_hour=wage))


def test_by_hand() -> None:
    # 100 tasks at 2 attempts and 0.05 each: 10.00. 20 failures of 10 minutes at 60 an hour: 200. Over 80 solved: 2.625.
    found = cost(80, 0.05, n_attempts=200)
    assert found.usd == pytest.approx(2.625)
    assert (found.model_usd, found.people_usd) == pytest.approx((0.125, 2.5))


def test_the_dearer_model_pays_above_a_wage() -> None:
    # Cheap: 80 of 100 at 0.01; dear: 90 of 100 at 0.20. Repairs a solved task: 0.25 against 0.1111, fewer by 0.13889.
    # Price a solved task: 0.0125 against 0.2222, more by 0.20972. A failure must cost 1.51: at 10 minutes 9.06 an hour.
    cheap, dear = cost(80, 0.01), cost(90, 0.20)
    assert break_even_usd_of_failure(cheap, dear) == pytest.approx(0.209722 / 0.138889, rel=1e-4)
    found = dearer_pays(cheap, dear)
    assert found.break_even_usd_per_hour == pytest.approx(9.06, abs=0.005)
    assert found.break_even_minutes == pytest.approx(1.51, abs=0.005)
    assert found.pays
    assert not dearer_pays(cost(80, 0.01, wage=5), cost(90, 0.20, wage=5)).pays
    assert found.probability > 0.9


def test_a_model_that_fails_as_often_never_pays() -> None:
    found = dearer_pays(cost(80, 0.01), cost(80, 0.20))
    assert found.break_even_usd_per_hour is None
    assert not found.pays


def test_few_tasks_say_little() -> None:
    # 8 of 10 against 9 of 10 is one task's difference; 800 of 1,000 against 900 is not.
    few = dearer_pays(cost(8, 0.01, n_tasks=10), cost(9, 0.2, n_tasks=10))
    many = dearer_pays(cost(800, 0.01, n_tasks=1_000), cost(900, 0.2, n_tasks=1_000))
    assert few.pays
    assert many.pays
    assert 0.5 < few.probability < 0.85
    assert many.probability > 0.999


def test_nothing_solved_has_no_cost() -> None:
    nothing = cost(0, 0.01)
    assert (nothing.usd, nothing.model_usd) == (None, None)
    assert dearer_pays(nothing, cost(50, 0.2)).pays


@given(st.integers(1, 99), st.integers(1, 99), st.floats(1e-4, 1.0), st.floats(1e-4, 1.0))
def test_at_the_break_even_wage_both_cost_the_same(s1: int, s2: int, p1: float, p2: float) -> None:
    cheap, dear = cost(s1, p1), cost(s2, p2)
    even = dearer_pays(cheap, dear, n_cases=10).break_even_usd_per_hour
    if even:  # neither never nor at once
        a = usd_per_solved(100, p1, 100 - s1, 10, even, s1)
        b = usd_per_solved(100, p2, 100 - s2, 10, even, s2)
        assert a == pytest.approx(b)


@pytest.mark.parametrize(("n_solved", "n_tasks", "n_attempts"), [(5, 4, 4), (-1, 4, 4), (1, 0, 0), (1, 4, 3)])
def test_counts_that_cannot_be(n_solved: float, n_tasks: int, n_attempts: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        EvaluationResult(
            model="m", evaluation="e", metric="x", n_tasks=n_tasks, n_solved=n_solved, n_attempts=n_attempts
        )

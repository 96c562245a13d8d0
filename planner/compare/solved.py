"""What a solved task costs, people's repairs included, and whether the dearer model pays for itself.

    (attempts · price + failures · people's minutes · wage) / solved

Formulas are plain arithmetic over numbers or NumPy arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """How a model did on a set of tasks: `n_attempts` answers were made, `n_solved` of `n_tasks` tasks were solved in the end.

    Token counts and dollars are of a mean attempt; None where the evaluation did not keep them.
    """

    model: str
    evaluation: str
    metric: str
    n_tasks: int
    n_solved: float  # a whole number but for scores between 0 and 1
    n_attempts: int
    prompt_tokens: float | None = None
    output_tokens: float | None = None  # thinking included
    usd_per_attempt: float | None = None
    people_minutes: float | None = None  # of a failure, as measured
    source: str = ""

    def __post_init__(self) -> None:
        if self.n_tasks < 1 or self.n_attempts < self.n_tasks or not 0 <= self.n_solved <= self.n_tasks:
            raise ValueError(
                f"{self.n_solved:g} solved of {self.n_tasks} tasks in {self.n_attempts} attempts cannot be"
            )

    @property
    def n_failed(self) -> float:
        """Tasks that are left to people."""
        return self.n_tasks - self.n_solved

    @property
    def solved_fraction(self) -> float:
        """Solved over all."""
        return self.n_solved / self.n_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What a failure costs: somebody's minutes at somebody's wage."""

    minutes: float
    usd_per_hour: float

    def __post_init__(self) -> None:
        if self.minutes < 0 or self.usd_per_hour < 0:
            raise ValueError("minutes and wages are not negative")

    @property
    def usd(self) -> float:
        """Of one failure."""
        return self.minutes / MINUTES_PER_HOUR * self.usd_per_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class SolvedCost:
    """What one model's solved tasks cost. `usd` is None where it solved none."""

    result: EvaluationResult
    usd_per_attempt: float
    repair: Repair
    usd: float | None

    @property
    def model_usd(self) -> float | None:
        """The model's part of it."""
        solved = self.result.n_solved
        return self.result.n_attempts * self.usd_per_attempt / solved if solved else None

    @property
    def people_usd(self) -> float | None:
        """People's part of it."""
        solved = self.result.n_solved
        return self.result.n_failed * self.repair.usd / solved if solved else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DearerPays:
    """A dearer model against a cheaper one. None for a wage: at no wage, as it does not fail less often."""

    cheap: SolvedCost
    dear: SolvedCost
    break_even_usd_per_hour: float | None
    break_even_minutes: float | None  # of a failure, at the wage given
    probability: float  # that it costs less a solved task, given how few tasks were tried

    @property
    def pays(self) -> bool:
        """Whether the dearer one costs less for each solved task, at the wage given."""
        return self.dear.usd is not None and (self.cheap.usd is None or self.dear.usd < self.cheap.usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What solved tasks cost, the cheapest model first, and each dearer one against the cheapest of an attempt."""

    costs: tuple[SolvedCost, ...]
    duels: tuple[DearerPays, ...]


def usd_per_solved(
    n_attempts: Any,
    usd_per_attempt: Any,
    n_failed: Any,
    people_minutes: Any,
    usd_per_hour: Any,
    n_solved: Any,
) -> Any:
    """(attempts · price + failures · minutes / 60 · wage) / solved."""
    people = n_failed * people_minutes / MINUTES_PER_HOUR * usd_per_hour
    return (n_attempts * usd_per_attempt + people) / n_solved


def solved_cost(result: EvaluationResult, usd_per_attempt: float, repair: Repair) -> SolvedCost:
    """The cost of one model's solved tasks."""
    usd = None
    if result.n_solved:
        usd = usd_per_solved(
            result.n_attempts,
            usd_per_attempt,
            result.n_failed,
            repair.minutes,
            repair.usd_per_hour,
            result.n_solved,
        )
    return SolvedCost(result=result, usd_per_attempt=usd_per_attempt, repair=repair, usd=usd)


def break_even_usd_of_failure(cheap: SolvedCost, dear: SolvedCost) -> float | None:
    """What a failure has to cost for both to cost the same: (A₂p₂/S₂ − A₁p₁/S₁) / (F₁/S₁ − F₂/S₂).

    None where the dearer one leaves people as much to repair, or more; 0 where it costs no more anyway.
    """
    if not dear.result.n_solved or not cheap.result.n_solved:
        return None
    fewer = cheap.result.n_failed / cheap.result.n_solved - dear.result.n_failed / dear.result.n_solved
    more = (dear.model_usd or 0.0) - (cheap.model_usd or 0.0)
    if fewer <= 0:
        return None
    return max(0.0, more / fewer)


def dearer_pays(cheap: SolvedCost, dear: SolvedCost, seed: int = 1, n_cases: int = 20_000) -> DearerPays:
    """Whether the dearer of two models is worth its price, with the wage from which on it is, and how sure that is.

    Of few tasks the share that is solved is not well known: both shares are drawn from their Beta distributions (Jeffreys' prior)
    around what was seen.
    """
    even = break_even_usd_of_failure(cheap, dear)
    repair = dear.repair
    return DearerPays(
        cheap=cheap,
        dear=dear,
        break_even_usd_per_hour=None
        if even is None or repair.minutes == 0
        else even / repair.minutes * MINUTES_PER_HOUR,
        break_even_minutes=None
        if even is None or repair.usd_per_hour == 0
        else even / repair.usd_per_hour * MINUTES_PER_HOUR,
        probability=float(
            np.mean(_drawn_usd(dear, [seed, 2], n_cases) < _drawn_usd(cheap, [seed, 1], n_cases))
        ),
    )


def _drawn_usd(cost: SolvedCost, seed: list[int], n_cases: int) -> Any:
    result = cost.result
    share = np.random.default_rng(seed).beta(result.n_solved + 0.5, result.n_failed + 0.5, n_cases)
    return usd_per_solved(
        result.n_attempts / result.n_tasks, cost.usd_per_attempt, 1 - share, cost.repair.minutes,
        cost.repair.usd_per_hour, share,
    )  # fmt: skip


def cheapest_first(costs: Sequence[SolvedCost]) -> tuple[SolvedCost, ...]:
    """By what a solved task costs; those that solved nothing last."""
    return tuple(sorted(costs, key=lambda cost: (cost.usd is None, cost.usd or 0.0)))

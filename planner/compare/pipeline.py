"""Several models one after the other (router, worker, checker): how often each is called, and what all of it costs.

Each stage passes a share of what it handles to others, a checker maybe back to the worker. The calls of a task at stage j are

    v_j = e_j + Σ_i v_i · p_ij

with e 1 for the first stage: expected visits of an absorbing Markov chain, so loops are counted to their end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np

from planner.compare.month import OptionMonth, api_month, own_month
from planner.compare.options import TASKS, ApiOption, OwnOption, Scenario
from planner.errors import PriceError
from planner.estimate.term import Term, total

_MOST_COMBINATIONS = 4_096
_SHARED = ("people: operations", "people: API")  # paid once, however many stages there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step: which options may run it (own machines or APIs, priced for a call of this stage), and what it passes on.

    `passes` are the shares of its calls after which another stage is called; they may sum to more than 1, where one call leads to
    several. What sums to less leaves the pipeline.
    """

    name: str
    options: tuple[OwnOption | ApiOption, ...]
    passes: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError(f"the stage {self.name!r} has nothing to run on")
        for name, share in self.passes.items():
            if not 0 <= share <= 100:
                raise ValueError(f"{self.name!r} passes {share:g} to {name!r}; a share is from 0 to 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMonth:
    """A stage's month under one option; `calls` are those of one task."""

    stage: str
    calls: float
    month: OptionMonth
    terms: tuple[Term, ...]  # without what is paid once for all stages


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineMonth:
    """A month of all stages. Terms are named by their stage and sum to the cost."""

    stages: tuple[StageMonth, ...]
    terms: tuple[Term, ...]
    tasks: float

    @property
    def usd(self) -> float:
        """The month's cost."""
        return float(total(self.terms))

    @property
    def usd_per_task(self) -> float:
        """Of one task through the whole pipeline."""
        return self.usd / self.tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineChoice:
    """A pipeline with the calls of a task at each stage, and a month of every choice of options, the cheapest first."""

    name: str
    calls: Mapping[str, float]
    months: tuple[PipelineMonth, ...]
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> PipelineMonth:
        """The cheapest choice."""
        return self.months[0]


def visits(passes: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Calls of each stage for one task, which enters at the first; PriceError where a loop never ends."""
    names = list(passes)
    shares = np.zeros((len(names), len(names)))
    for row, (stage, to) in enumerate(passes.items()):
        for name, share in to.items():
            if name not in passes:
                raise PriceError(
                    f"{stage!r} passes to {name!r}, which is no stage; there are {', '.join(names)}"
                )
            shares[row, names.index(name)] = share
    # A loop ends if what goes round shrinks: no eigenvalue of the shares reaches 1.
    if float(np.max(np.abs(np.linalg.eigvals(shares)))) >= 1 - 1e-9:
        raise PriceError(
            "a loop between stages never ends: what goes round must shrink, to below 1 each time"
        )
    entered = np.zeros(len(names))
    entered[0] = 1.0
    found = np.linalg.solve(np.eye(len(names)) - shares.T, entered)
    return {name: max(0.0, float(calls)) for name, calls in zip(names, found, strict=True)}


def pipelines(stages: Sequence[Stage], scenario: Scenario) -> tuple[PipelineMonth, ...]:
    """Every choice of an option for each stage, the cheapest first.

    Machines of a stage are its own: stages that share machines are one deployment, and stated as such.
    """
    n = prod(len(stage.options) for stage in stages)
    if n > _MOST_COMBINATIONS:
        raise PriceError(
            f"{n:,} combinations of options; at most {_MOST_COMBINATIONS:,} are compared, name fewer"
        )
    if not stages or len({stage.name for stage in stages}) != len(stages):
        raise PriceError(
            f"stages need names of their own: {', '.join(stage.name for stage in stages) or 'there are none'}"
        )
    calls = visits({stage.name: stage.passes for stage in stages})
    priced = [
        [_month(stage, option, calls[stage.name], scenario) for option in stage.options] for stage in stages
    ]
    found = [_joined(tuple(chosen), scenario) for chosen in product(*priced)]
    return tuple(sorted(found, key=lambda month: month.usd))


def _month(stage: Stage, option: OwnOption | ApiOption, calls: float, scenario: Scenario) -> StageMonth:
    """A month of a stage; one that nothing reaches still keeps its machines."""
    tasks = max(calls, 1e-12) * scenario.figures.value(TASKS)
    asked = replace(scenario, figures=scenario.figures.with_values({TASKS: tasks}))
    month = own_month(option, asked) if isinstance(option, OwnOption) else api_month(option, asked)
    return StageMonth(
        stage=stage.name,
        calls=calls,
        month=month,
        terms=tuple(
            replace(term, name=f"{stage.name}: {term.name}")
            for term in month.terms
            if term.name not in _SHARED
        ),
    )


def _joined(stages: tuple[StageMonth, ...], scenario: Scenario) -> PipelineMonth:
    shared: dict[str, Term] = {}
    for stage in stages:
        for term in stage.month.terms:
            if term.name in _SHARED:
                shared.setdefault(term.name, term)
    own = tuple(term for stage in stages for term in stage.terms)
    return PipelineMonth(
        stages=stages, terms=(*own, *shared.values()), tasks=float(scenario.figures.value(TASKS))
    )

"""One's own machines against APIs for one workload: every option's month, the years, what decides, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from planner.compare.constraints import Constraints, Excluded, api_reason, own_reason, sorted_out
from planner.compare.horizon import CashFlow, at_month, cash_flow, paid_back_month
from planner.compare.hourly_stairs import hourly_break_even
from planner.compare.month import OptionMonth, api_month, hybrid_month, own_month, spare_worth_usd
from planner.compare.options import (
    GROWTH,
    TASKS,
    USD_PER_TASK,
    ApiOption,
    OwnOption,
    Scenario,
    api_line,
    capacity_per_month,
    hourly_stairs,
    staircase,
)
from planner.compare.staircase import BreakEven, Line, break_even
from planner.compare.uncertainty import DEFAULT_CASES, DEFAULT_SEED, Matched, Risk, risk
from planner.errors import PriceError
from planner.prices.figure import Figures
from planner.prices.machine_cost import MONTHS_PER_YEAR
from planner.workload.totals import TaskTotals, expected_task
from planner.workload.workload import Workload

Verdict = Literal["own", "hybrid", "api"]
_LEAST_SHARE = 1e-6  # of the tasks that an API has to take for a hybrid to be one


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionYears:
    """One option: its month as things are now, and its cash flow over the years."""

    month: OptionMonth
    flow: CashFlow
    cover: float | None = None  # of a hybrid: the load, in times of the mean, that own machines cover

    @property
    def name(self) -> str:
        """The option's name."""
        return self.month.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """One way of owning against the API that costs least over the years."""

    own: OptionYears
    api: OptionYears
    break_even: BreakEven  # tasks a month at today's prices, all of them on own machines
    break_even_utilisation: float | None  # of the units there are now, over which they cost less than the API
    cheaper_from_month: int | None  # the first month (from 1) whose account is lower and stays lower
    paid_back_month: int | None  # the first month (from 1) from whose end on less was paid in all
    spare_worth_usd: float | None  # what the spare capacity would cost a month at the API
    risk: Risk

    @property
    def usd_saved(self) -> float:
        """Over the years, as of today; negative where the API is cheaper."""
        return self.api.flow.npv_usd - self.own.flow.npv_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything `planner compare` says. `options` are in the order of what they cost over the years."""

    model: str
    workload: Workload
    task: TaskTotals
    scenario: Scenario
    constraints: Constraints
    options: tuple[OptionYears, ...]
    excluded: tuple[Excluded, ...]
    duels: tuple[Duel, ...]  # each way of owning against the cheapest API; empty where there is no API
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> OptionYears:
        """The option that costs least over the years."""
        return self.options[0]

    @property
    def verdict(self) -> Verdict:
        """What the best option is."""
        kind = self.best.month.kind
        return "api" if kind == "api" else "own" if kind == "own" else "hybrid"

    @property
    def duel(self) -> Duel | None:
        """The best way of owning against the best API."""
        return min(self.duels, key=lambda duel: duel.own.flow.npv_usd, default=None)

    @property
    def tokens_per_month(self) -> float:
        """Prompt and answer tokens of a month."""
        return float(self.scenario.figures.value(TASKS)) * self.task.tokens.all


def compare(
    workload: Workload,
    scenario: Scenario,
    own: Sequence[OwnOption],
    apis: Sequence[ApiOption],
    *,
    model: str,
    constraints: Constraints | None = None,
    excluded: Sequence[Excluded] = (),
    seed: int = DEFAULT_SEED,
    n_cases: int = DEFAULT_CASES,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compares machines and APIs, each way of owning with the cheapest API for its peaks as well.

    `excluded` are options that were left out before. Raises PriceError where no option is left.
    """
    constraints = constraints or Constraints()
    allowed_own, no_own = sorted_out(
        (
            option,
            own_reason(option, constraints, _all(scenario, option), own_month(option, scenario).n_machines),
        )
        for option in own
    )
    allowed_apis, no_apis = sorted_out((option, api_reason(option, constraints)) for option in apis)
    alone = [
        *(
            OptionYears(month=own_month(option, scenario), flow=_flow(scenario, option, None))
            for option in allowed_own
        ),
        *(
            OptionYears(month=api_month(option, scenario), flow=_flow(scenario, None, option))
            for option in allowed_apis
        ),
    ]
    if not alone:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in (*excluded, *no_own, *no_apis)[:3])
        raise PriceError(f"no option is left to compare{f': {reasons}' if reasons else ''}")
    best_api = _cheapest([option for option in alone if option.month.kind == "api"])
    mixed = (
        []
        if best_api is None or best_api.month.api is None
        else [_hybrid(scenario, option, best_api.month.api) for option in allowed_own]
    )
    mixed = [option for option in mixed if option.month.api_tasks > _LEAST_SHARE * option.month.tasks]
    options = sorted((*alone, *mixed), key=lambda option: option.flow.npv_usd)
    duels = (
        tuple(
            _duel(scenario, option, best_api, seed, n_cases)
            for option in options
            if option.month.own is not None
        )
        if best_api is not None
        else ()
    )
    return Comparison(
        model=model,
        workload=workload,
        task=expected_task(workload),
        scenario=scenario,
        constraints=constraints,
        options=tuple(options),
        excluded=(*excluded, *no_own, *no_apis),
        duels=duels,
        notes=tuple(notes),
    )


def _flow(scenario: Scenario, own: OwnOption | None, api: ApiOption | None) -> CashFlow:
    name = own.name if own is not None else api.name if api is not None else ""
    return cash_flow(name, scenario, own, api)


def _hybrid(scenario: Scenario, own: OwnOption, api: ApiOption) -> OptionYears:
    """Own machines for the base: as many as are cheapest now, and in the same proportion to the load later."""
    month = hybrid_month(own, api, scenario)
    cover = (month.capacity or 0.0) / scenario.figures.value(TASKS)
    return OptionYears(month=month, flow=cash_flow(month.name, scenario, own, api, cover), cover=cover)


def _cheapest(options: Sequence[OptionYears]) -> OptionYears | None:
    return min(options, key=lambda option: option.flow.npv_usd, default=None)


def _duel(scenario: Scenario, option: OptionYears, best_api: OptionYears, seed: int, n_cases: int) -> Duel:
    own, api = option.month.own, best_api.month.api
    if own is None or api is None:
        raise ValueError("a duel is between own machines and an API")
    own_figures, api_figures = _all(scenario, own), _all(scenario, api)
    line = api_line(api, api_figures)
    return Duel(
        own=option,
        api=best_api,
        break_even=_break_even(own, own_figures, scenario, line),
        break_even_utilisation=_break_even_utilisation(
            option, own, own_figures, line.fixed_usd, line.tiers[0][1], scenario
        ),
        cheaper_from_month=_cheaper_from(scenario, option, api),
        paid_back_month=paid_back_month(option.flow, best_api.flow),
        spare_worth_usd=spare_worth_usd(option.month, api.specific.value(USD_PER_TASK)),
        risk=risk(
            scenario, Matched(own=own, api=api, own_api=option.month.api, cover=option.cover), seed, n_cases
        ),
    )


def _all(scenario: Scenario, option: OwnOption | ApiOption) -> Figures:
    return scenario.figures.with_figures(*option.specific.values())


def _break_even(own: OwnOption, figures: Figures, scenario: Scenario, line: Line) -> BreakEven:
    if own.follows_load:
        return hourly_break_even(hourly_stairs(own, figures, scenario.load), line)
    return break_even(staircase(own, figures, scenario.load), line)


def _break_even_utilisation(
    option: OptionYears,
    own: OwnOption,
    figures: Figures,
    api_fixed_usd: float,
    usd_per_task: float,
    scenario: Scenario,
) -> float | None:
    """How busy the units that there are must be to cost no more than the API; None where they never do.

    V = (F − G + n · U) / (a − m) tasks, over what n units could serve; above 1 they cannot be busy enough. None too for machines
    that are only there when they are needed.
    """
    if own.follows_load:
        return None
    stairs = staircase(own, figures, scenario.load)
    won = usd_per_task - stairs.usd_per_task
    if won <= 0:
        return None
    n = option.month.n_units
    tasks = (stairs.fixed_usd - api_fixed_usd + n * stairs.unit_usd) / won
    return float(max(0.0, tasks) / (n * capacity_per_month(own, figures)))


def _cheaper_from(scenario: Scenario, option: OptionYears, api: ApiOption) -> int | None:
    """The month from which on the account of owning is lower, for as long as is looked at."""
    dearer = 0
    for month in range(scenario.n_months):
        later, later_api = _after(scenario, month), _cheaper_api(scenario, api, month)
        if option.month.own is None:
            raise ValueError(f"{option.name} owns nothing")
        own = _at_rents_of(option.month.own, scenario, month)
        found = own_month(own, later) if option.month.api is None else hybrid_month(own, later_api, later)
        if found.usd > api_month(later_api, later).usd:
            dearer = month + 1
    return None if dearer == scenario.n_months else dearer + 1


def _after(scenario: Scenario, month: int) -> Scenario:
    """The scenario with the load of a later month."""
    grown = (1 + scenario.figures.value(GROWTH)) ** (month / MONTHS_PER_YEAR)
    return replace(
        scenario, figures=scenario.figures.with_values({TASKS: scenario.figures.value(TASKS) * grown})
    )


def _at_rents_of(own: OwnOption, scenario: Scenario, month: int) -> OwnOption:
    """The machines at the rents of a later month; bought ones are had at today's price."""
    later = at_month(own, scenario.figures.with_figures(*own.specific.values()), month)
    return replace(own, specific=own.specific.with_values({name: later.value(name) for name in own.specific}))


def _cheaper_api(scenario: Scenario, api: ApiOption, month: int) -> ApiOption:
    """The API with the prices of a later month, its terms in proportion."""
    fallen = (1 - scenario.figures.value("api_price_decline_per_year")) ** (month / MONTHS_PER_YEAR)
    return replace(
        api,
        specific=api.specific.with_values({USD_PER_TASK: api.specific.value(USD_PER_TASK) * fallen}),
        task_terms=tuple(replace(term, value=term.value * fallen) for term in api.task_terms),
    )

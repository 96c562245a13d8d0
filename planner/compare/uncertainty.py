"""How sure the answer is: many cases drawn from the bounds of every figure, worked out by the same formulas at once.

A figure with bounds is drawn so that it lies between them four times in five: the distance from its value is a normal one,
with its own width on either side; on a logarithmic scale where all of it is positive. The draws of a figure depend on the seed
and on its name only, so that one more figure moves no other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from planner.compare.horizon import flows
from planner.compare.options import ApiOption, OwnOption, Scenario, api_line, staircase
from planner.compare.staircase import first_break_even
from planner.prices.figure import Figure, Figures

_Z80 = 1.2815515655446004  # four in five of a normal distribution lie within it
DEFAULT_SEED = 20_261
DEFAULT_CASES = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Two ways to do the same: own machines (with an API for peaks, where `own_api` is set), against an API alone."""

    own: OwnOption
    api: ApiOption
    own_api: ApiOption | None = None
    cover: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """What one figure alone, at either of its bounds, does to the cost of owning less that of the API."""

    figure: str
    owner: str  # the machine or API that the figure is of; empty for a common one
    low: float
    high: float
    unit: str
    usd_at_low: float
    usd_at_high: float

    @property
    def width_usd(self) -> float:
        """How far the answer moves."""
        return abs(self.usd_at_high - self.usd_at_low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The answer over many cases. Differences are costs of owning less those of the API: below 0 owning is cheaper."""

    seed: int
    n_cases: int
    probability_own_cheaper: float
    difference_usd: tuple[float, float, float]  # one case in ten is below, half, nine in ten
    break_even_tasks: tuple[
        float | None, float | None, float | None
    ]  # the same; None: never, or not worked out
    probability_never: float | None  # that no volume makes owning cheaper
    expected_difference_usd: float  # with every figure at its value
    swings: tuple[Swing, ...]  # the widest first


def risk(scenario: Scenario, match: Matched, seed: int = DEFAULT_SEED, n_cases: int = DEFAULT_CASES) -> Risk:
    """Draws the cases and moves each figure alone."""
    drawn = _drawn(scenario, match, seed, n_cases)
    differences = np.broadcast_to(_difference(*drawn), (n_cases,))
    # Machines by the hour have a break-even that is searched for, case by case: too long for thousands.
    volumes = None if match.own.follows_load else np.broadcast_to(_break_even(*drawn), (n_cases,))
    return Risk(
        seed=seed,
        n_cases=n_cases,
        probability_own_cheaper=float(np.mean(differences < 0)),
        difference_usd=_tenths(differences),
        break_even_tasks=(None, None, None) if volumes is None else _finite(_tenths(volumes)),
        probability_never=None if volumes is None else float(np.mean(volumes == np.inf)),
        expected_difference_usd=float(_difference(scenario, match)[0]),
        swings=tuple(sorted(_swings(scenario, match), key=lambda swing: -swing.width_usd)),
    )


def draw(figure: Figure, owner: str, seed: int, n_cases: int) -> Any:
    """Cases of one figure."""
    if figure.low is None or figure.high is None:
        raise ValueError(f"{figure.name} has no bounds")
    chance = np.random.default_rng([seed, crc32(f"{owner}\0{figure.name}".encode())])
    steps = chance.standard_normal(n_cases) / _Z80
    if figure.low > 0:
        up, down = np.log(figure.high / figure.value), np.log(figure.value / figure.low)
        values = figure.value * np.exp(np.where(steps > 0, steps * up, steps * down))
    else:
        values = figure.value + np.where(
            steps > 0, steps * (figure.high - figure.value), steps * (figure.value - figure.low)
        )
    return np.clip(values, *_limits(figure))


def _limits(figure: Figure) -> tuple[float, float]:
    """Beyond which a figure means nothing: a fraction of a whole is below 1, what cannot be negative is not."""
    low = 0.0 if (figure.low or 0.0) >= 0 else -0.95
    high = (
        0.99
        if figure.unit.startswith("fraction") and figure.value < 1 and (figure.high or 0) <= 1
        else np.inf
    )
    return low, 10.0 if figure.name == "growth_per_year" else high


def _uncertain(scenario: Scenario, match: Matched) -> Iterator[tuple[str, Figure]]:
    """Every figure that can move, with the machine or API that it is of."""
    for figure in scenario.figures.values():
        yield "", figure
    apis = {api.name: api for api in (match.api, match.own_api) if api is not None}
    for owner, figures in (
        (match.own.machine, match.own.specific),
        *((api.name, api.specific) for api in apis.values()),
    ):
        for figure in figures.values():
            yield owner, figure


def _drawn(scenario: Scenario, match: Matched, seed: int, n_cases: int) -> tuple[Scenario, Matched]:
    values: dict[str, dict[str, Any]] = {}
    for owner, figure in _uncertain(scenario, match):
        if figure.is_uncertain:
            values.setdefault(owner, {})[figure.name] = draw(figure, owner, seed, n_cases)
    return _moved(scenario, match, values)


def _moved(
    scenario: Scenario, match: Matched, values: Mapping[str, Mapping[str, Any]]
) -> tuple[Scenario, Matched]:
    """The same comparison with other values of figures, by owner."""
    return (
        Scenario(
            figures=scenario.figures.with_values(values.get("", {})),
            load=scenario.load,
            n_months=scenario.n_months,
        ),
        Matched(
            own=_with(match.own, match.own.machine, values),
            api=_with(match.api, match.api.name, values),
            own_api=None if match.own_api is None else _with(match.own_api, match.own_api.name, values),
            cover=match.cover,
        ),
    )


def _with(option: Any, owner: str, values: Mapping[str, Mapping[str, Any]]) -> Any:
    if owner not in values:
        return option
    return replace(option, specific=option.specific.with_values(values[owner]))


def _difference(scenario: Scenario, match: Matched) -> Any:
    """The cost of owning less that of the API, over the years and as of today."""
    own = flows(scenario, match.own, match.own_api, match.cover).npv_usd(scenario.figures)
    return own - flows(scenario, None, match.api).npv_usd(scenario.figures)


def _break_even(scenario: Scenario, match: Matched) -> Any:
    """The volume at today's prices from which on owning all of it is cheaper."""
    own = staircase(match.own, _all(scenario, match.own.specific), scenario.load)
    line = api_line(match.api, _all(scenario, match.api.specific))
    return first_break_even(own, line.fixed_usd, line.tiers[0][1])


def _all(scenario: Scenario, specific: Figures) -> Figures:
    return scenario.figures.with_figures(*specific.values())


def _swings(scenario: Scenario, match: Matched) -> Iterator[Swing]:
    for owner, figure in _uncertain(scenario, match):
        if figure.low is None or figure.high is None or not figure.is_uncertain:
            continue
        at_low, at_high = (
            float(_difference(*_moved(scenario, match, {owner: {figure.name: end}}))[0])
            for end in (figure.low, figure.high)
        )
        if at_low != at_high:
            yield Swing(
                figure=figure.name,
                owner=owner,
                low=figure.low,
                high=figure.high,
                unit=figure.unit,
                usd_at_low=at_low,
                usd_at_high=at_high,
            )


def _tenths(values: Any) -> tuple[float, float, float]:
    """The first, fifth and ninth tenth; of infinite values, infinity."""
    ordered = np.sort(values)
    low, middle, high = (float(ordered[int(share * (len(ordered) - 1))]) for share in (0.1, 0.5, 0.9))
    return low, middle, high


def _finite(values: tuple[float, float, float]) -> tuple[float | None, float | None, float | None]:
    """None for what is infinite."""
    low, middle, high = (None if value == np.inf else value for value in values)
    return low, middle, high

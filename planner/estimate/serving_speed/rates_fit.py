"""Fits the step rates to measured times: damped Gauss-Newton on log ratios, robust, with shrinkage to common values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.rate_loads import RateLoads, answered_per_s
from planner.estimate.serving_speed.step_rates import ALL, RATES, Rate, StepRates, to_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

_PRIOR_WEIGHT: Final = 0.12
# Log ratios far beyond these hardly count: of such rows something else is wrong.
_TPOT_SCALE: Final = 0.08
_TTFT_SCALE: Final = 0.3
_RATE_SCALE: Final = 0.15
_WIDER: Final = (8.0, 3.0)
_TTFT_WEIGHT: Final = 0.6  # the time to the first token scatters more
_RATE_WEIGHT: Final = 0.6  # and so does what several kinds of loads make of both
_GROUP_POWER: Final = 0.4  # a group of n rows weighs n**(1 - 2 · 0.4) of one row
_DIFFERENCE: Final = 1e-4
_MOST_STEPS: Final = 40
_SETTLED: Final = 1e-4


@dataclass(frozen=True, kw_only=True)
class MeasuredRates:
    """Measured tokens per second of deployments under loads, and the group of rows that each belongs to."""

    questions: Batch
    loads: RateLoads
    tokens_per_s: "Floats"
    groups: Sequence[str]

    def __getitem__(self, chosen: "Floats") -> "MeasuredRates":
        return MeasuredRates(
            questions=self.questions[chosen],
            loads=self.loads[chosen],
            tokens_per_s=self.tokens_per_s[chosen],
            groups=[group for group, is_in in zip(self.groups, chosen, strict=True) if is_in],
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Measured times of deployments, and the group of rows that each belongs to; rates of others beside them."""

    questions: Batch
    tpot_s: "Floats"
    ttft_s: "Floats"
    groups: Sequence[str]
    rates: MeasuredRates | None = None

    def __getitem__(self, chosen: "Floats") -> "Measured":
        """The chosen times; the rates stay."""
        return Measured(
            questions=self.questions[chosen],
            tpot_s=self.tpot_s[chosen],
            ttft_s=self.ttft_s[chosen],
            groups=[group for group, is_in in zip(self.groups, chosen, strict=True) if is_in],
            rates=self.rates,
        )


def summand_names(measured: Measured) -> tuple[tuple[Rate, str], ...]:
    """Every summand that these deployments have a say in."""
    batches = [measured.questions, *([measured.rates.questions] if measured.rates else ())]
    found: list[tuple[Rate, str]] = []
    for rate in RATES:
        found.append((rate, ALL))
        for axis in rate.axes:
            members = sorted({name for questions in batches for name in questions.members[axis]})
            found += [(rate, f"{axis}:{name}") for name in members]
    return tuple(found)


def fit_rates(measured: Measured, start: StepRates | None = None, most_steps: int = _MOST_STEPS) -> StepRates:
    """The rates that explain what was measured best, each no further from its start than the data ask for."""
    found = _fit(measured, summand_names(measured), {}, start, most_steps)
    return StepRates(summands=found)


def fit_ages(
    measured: Measured, today: StepRates, start: StepRates | None = None, most_steps: int = _MOST_STEPS
) -> StepRates:
    """What engines of other ages differ by, everything else being as it is found of today's.

    Apart from the fit of those, so that engines that nobody runs any more say nothing of GPUs or kernels.
    """
    if measured.rates is None:
        return today
    nothing = measured[measured.tpot_s < 0]
    ages = [f"age:{name}" for name in measured.rates.questions.members["age"]]
    names = tuple((rate, age) for rate in RATES if "age" in rate.axes for age in ages)
    found = _fit(nothing, names, today.summands, start, most_steps) if names else {}
    return StepRates(summands={**today.summands, **found})


def _fit(
    measured: Measured,
    names: tuple[tuple[Rate, str], ...],
    fixed: Mapping[tuple[str, str], float],
    start: StepRates | None,
    most_steps: int,
) -> dict[tuple[str, str], float]:
    """Named summands that explain what was measured best, beside fixed ones."""
    import numpy as np

    origin = np.array(
        [to_line(r, r.start) if group == ALL else r.groups.get(group, 0.0) for r, group in names]
    )
    spread = np.array([rate.spread_of(group) for rate, group in names])
    strays = _Strays(measured=measured, names=names, fixed=fixed)
    times, rates = (
        _row_weights(measured.groups),
        _row_weights(measured.rates.groups if measured.rates else ()),
    )
    weight = np.concatenate(
        [times, _TTFT_WEIGHT * times, _RATE_WEIGHT * rates, np.full(len(names), _PRIOR_WEIGHT)]
    )
    # Far rows count little, but however far a rate goes from its start, that counts in full.
    scale = np.concatenate(
        [
            np.full(len(times), _TPOT_SCALE), np.full(len(times), _TTFT_SCALE), np.full(len(rates), _RATE_SCALE),
            np.full(len(names), np.inf),
        ]
    )  # fmt: skip

    def residuals(x: "Floats") -> "Floats":
        return np.concatenate([strays.of(x, ALL), (x - origin) / spread])

    def jacobian(x: "Floats", r: "Floats") -> "Floats":
        """By differences; a group's number moves only its own rows."""
        found = np.zeros((len(r), len(x)))
        n = len(r) - len(x)
        for i, (_, group) in enumerate(names):
            moved = x.copy()
            moved[i] += _DIFFERENCE
            rows = strays.rows(group)
            found[rows, i] = (strays.of(moved, group, beside=(x, i)) - r[:n][rows]) / _DIFFERENCE
            found[n + i, i] = 1 / spread[i]
        return found

    x = (
        origin
        if start is None
        else np.array([start.summands.get((r.name, g), o) for (r, g), o in zip(names, origin, strict=True)])
    )
    if (
        start is None
    ):  # with all rows in reach at first, so that no accident of the start decides which are far off
        for wider in _WIDER:
            x = _minimise(residuals, jacobian, x, weight, scale * wider, most_steps)
    return strays.summands(_minimise(residuals, jacobian, x, weight, scale, most_steps))


@dataclass(frozen=True, kw_only=True)
class _Remembered(StepRates):
    """Rates that are worked out once for each set of deployments, which must outlive them."""

    known: dict[tuple[str, int], "Floats"] = field(default_factory=dict)

    def value(self, name: str, questions: Batch) -> "Floats":
        key = name, id(questions)
        if key not in self.known:
            self.known[key] = StepRates.value(self, name, questions)
        return self.known[key]


@dataclass(frozen=True, kw_only=True)
class _Strays:
    """Log ratios of expected to measured, of all rows or of those that a group's number moves."""

    measured: Measured
    names: tuple[tuple[Rate, str], ...]
    fixed: Mapping[tuple[str, str], float]
    _parts: dict[str, "tuple[Measured, Floats]"] = field(default_factory=dict)
    _beside: dict[str, Any] = field(default_factory=dict)

    def summands(self, x: "Floats") -> dict[tuple[str, str], float]:
        """The numbers of a point by name."""
        return {(rate.name, group): float(v) for (rate, group), v in zip(self.names, x, strict=True)}

    def _rates(self, x: "Floats") -> "_Remembered":
        return _Remembered(summands={**self.fixed, **self.summands(x)})

    def rows(self, group: str) -> "Floats":
        """Which rows a group's number moves, by their place among all log ratios."""
        return self._part(group)[1]

    def of(self, x: "Floats", group: str, beside: "tuple[Floats, int] | None" = None) -> "Floats":
        """Log ratios of the rows that a group's number moves: times per token, to the first one, tokens per second.

        Beside another point, from which only one number differs, all other rates are those found there.
        """
        import numpy as np

        part = self._part(group)[0]
        rates = self._rates(x)
        if beside is not None:
            origin, i = beside
            if self._beside.get("x") is not origin:
                self._beside.clear()
                self._beside["x"] = origin
            known = self._beside.setdefault(group, {})
            if not known:
                at_origin = replace(self._rates(origin), known=known)
                for rate in RATES:
                    for q in (part.questions, *([part.rates.questions] if part.rates else ())):
                        at_origin.value(rate.name, q)
            rates = _Remembered(
                summands=rates.summands,
                known={key: value for key, value in known.items() if key[0] != self.names[i][0].name},
            )
        found = []
        if len(part.groups):
            times = latency(part.questions, rates)
            found += [np.log(times.tpot_s / part.tpot_s), np.log(times.ttft_s / part.ttft_s)]
        if part.rates is not None and len(part.rates.groups):
            q = part.rates.questions
            expected = answered_per_s(part.rates.loads, q, rates, latency(q, rates))
            found.append(np.log(expected / part.rates.tokens_per_s))
        return np.concatenate(found)

    def _part(self, group: str) -> "tuple[Measured, Floats]":
        import numpy as np

        if group not in self._parts:
            whole = self.measured
            times, rates = _members(whole.questions, group), np.zeros(0, dtype=bool)
            part = whole[times]
            if whole.rates is not None:
                rates = _members(whole.rates.questions, group)
                part = replace(part, rates=whole.rates[rates])
            self._parts[group] = part, np.flatnonzero(np.concatenate([times, times, rates]))
        return self._parts[group]


def _members(questions: Batch, group: str) -> "Floats":
    import numpy as np

    if group == ALL:
        return np.ones(len(questions), dtype=bool)
    axis, _, name = group.partition(":")
    found: Floats = questions.members[axis].get(name, np.zeros(len(questions))) > 0
    return found


def _row_weights(groups: Sequence[str]) -> "Floats":
    """Each group of rows counts for little more than a single row, so that none of them decides alone."""
    import numpy as np

    if not len(groups):
        return np.zeros(0)
    _, index, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return counts[index] ** -_GROUP_POWER


def _minimise(
    residuals: Any, jacobian_at: Any, x: "Floats", weight: "Floats", scale: "Floats", most_steps: int
) -> "Floats":
    """Levenberg-Marquardt with the loss w²·s²·log(1 + (r/s)²), that of a Cauchy distribution.

    An endless s is the plain square.
    """
    import numpy as np

    is_robust = np.isfinite(scale)
    finite = np.where(is_robust, scale, 1.0)

    def cost(r: "Floats") -> float:
        loss = np.where(is_robust, finite**2 * np.log1p((r / finite) ** 2), r**2)
        return float(np.sum(weight**2 * loss))

    r = residuals(x)
    now, damping = cost(r), 1e-2
    for _ in range(most_steps):
        jacobian = jacobian_at(x, r)
        importance = weight**2 / (1 + np.where(is_robust, (r / finite) ** 2, 0.0))
        normal = jacobian.T @ (jacobian * importance[:, None])
        gradient = jacobian.T @ (importance * r)
        before = now
        for _ in range(10):
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -gradient)
            tried = x + np.clip(step, -1.0, 1.0)
            r_tried = residuals(tried)
            reached = cost(r_tried)
            if np.isfinite(reached) and reached < now:
                x, r, now, damping = tried, r_tried, reached, damping / 3
                break
            damping *= 4
        if before - now < _SETTLED * before:
            break
    return x

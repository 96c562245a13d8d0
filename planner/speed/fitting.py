"""Fits the effects to measurements: a hierarchical model of log time, solved with NumPy.

Log of the measured time of each row = log Σ operators ideal · (least + exp(Σ effects)) + noise. Effects have a
normal prior around 0 whose spread belongs to their level, so a device with few measurements stays near its family,
a family near its backend. Noise is Student's t with 4 degrees of freedom, so that one broken row does not bend the rest.
Rows of one cell (device, model, type) share most of their error: n of them weigh n / (1 + (n − 1)·0.6).
"""

import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from planner.speed.effects import Level, least_factor, start_logarithm
from planner.speed.factors import LARGEST_LOGARITHM, Effect
from planner.speed.overlap import Side, other_side, seen_share, sides
from planner.speed.priors import SPREAD_SD, PriorOf, spread_kind
from planner.speed.sample import Sample

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
else:
    Floats = Ints = Any

    class _Numpy:
        """NumPy, loaded when a fit is made: that takes a tenth of a second, and estimates need it only for benchmarks."""

        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module("numpy"), name)

    np = _Numpy()

# What repeats of one test by different people differ by, natural logarithms.
NOISE_SD: Mapping[str, float] = {"decode": 0.06, "prefill": 0.12}
_T_DEGREES = 4.0
_CORRELATION_IN_CELL = 0.6
# Effects that a held-out group hardly moves.
_GENERAL: frozenset[Level] = frozenset(
    ("operator", "backend", "memory", "family", "age", "engine", "attention", "type")
)
_ITERATIONS = 40
_MORE_ITERATIONS = 20  # from where another fit of nearly the same samples ended
_LONGEST_STEP = 2.0
_STEP_SHARES = (1.0, 0.5, 0.25, 0.125, 0.03)  # of a step that are tried
_ENOUGH = 3e-4  # a step that explains more by a smaller share is the last


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fitted effects of one phase."""

    effects: tuple[Effect, ...]


class Design:
    """Samples as arrays: every operator's ideal time, and which effects it has.

    With `own`, all samples are of one's own machines, which stretch whole steps.
    """

    def __init__(self, samples: Sequence[Sample], *, own: bool = False) -> None:
        self.samples = samples
        self.names: dict[str, int] = {}
        self.spreads: list[PriorOf] = []
        row: list[int] = []
        entry: list[int] = []
        effect: list[int] = []
        step_row: list[int] = []
        step_effect: list[int] = []
        ideal: list[float] = []
        least: list[float] = []
        start: list[float] = []
        numbers: dict[tuple[int, Side], int] = {}  # of what runs beside something else, by sample
        beside: list[tuple[int, int, int]] = []  # an operator's place, its side and the other
        for index, sample in enumerate(samples):
            taken = [time for time in sample.case.operators if time.ideal_s > 0]
            for time, side in zip(taken, sides(taken), strict=True):
                if side is not None:
                    own_side, other = (
                        numbers.setdefault((index, one), len(numbers)) for one in (side, other_side(side))
                    )
                    beside.append((len(row), own_side, other))
                for level, name in sample.case.effects_of(time):
                    entry.append(len(row))
                    effect.append(self._index(name, (level, spread_kind(time.operator))))
                row.append(index)
                ideal.append(float(time.ideal_s))
                least.append(least_factor(time.operator, sample.case.layout.device(time.device)))
                start.append(
                    start_logarithm(time.operator, sample.case.layout.device(time.device), time.type_class)
                )
            machine = sample.case.machine_effect if own else None
            for level, name in (*sample.case.step_effects, *((machine,) if machine else ())):
                step_row.append(index)
                step_effect.append(self._index(name, (level, "step")))
        self.row, self.entry, self.effect, self.step_row, self.step_effect = (
            np.array(x, dtype=np.int64) for x in (row, entry, effect, step_row, step_effect)
        )
        self.ideal, self.least, self.start = (np.array(x, dtype=np.float64) for x in (ideal, least, start))
        self.beside, self.side, self.other_side = np.array(beside, dtype=np.int64).reshape(-1, 3).T
        self.log_measured = np.log([sample.measured_s for sample in samples])

    def _index(self, name: str, spread: PriorOf) -> int:
        if name not in self.names:
            self.names[name] = len(self.spreads)
            self.spreads.append(spread)
        return self.names[name]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and effects."""
        return len(self.samples), len(self.spreads)

    def log_seconds(self, values: Floats) -> Floats:
        """Log of the expected time of every row."""
        _, total, _ = self._times(values)
        return cast(Floats, np.log(total) + self._stretch(values))

    def jacobian(self, values: Floats) -> tuple[Floats, Floats]:
        """Log of the expected time, and its derivative by every effect."""
        excess, total, rows = self._times(values)
        share = self.ideal * excess / total[self.row]
        flat = self.row[self.entry] * rows[1] + self.effect
        slope = _sums(flat, share[self.entry], rows[0] * rows[1])
        slope += _sums(self.step_row * rows[1] + self.step_effect, None, rows[0] * rows[1])
        return np.log(total) + self._stretch(values), slope.reshape(rows)

    def _stretch(self, values: Floats) -> Floats:
        return _sums(self.step_row, values[self.step_effect], self.shape[0])

    def _times(self, values: Floats) -> tuple[Floats, Floats, tuple[int, int]]:
        added = _sums(self.entry, values[self.effect], len(self.ideal))
        excess = np.exp(np.clip(self.start + added, -LARGEST_LOGARITHM, LARGEST_LOGARITHM))
        seconds = self.ideal * (self.least + excess)
        if len(self.beside):
            n_sides = 1 + max(int(self.side.max()), int(self.other_side.max()))
            sums = _sums(self.side, seconds[self.beside], n_sides)
            seen = np.ones(len(seconds))
            seen[self.beside] = seen_share(sums[self.side], sums[self.other_side])
            excess, seconds = excess * seen, seconds * seen
        return excess, _sums(self.row, seconds, self.shape[0]), self.shape

    def values_from(self, known: Mapping[str, float]) -> Floats:
        """Effects fitted elsewhere, 0 for those that are new."""
        return np.array([known.get(name, 0.0) for name in self.names], dtype=np.float64)


def _sums(index: Ints, values: Floats | None, length: int) -> Floats:
    """Sums of values by index; with None, counts."""
    return np.bincount(index, weights=values, minlength=length).astype(np.float64)


def cell_weights(samples: Sequence[Sample]) -> Floats:
    """What each row of a cell of n weighs: 1 / (1 + (n − 1)·ρ)."""
    sizes = Counter(sample.cell for sample in samples)
    weights = [1 / (1 + (sizes[sample.cell] - 1) * _CORRELATION_IN_CELL) for sample in samples]
    return np.array(weights, dtype=np.float64)


def fit_effects(samples: Sequence[Sample], like: Fit | None = None) -> Fit:
    """The effects that explain samples of one phase; with `like`, starting from its general ones.

    Starting elsewhere than at 0 only saves steps: the samples alone decide where they end. What belongs to one
    device, model or type on a family starts at 0 all the same: noise with long tails can leave a fit near where
    it began, and a held-out fit must not begin with what is held out.
    """
    design = Design(samples)
    general = () if like is None else like.effects
    known = {effect.name: effect.value for effect in general if effect.level in _GENERAL}
    prior = Prior(mean=np.zeros(len(design.spreads)), variance=prior_variance(design))
    n_steps = _ITERATIONS if like is None else _MORE_ITERATIONS
    values, variance = most_likely(design, prior, design.values_from(known), n_steps)
    return Fit(effects=with_values(design, values, variance))


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is believed of each effect of a design before its samples."""

    mean: Floats
    variance: Floats


def prior_variance(design: Design) -> Floats:
    """Of effects that nobody has measured: those of their level and kind."""
    return np.array([SPREAD_SD[spread] ** 2 for spread in design.spreads], dtype=np.float64)


def most_likely(design: Design, prior: Prior, start: Floats, n_steps: int) -> tuple[Floats, Floats]:
    """Values of the effects given prior and samples, and the variance of each were all others known.

    A step that would take too far is shortened, to the share of it that explains samples and prior best; steps end
    where another explains nothing more.
    """
    weights = cell_weights(design.samples)
    noise = NOISE_SD[design.samples[0].case.phase]

    def misfit(values: Floats) -> float:
        residual = (design.log_measured - design.log_seconds(values)) / noise
        of_rows = weights @ np.log1p(residual**2 / _T_DEGREES) * (_T_DEGREES + 1) / 2
        return float(of_rows + ((values - prior.mean) ** 2 / prior.variance).sum() / 2)

    values, reached = start, misfit(start)
    slope, weight = np.zeros(design.shape), weights
    for _ in range(n_steps):
        expected, slope = design.jacobian(values)
        residual = design.log_measured - expected
        trust = (_T_DEGREES + 1) / (_T_DEGREES + (residual / noise) ** 2)
        weight = weights * trust / noise**2
        target = residual + slope @ (values - prior.mean)
        step = prior.mean + _most_likely(slope, target, prior.variance, weight) - values
        longest = min(1.0, _LONGEST_STEP / max(float(np.abs(step).max(initial=0.0)), 1e-12))
        tried = [values + step * longest * share for share in _STEP_SHARES]
        best, nearer = min(((misfit(one), one) for one in tried), key=lambda pair: pair[0])
        if best >= reached:
            break
        values, gained, reached = nearer, reached - best, best
        if gained < _ENOUGH * best:
            break
    return values, 1 / (1 / prior.variance + (weight[:, None] * slope**2).sum(axis=0))


def _most_likely(slope: Floats, target: Floats, variance: Floats, weight: Floats) -> Floats:
    """Values with slope · values near target, drawn to 0: V·Jᵀ (J·V·Jᵀ + W⁻¹)⁻¹ target.

    Solved in the space of rows, which are fewer than effects; single precision makes the large product twice as
    fast and is far finer than any measurement.
    """
    scaled = (slope * np.sqrt(variance)).astype(np.float32)
    covariance = (scaled @ scaled.T).astype(np.float64)
    covariance[np.diag_indices(len(target))] += 1 / weight
    return variance * (slope.T @ np.linalg.solve(covariance, target))


def with_values(design: Design, values: Floats, variance: Floats) -> tuple[Effect, ...]:
    """Effects with how many rows and devices each has a say in."""
    pairs = set(zip(design.effect.tolist(), design.row[design.entry].tolist(), strict=True))
    pairs |= set(zip(design.step_effect.tolist(), design.step_row.tolist(), strict=True))
    rows: Counter[int] = Counter(effect for effect, _ in pairs)
    devices: dict[int, set[str]] = {}
    for effect, row in pairs:
        devices.setdefault(effect, set()).add(design.samples[row].device)
    return tuple(
        Effect(
            name=name,
            level=design.spreads[index][0],
            value=float(values[index]),
            n_measurements=rows[index],
            n_devices=len(devices[index]),
            sd=float(np.sqrt(variance[index])),
        )
        for name, index in design.names.items()
    )


def log_seconds(samples: Sequence[Sample], fit: Fit) -> Any:
    """Log of the time that a fit expects for samples, measured or not."""
    design = Design(samples)
    return design.log_seconds(design.values_from({effect.name: effect.value for effect in fit.effects}))

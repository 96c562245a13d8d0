"""How far intervals reach for what a prediction does not know, fitted to what held-out predictions missed by.

A bound lies  least + a · doubt of the machine + b · doubt of the model + c · doubt of what is known  from the expected
speed, in logarithms, with coefficients of 0 and more; either side has its own. They are those of a quantile regression
(10 % beyond each side), and then stretched together until four of five predictions lie inside that the regression had
not seen: of rows whose device, model or cell was left out of it, whichever the prediction itself had not seen.

A group of rows counts once, and the groups of one left-out device or model, which share most of their error, as much
as the root of their number. Classes with few groups borrow from the others of their phase.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from planner.speed.intervals import ELSEWHERE, Doubt, Knowledge, Spread, Widening, choose_spread

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_BEYOND: Final = 0.1  # of the predictions, on either side
_LEAST_UNIT: Final = 0.05  # in which `least` is fitted, so that all four coefficients are near 1
_NARROWEST: Final = 0.01  # no two runs of one test agree more closely
_LENT_GROUPS: Final = 100.0  # as which the other classes of a phase count beside a class's own groups
_LENT_TO_STRETCH: Final = 25.0  # the same where one number is sought, and not four
_ITERATIONS: Final = 40
_SHARPEST: Final = 0.01  # misses closer to a bound than this weigh no more in finding it
_FEWEST_GROUPS: Final = 1 / (2 * _BEYOND) - 1  # one in five of them and an imagined one may lie outside
# States that are stretched together: whether the model is known matters little where the device is not.
_STRETCHED_AS: Final[Mapping[Knowledge, Knowledge]] = {"neither": "model", "bench_new": "bench"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """One held-out prediction: log of measured over expected speed, and what its fit knew."""

    speed_class: str
    knowledge: Knowledge
    group: str  # what counts once
    held_out: str  # the kind of thing that was left out
    folds: Mapping[str, int]  # in which the row is left out, by that kind
    unit: str  # what was left out with it
    log_ratio: float
    doubt: Doubt


class Misses:
    """Held-out predictions of one phase as arrays; a row has one for each kind of thing that was left out.

    With `fitted` spreads, their widenings are taken, and only how far these must be stretched is found anew.
    `lent_groups` is how much a class borrows from the others of its phase.
    """

    def __init__(
        self, misses: Sequence[Miss], fitted: Sequence[Spread] = (), lent_groups: float = _LENT_GROUPS
    ) -> None:
        self.misses = misses
        self.lent_groups = lent_groups
        self.ratios = np.array([miss.log_ratio for miss in misses], dtype=np.float64)
        self.classes = np.array([miss.speed_class for miss in misses])
        self.held_out = np.array([miss.held_out for miss in misses])
        self.states = np.array([_STRETCHED_AS.get(miss.knowledge, miss.knowledge) for miss in misses])
        self.kinds = sorted(set(self.held_out.tolist()))
        self.folds = {
            kind: np.array([miss.folds[kind] for miss in misses], dtype=np.int64) for kind in self.kinds
        }
        doubts = [miss.doubt for miss in misses]
        self.features = np.array(
            [(_LEAST_UNIT, doubt.machine, doubt.model, doubt.known) for doubt in doubts], dtype=np.float64
        ).reshape(-1, 4)
        self.weights = self._weights()
        slower, faster = self._fitted_reach(fitted) if fitted else self._unseen_reach()
        # How far each miss lies out, as a share of where the bound on its side was drawn without it.
        self.slower, self.faster = slower, faster
        self.out = np.where(self.ratios < 0, -self.ratios / slower, self.ratios / faster)

    def _weights(self) -> Floats:
        rows: dict[tuple[str, str, str], int] = {}
        groups: dict[tuple[str, str, str], set[str]] = {}
        for miss in self.misses:
            group = (miss.held_out, miss.speed_class, miss.group)
            rows[group] = rows.get(group, 0) + 1
            groups.setdefault((miss.held_out, miss.speed_class, miss.unit), set()).add(miss.group)
        found = np.zeros(len(self.misses))
        for i, miss in enumerate(self.misses):
            shared = len(groups[miss.held_out, miss.speed_class, miss.unit])
            found[i] = 1 / rows[miss.held_out, miss.speed_class, miss.group] / shared**0.5
        return found

    def _borrowed(self, pool: Flags, name: str, n_lent: float) -> Floats:
        """Weights in a pool for one class: its own, and those of the others as far as they are lent."""
        own, others = pool & (self.classes == name), pool & (self.classes != name)
        lent = self.weights[others].sum()
        share = min(1.0, n_lent / lent) if lent else 0.0
        return np.where(own, self.weights, 0.0) + np.where(others, share * self.weights, 0.0)

    def _reach(self, pool: Flags, name: str) -> tuple[Floats, Floats]:
        """Coefficients to the slower and to the faster side for a class."""
        weights = self._borrowed(pool, name, self.lent_groups)
        used = weights > 0
        features, weights = self.features[used], weights[used]
        return (
            _least_coefficients(features, -self.ratios[used], weights),
            _least_coefficients(features, self.ratios[used], weights),
        )

    def _parts(self) -> list[tuple[Flags, Flags, str]]:
        """The misses of a class in one fold, and all that have nothing of what that fold leaves out."""
        found = []
        for kind in self.kinds:
            folds = self.folds[kind]
            for fold in sorted(set(folds[self.held_out == kind].tolist())):
                here = (self.held_out == kind) & (folds == fold)
                pool = folds != fold
                found += [
                    (here & (self.classes == name), pool, name) for name in sorted(set(self.classes[here]))
                ]
        return found

    def _unseen_reach(self) -> tuple[Floats, Floats]:
        slower, faster = np.ones(len(self.misses)), np.ones(len(self.misses))
        for here, pool, name in self._parts():
            to_slower, to_faster = self._reach(pool, name)
            slower[here] = np.maximum(self.features[here] @ to_slower, _NARROWEST)
            faster[here] = np.maximum(self.features[here] @ to_faster, _NARROWEST)
        return slower, faster

    def _fitted_reach(self, fitted: Sequence[Spread]) -> tuple[Floats, Floats]:
        reaches = np.ones(
            (len(self.misses), 2)
        )  # of a class that nothing was fitted for: the stretch says it all
        for i, miss in enumerate(self.misses):
            spread = choose_spread(fitted, miss.speed_class, miss.knowledge)
            if spread is not None:
                low, high = spread.ratios(miss.doubt)
                reaches[i] = -np.log(low), np.log(high)
        return reaches[:, 0], reaches[:, 1]

    def _stretch(self, pool: Flags, name: str, state: str) -> float:
        """What a class in a state asks for; of all states, where too few predictions are in that one."""
        n_lent = min(_LENT_TO_STRETCH, self.lent_groups)
        weights = self._borrowed(pool & (self.states == state), name, n_lent)
        if weights.sum() < _FEWEST_GROUPS:
            weights = self._borrowed(pool, name, n_lent)
        used = weights > 0
        return _reached(self.out[used], weights[used])

    def unseen_bounds(self) -> tuple[tuple[float, float], ...]:
        """Bounds of measured over expected speed for each miss, drawn without anything of its fold."""
        stretch = np.ones(len(self.misses))
        for here, pool, name in self._parts():
            for state in sorted(set(self.states[here].tolist())):
                stretch[here & (self.states == state)] = self._stretch(pool, name, state)
        low, high = np.exp(-stretch * self.slower), np.exp(stretch * self.faster)
        return tuple(zip(low.tolist(), high.tolist(), strict=True))

    def spreads(self, states: Sequence[Knowledge] = ELSEWHERE) -> tuple[Spread, ...]:
        """Bounds for every class and each of the states, from all misses."""
        found = []
        everything = np.ones(len(self.misses), dtype=np.bool_)
        for name in sorted(set(self.classes.tolist())):
            reaches = self._reach(everything, name)
            for state in states:
                stretch = self._stretch(everything, name, _STRETCHED_AS.get(state, state))
                slower, faster = (_widening(stretch * coefficients) for coefficients in reaches)
                usual, n_groups, n_rows = self._usual(name, state)
                spread = Spread(
                    speed_class=name, knowledge=state, low_ratio=1.0, high_ratio=1.0, n_groups=n_groups,
                    n_rows=n_rows, slower=slower, faster=faster,
                )  # fmt: skip
                low, high = spread.ratios(usual)
                found.append(replace(spread, low_ratio=float(low), high_ratio=float(high)))
        return tuple(found)

    def _usual(self, name: str, state: Knowledge) -> tuple[Doubt, int, int]:
        """The middle doubt of a class in a state, and how many groups and rows it had; of the class where none."""
        of_class = [miss for miss in self.misses if miss.speed_class == name]
        here = [miss for miss in of_class if miss.knowledge == state]
        doubts = np.array(
            [(miss.doubt.machine, miss.doubt.model, miss.doubt.known) for miss in here or of_class]
        )
        machine, model, known = np.median(doubts, axis=0).tolist()
        groups = {miss.group for miss in here}
        return Doubt(machine=machine, model=model, known=known), len(groups), len(here)


def _widening(coefficients: Floats) -> Widening:
    least, machine, model, known = coefficients.tolist()
    return Widening(least=max(_NARROWEST, _LEAST_UNIT * least), machine=machine, model=model, known=known)


def _least_coefficients(features: Floats, values: Floats, weights: Floats) -> Floats:
    """Coefficients ≥ 0 of the quantile that a tenth of the values lie beyond: their pinball loss is least.

    The loss is the limit of squares weighed by (share on that side) / distance, which are solved coordinate by
    coordinate; a coordinate that would be negative is 0.
    """
    found = np.full(features.shape[1], 0.1)
    for _ in range(_ITERATIONS):
        off = values - features @ found
        pull = weights * np.where(off > 0, 1 - _BEYOND, _BEYOND) / (np.abs(off) + _SHARPEST)
        for k in range(features.shape[1]):
            column = features[:, k]
            curve = float((column**2 * pull).sum())
            if curve > 0:
                off = values - features @ found
                found[k] = max(0.0, found[k] + float((column * pull * off).sum()) / curve)
    return found


def _reached(values: Floats, weights: Floats) -> float:
    """The value that four of five lie within; one more group is imagined, which may lie anywhere."""
    order = np.argsort(values)[::-1]
    beyond = np.cumsum(weights[order])  # each value's own weight too
    goal = 2 * _BEYOND * (weights.sum() + 1)
    return float(values[order][max(0, int(np.searchsorted(beyond, goal, side="right")) - 1)])

"""Predictions beside measurements: errors by group, and their median and 90th percentile over groups.

One group counts once, however many rows it has: the rows of one engine, component and architecture (or model where
the log does not name one). Error = |predicted / measured - 1|; a group's is the median of its rows'.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One predicted figure of one row. Without `expected` there is a reason, and then nothing is scored."""

    row: int  # counted from 0
    engine: str
    component: str
    group: str
    unit: str
    expected: float | None
    measured: float | None
    reason: str | None = None
    given: str | None = None  # what was taken from the log beside the settings
    notes: tuple[str, ...] = ()

    @property
    def error_fraction(self) -> float | None:
        """|expected / measured - 1|; None where either is unknown or nothing was measured."""
        if self.expected is None or not self.measured:
            return None
        return abs(self.expected / self.measured - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How far off the predictions of one component of one engine are, or of one group of it."""

    engine: str
    component: str
    group: str | None  # None over all groups
    n_groups: int
    n_predictions: int
    n_without: int  # measured, but not predicted
    median_error_fraction: float | None
    p90_error_fraction: float | None


def quantile(values: Iterable[_Number], q: float) -> _Number:
    """The value at the q-th part of the sorted values, the one above where it falls between two."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def scores(predictions: Sequence[Prediction], *, by_group: bool = False) -> tuple[Score, ...]:
    """A score for every engine and component that was measured, in order of first appearance; or one per group."""
    errors: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    without: dict[tuple[str, str, str], int] = defaultdict(int)
    for prediction in predictions:
        if not prediction.measured:
            continue
        key = prediction.engine, prediction.component, prediction.group
        errors[key]  # listed even where nothing was predicted
        error = prediction.error_fraction
        if error is None:
            without[key] += 1
        else:
            errors[key].append(error)
    keys = list(dict.fromkeys((engine, component) for engine, component, _ in errors))
    found: list[Score] = []
    for engine, component in keys:
        groups = [key for key in errors if key[:2] == (engine, component)]
        found += [
            _score(engine, component, chosen, errors, without, named=by_group)
            for chosen in ([[key] for key in groups] if by_group else [groups])
        ]
    return tuple(found)


def _score(
    engine: str,
    component: str,
    groups: Sequence[tuple[str, str, str]],
    errors: dict[tuple[str, str, str], list[float]],
    without: dict[tuple[str, str, str], int],
    *,
    named: bool,
) -> Score:
    medians = [statistics.median(errors[key]) for key in groups if errors[key]]
    spread = errors[groups[0]] if named else medians
    return Score(
        engine=engine,
        component=component,
        group=groups[0][2] if named else None,
        n_groups=len(medians),
        n_predictions=sum(len(errors[key]) for key in groups),
        n_without=sum(without[key] for key in groups),
        median_error_fraction=statistics.median(medians) if medians else None,
        p90_error_fraction=quantile(spread, 0.9) if spread else None,
    )


def worst(predictions: Sequence[Prediction], n: int) -> tuple[Prediction, ...]:
    """The predictions that are furthest off, one for each engine, component and group, worst first.

    Those that rest on a supposition of where tensors lie are left out: their errors are mostly the supposition's.
    """
    seen: set[tuple[str, str, str]] = set()
    found = []
    for prediction in sorted(predictions, key=lambda p: -(p.error_fraction or 0.0)):
        key = prediction.engine, prediction.component, prediction.group
        supposed = prediction.component.startswith("supposed")
        if prediction.error_fraction is None or key in seen or supposed:
            continue
        seen.add(key)
        found.append(prediction)
        if len(found) == n:
            break
    return tuple(found)

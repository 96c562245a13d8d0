"""Predicted speeds and times beside measured ones: errors, coverage and width of the intervals, by class.

One group counts once, however many rows it has: rows of one class, device, model, quantization and backend. A group's
error is the median of its rows' |expected / measured − 1|, its coverage the share of rows inside their interval.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from planner.estimate.validation import quantile

SpeedClass = Literal[
    "dense_decode", "moe_decode", "dense_prefill", "moe_prefill", "offload_decode", "offload_prefill", "tpot",
    "ttft",
]  # fmt: skip
# tokens per second, or seconds for the two times
SpeedQuantity = Literal["tok_s", "tpot", "ttft"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedPrediction:
    """One predicted figure of one row; without `expected` there is a reason, and nothing is scored."""

    row: int  # counted from 0
    speed_class: SpeedClass | None  # None where not even that can be told
    quantity: SpeedQuantity
    group: str
    measured: float | None
    low: float | None = None
    expected: float | None = None
    high: float | None = None
    reason: str | None = None

    @property
    def error_fraction(self) -> float | None:
        """|expected / measured − 1|; None where either is unknown."""
        if self.expected is None or not self.measured:
            return None
        return abs(self.expected / self.measured - 1)

    @property
    def holds(self) -> bool | None:
        """Whether the interval contains what was measured."""
        if self.low is None or self.high is None or self.measured is None:
            return None
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedScore:
    """How far off one class is, and whether its intervals hold; of one group, or over all of them."""

    speed_class: SpeedClass
    group: str | None
    n_groups: int
    n_predictions: int
    median_error_fraction: float
    mean_error_fraction: float
    p90_error_fraction: float
    coverage_fraction: float
    median_width_ratio: float  # high / low


def speed_scores(predictions: Sequence[SpeedPrediction], *, by_group: bool = False) -> tuple[SpeedScore, ...]:
    """A score for each class that was predicted, or for each group of each class; classes in order of appearance."""
    rows: dict[SpeedClass, dict[str, list[SpeedPrediction]]] = defaultdict(lambda: defaultdict(list))
    for prediction in predictions:
        if prediction.speed_class is not None and prediction.error_fraction is not None:
            rows[prediction.speed_class][prediction.group].append(prediction)
    found = []
    for speed_class, groups in rows.items():
        if by_group:
            found += [_score(speed_class, name, {name: group}) for name, group in groups.items()]
        else:
            found.append(_score(speed_class, None, groups))
    return tuple(found)


def _score(speed_class: SpeedClass, name: str | None, groups: dict[str, list[SpeedPrediction]]) -> SpeedScore:
    errors = [statistics.median(p.error_fraction or 0.0 for p in rows) for rows in groups.values()]
    covered = [sum(bool(p.holds) for p in rows) / len(rows) for rows in groups.values()]
    widths = [
        statistics.median(p.high / p.low for p in rows if p.low and p.high is not None)
        for rows in groups.values()
    ]
    return SpeedScore(
        speed_class=speed_class,
        group=name,
        n_groups=len(groups),
        n_predictions=sum(len(rows) for rows in groups.values()),
        median_error_fraction=statistics.median(errors),
        mean_error_fraction=statistics.fmean(errors),
        p90_error_fraction=quantile(errors, 0.9),
        coverage_fraction=statistics.fmean(covered),
        median_width_ratio=statistics.median(widths),
    )

"""Predicted speeds and times beside measured ones: errors, coverage and width of the intervals, by class.

One group counts once, however many rows it has: rows of one class, device, model, quantization and backend. A group's
error is the median of its rows' |expected / measured − 1|, its coverage the share of rows inside their interval.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from planner.estimate.validation import quantile

SpeedClass = Literal[
    "dense_decode", "moe_decode", "dense_prefill", "moe_prefill", "offload_decode", "offload_prefill", "tpot",
    "ttft", "tpot_apart", "ttft_apart", "served",
]  # fmt: skip
# What groups can be put together by, beside their class.
Part = Literal["device", "model", "engine"]
PARTS: tuple[Part, ...] = ("device", "model", "engine")
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
    device: str = ""
    model: str = ""
    engine: str = ""
    before: "SpeedPrediction | None" = None  # without what a benchmark on the machine taught

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
    """How far off one class is, and whether its intervals hold; of one group, or over several of them."""

    speed_class: SpeedClass
    group: str | None  # None over several
    n_groups: int
    n_predictions: int
    median_error_fraction: float
    mean_error_fraction: float
    p90_error_fraction: float
    coverage_fraction: float
    median_width_ratio: float  # high / low
    device: str = ""  # of a group
    model: str = ""
    engine: str = ""  # what most of its rows ran in


def speed_scores(predictions: Sequence[SpeedPrediction], *, by_group: bool = False) -> tuple[SpeedScore, ...]:
    """A score for each class that was predicted, or for each group of each class; classes in order of appearance."""
    groups = _group_scores(predictions)
    return groups if by_group else class_scores(groups)


def class_scores(groups: Iterable[SpeedScore]) -> tuple[SpeedScore, ...]:
    """Scores of groups put together by class; classes in order of appearance."""
    by_class: dict[SpeedClass, list[SpeedScore]] = defaultdict(list)
    for score in groups:
        by_class[score.speed_class].append(score)
    return tuple(_together(several) for several in by_class.values())


def scores_by(groups: Iterable[SpeedScore], part: Part) -> Mapping[str, tuple[SpeedScore, ...]]:
    """The classes' scores for each device, model or engine, by its name."""
    parts: dict[str, list[SpeedScore]] = defaultdict(list)
    for score in groups:
        parts[getattr(score, part)].append(score)
    return {name: class_scores(several) for name, several in sorted(parts.items())}


def _group_scores(predictions: Sequence[SpeedPrediction]) -> tuple[SpeedScore, ...]:
    rows: dict[SpeedClass, dict[str, list[SpeedPrediction]]] = defaultdict(lambda: defaultdict(list))
    for prediction in predictions:
        if prediction.speed_class is not None and prediction.error_fraction is not None:
            rows[prediction.speed_class][prediction.group].append(prediction)
    return tuple(
        _group_score(speed_class, name, group)
        for speed_class, groups in rows.items()
        for name, group in groups.items()
    )


def _group_score(speed_class: SpeedClass, name: str, rows: Sequence[SpeedPrediction]) -> SpeedScore:
    error = statistics.median(p.error_fraction or 0.0 for p in rows)
    return SpeedScore(
        speed_class=speed_class,
        group=name,
        n_groups=1,
        n_predictions=len(rows),
        median_error_fraction=error,
        mean_error_fraction=error,
        p90_error_fraction=error,
        coverage_fraction=sum(bool(p.holds) for p in rows) / len(rows),
        median_width_ratio=statistics.median(p.high / p.low for p in rows if p.low and p.high is not None),
        device=rows[0].device,
        model=rows[0].model,
        engine=Counter(p.engine for p in rows).most_common(1)[0][0],
    )


def _together(groups: Sequence[SpeedScore]) -> SpeedScore:
    errors = [score.median_error_fraction for score in groups]
    return replace(
        groups[0],
        group=None,
        device="",
        model="",
        engine="",
        n_groups=len(groups),
        n_predictions=sum(score.n_predictions for score in groups),
        median_error_fraction=statistics.median(errors),
        mean_error_fraction=statistics.fmean(errors),
        p90_error_fraction=quantile(errors, 0.9),
        coverage_fraction=statistics.fmean(score.coverage_fraction for score in groups),
        median_width_ratio=statistics.median(score.median_width_ratio for score in groups),
    )

"""How far predictions lie from measurements: by class, every group counting once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

SPEED_CLASSES = (
    "dense_decode", "moe_decode", "dense_prefill", "moe_prefill", "offload_decode", "offload_prefill",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One row's predicted speed with its interval, in tokens per second, beside what was measured."""

    row: int
    speed_class: str
    group: str
    low: float
    expected: float
    high: float
    measured: float

    @property
    def error_fraction(self) -> float:
        """|expected / measured − 1|."""
        return abs(self.expected / self.measured - 1)

    @property
    def is_covered(self) -> bool:
        """Whether the interval holds the measurement."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """One class: errors, coverage and widths over groups."""

    speed_class: str
    n_groups: int
    n_rows: int
    median_error_fraction: float
    p90_error_fraction: float
    coverage_fraction: float
    median_width_ratio: float


def class_scores(predictions: Sequence[Prediction]) -> tuple[ClassScore, ...]:
    """Each class's score: a group's error is the median over its rows, its coverage the share of its rows."""
    groups: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        groups[prediction.speed_class, prediction.group].append(prediction)
    found = []
    for name in sorted({name for name, _ in groups}, key=_order):
        members = [rows for (speed_class, _), rows in groups.items() if speed_class == name]
        errors = sorted(median(row.error_fraction for row in rows) for rows in members)
        found.append(
            ClassScore(
                speed_class=name,
                n_groups=len(members),
                n_rows=sum(len(rows) for rows in members),
                median_error_fraction=median(errors),
                p90_error_fraction=errors[min(len(errors) - 1, int(0.9 * len(errors)))],
                coverage_fraction=mean(mean(row.is_covered for row in rows) for rows in members),
                median_width_ratio=median(median(row.high / row.low for row in rows) for rows in members),
            )
        )
    return tuple(found)


def _order(name: str) -> tuple[int, str]:
    return (SPEED_CLASSES.index(name) if name in SPEED_CLASSES else len(SPEED_CLASSES), name)

"""How far independent sources lie apart on the same test: the error that no prediction can win back."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from planner.readers.speed_rows.place import PlacedRow

# Collections copy each other: figures that agree to three digits are one measurement printed twice.
_COPIED = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """How far independent sources lie apart on the same test of the same model on the same device."""

    speed_class: str
    n_tests: int
    median_fraction: float
    p90_fraction: float


def noise_floor(placed: Sequence[PlacedRow]) -> tuple[NoiseFloor, ...]:
    """What independent sources disagree by, pair by pair, on tests that both ran."""
    tests: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in placed:
        source = row.row
        key: tuple[str, ...] = (
            row.speed_class, row.device, str(len(row.case.layout.gpus)), source.backend.split("/")[0],
            row.case.model_key, row.preset, f"{source.n_prompt_tokens} {source.n_generated_tokens}",
            str(source.n_depth_tokens), source.offload,
        )  # fmt: skip
        tests[key][source.origin].append(source.tokens_per_s)
    gaps: dict[str, list[float]] = defaultdict(list)
    for key, by_origin in tests.items():
        rates = [median(values) for values in by_origin.values()]
        apart = [max(a, b) / min(a, b) - 1 for a, b in combinations(rates, 2)]
        independent = [gap for gap in apart if gap > _COPIED]
        if independent:
            gaps[key[0]].append(median(independent))
    return tuple(
        NoiseFloor(
            speed_class=name,
            n_tests=len(values),
            median_fraction=median(values),
            p90_fraction=sorted(values)[min(len(values) - 1, int(0.9 * len(values)))],
        )
        for name, values in sorted(gaps.items())
    )

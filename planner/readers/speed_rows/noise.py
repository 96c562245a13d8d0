"""How far independent sources lie apart on the same test: the error that no prediction can win back."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from planner.readers.speed_rows.place import PlacedRow
from planner.speed.setting import MODERN_BUILDS

# Collections copy each other: figures that agree to three digits are one measurement printed twice.
_COPIED = 0.002
_NAME = re.compile(r"[/ :(]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """How far independent sources lie apart on the same test of the same model on the same device."""

    speed_class: str
    n_tests: int
    median_fraction: float
    p90_fraction: float


def noise_floor(placed: Sequence[PlacedRow]) -> tuple[NoiseFloor, ...]:
    """What independent sources disagree by, pair by pair, on tests that both ran.

    A test is one only with all that the speed model tells apart: how the build reaches matrix cores, which age of builds
    it is of, and whether attention is fused, where both say it.
    """
    tests: dict[tuple[str, ...], dict[tuple[str, bool | None], list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in placed:
        who = (_author(row.row.origin), row.case.setting.flash_attention)
        tests[_test(row)][who].append(row.row.tokens_per_s)
    gaps: dict[str, list[float]] = defaultdict(list)
    for test, found in tests.items():
        rates = {who: median(values) for who, values in found.items()}
        apart = [
            max(rates[a], rates[b]) / min(rates[a], rates[b]) - 1
            for a, b in combinations(rates, 2)
            if a[0] != b[0] and (a[1] is None or b[1] is None or a[1] == b[1])
        ]
        independent = [gap for gap in apart if gap > _COPIED]
        if independent:
            gaps[test[0]].append(median(independent))
    return tuple(
        NoiseFloor(
            speed_class=name,
            n_tests=len(values),
            median_fraction=median(values),
            p90_fraction=sorted(values)[min(len(values) - 1, int(0.9 * len(values)))],
        )
        for name, values in sorted(gaps.items())
    )


def _test(row: PlacedRow) -> tuple[str, ...]:
    said, setting, layout = row.row, row.case.setting, row.case.layout
    backend = layout.gpus[0].backend if layout.gpus else "cpu"
    is_modern = backend not in MODERN_BUILDS or setting.is_from(MODERN_BUILDS[backend])
    return (
        row.speed_class, row.device, str(len(layout.gpus)), said.backend.split("/")[0], row.case.model_key,
        row.preset, f"{said.n_prompt_tokens} {said.n_generated_tokens}", str(said.n_depth_tokens), said.offload,
        setting.engine, setting.matrix_cores, setting.blas, str(is_modern),
    )  # fmt: skip


def _author(origin: str) -> str:
    """Who a source is by: its name up to a repository, a file or a remark. One author's figures are not independent."""
    return _NAME.split(origin, maxsplit=1)[0]

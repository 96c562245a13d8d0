"""Tables of how far off speeds are: by class beside what is asked of them, by device, model or engine, and the worst groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from planner.estimate.speed_validation import PARTS, Part, SpeedClass, SpeedScore, scores_by
from planner.report.document import Table

SHOWN_WORST: Final = 10
WORDS: Final[Mapping[str, str]] = {
    "dense_decode": "decode, dense",
    "moe_decode": "decode, mixture of experts",
    "dense_prefill": "prompt, dense",
    "moe_prefill": "prompt, mixture of experts",
    "offload_decode": "decode, part in RAM",
    "offload_prefill": "prompt, part in RAM",
    "tpot": "time per output token",
    "ttft": "time to first token",
    "tpot_apart": "time per output token, prompts elsewhere",
    "ttft_apart": "time to first token, prompts elsewhere",
    "served": "tokens per second of a loaded server",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is asked of a class: at most these errors and this width, coverage of 76 to 84 %."""

    median: float
    p90: float | None = None
    mean: float | None = None
    width: float = 1.5


GOALS: Final[Mapping[SpeedClass, Goal]] = {
    "dense_decode": Goal(median=0.07, p90=0.22),
    "moe_decode": Goal(median=0.12, p90=0.35),
    "dense_prefill": Goal(median=0.14, p90=0.40, width=2.0),
    "moe_prefill": Goal(median=0.20, p90=0.55, width=2.0),
    "offload_decode": Goal(median=0.18, p90=0.45),
    "tpot": Goal(median=0.07, mean=0.13),
    "ttft": Goal(median=0.20, mean=0.30, width=2.0),
}


def class_table(
    scores: Sequence[SpeedScore],
    noise: Mapping[str, tuple[float, int]] | None = None,
    times: float = 1.0,
    *,
    title: str = "Scores",
) -> Table:
    """Every class beside what is asked of it, errors `times` as large; `noise` is a median and its number of tests."""
    headers = (
        "what", "groups", "rows", "median error", "asked", "90th percentile", "asked", "mean", "asked", "80 % holds",
        "high / low", "asked",
    )  # fmt: skip
    return Table(
        title=title,
        headers=headers if noise is None else (*headers, "noise (tests)"),
        rows=tuple(_class_row(score, noise, times) for score in scores),
        right=tuple(range(1, len(headers) + (noise is not None))),
    )


def _class_row(
    score: SpeedScore, noise: Mapping[str, tuple[float, int]] | None, times: float
) -> tuple[str, ...]:
    goal = GOALS.get(score.speed_class)
    row = (
        WORDS[score.speed_class],
        str(score.n_groups),
        f"{score.n_predictions:,}",
        f"{score.median_error_fraction:.1%}",
        _asked(goal.median if goal else None, times),
        f"{score.p90_error_fraction:.1%}",
        _asked(goal.p90 if goal else None, times),
        f"{score.mean_error_fraction:.1%}",
        _asked(goal.mean if goal else None, times),
        f"{score.coverage_fraction:.0%}",
        f"{score.median_width_ratio:.2f}",
        f"{goal.width:.1f}" if goal else "–",
    )
    if noise is None:
        return row
    found = noise.get(score.speed_class)
    return (*row, f"{found[0]:.1%} ({found[1]})" if found else "–")


def _asked(fraction: float | None, times: float) -> str:
    return "–" if fraction is None else f"{100 * fraction * times:.3g}%"


def part_table(groups: Sequence[SpeedScore], part: Part) -> Table:
    """Each device, model or engine: groups and median error of every class that it has, largest errors first."""
    by_part = scores_by(groups, part)
    have = {score.speed_class for score in groups}
    classes = [name for name in get_args(SpeedClass) if name in have]
    rows = []
    for name, scores in by_part.items():
        found = {score.speed_class: score for score in scores}
        cells = [_part_cell(found.get(speed_class)) for speed_class in classes]
        worst = max(score.median_error_fraction for score in scores)
        rows.append((worst, (name or "–", str(sum(score.n_groups for score in scores)), *cells)))
    rows.sort(key=lambda pair: (-pair[0], pair[1]))
    return Table(
        title=f"By {part}: median error (80 % interval holds)",
        headers=(part, "groups", *(WORDS[name] for name in classes)),
        rows=tuple(cells for _, cells in rows),
        right=tuple(range(1, 2 + len(classes))),
    )


def _part_cell(score: SpeedScore | None) -> str:
    return "–" if score is None else f"{score.median_error_fraction:.0%} ({score.coverage_fraction:.0%})"


def part_tables(groups: Sequence[SpeedScore]) -> tuple[Table, ...]:
    """By device, by model and by engine, where there are several."""
    return tuple(part_table(groups, part) for part in PARTS if len(scores_by(groups, part)) > 1)


def worst_table(groups: Sequence[SpeedScore]) -> Table:
    """The groups that are furthest off."""
    worst = sorted(groups, key=lambda score: -score.median_error_fraction)[:SHOWN_WORST]
    return Table(
        title="Groups that are furthest off",
        headers=("what", "group", "rows", "median error", "80 % holds"),
        rows=tuple(
            (
                WORDS[score.speed_class], score.group or "", str(score.n_predictions),
                f"{score.median_error_fraction:.0%}", f"{score.coverage_fraction:.0%}",
            )
            for score in worst
        ),
        right=(2, 3, 4),
    )  # fmt: skip


def score_data(score: SpeedScore) -> dict[str, Any]:
    """A score under its JSON keys."""
    return {
        "class": score.speed_class,
        "n_groups": score.n_groups,
        "n_predictions": score.n_predictions,
        "median_error_fraction": score.median_error_fraction,
        "mean_error_fraction": score.mean_error_fraction,
        "p90_error_fraction": score.p90_error_fraction,
        "coverage_fraction": score.coverage_fraction,
        "median_width_ratio": score.median_width_ratio,
    }


def part_data(groups: Sequence[SpeedScore]) -> dict[str, list[dict[str, Any]]]:
    """Scores by device, model and engine under their JSON keys."""
    return {
        f"by_{part}": [
            {part: name} | score_data(score)
            for name, scores in scores_by(groups, part).items()
            for score in scores
        ]
        for part in PARTS
    }

"""Scores of groups as rows of a table, and back: what a page about accuracy is written from without the measurements."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from planner.estimate.speed_validation import SpeedClass, SpeedScore
from profiles.errors import ProfileError

SCORE_COLUMNS = (
    "id", "held_out", "speed_class", "group", "device", "model", "engine", "n_rows", "median_error", "coverage",
    "width_ratio", "date", "source",
)  # fmt: skip
# Of devices left out: machines with other models of the kind, before and after a benchmark of one of them taught the fit.
BEFORE_BENCH = "device before a benchmark"
AFTER_BENCH = "device after a benchmark"


def score_rows(
    scores: Iterable[tuple[str, Sequence[SpeedScore]]], date: str, source: str
) -> list[dict[str, str]]:
    """One row for each group; scores stand beside what fits had not seen: each cell, device, model …"""
    return [
        {
            "id": f"{held_out}-{score.speed_class}-{score.group}",
            "held_out": held_out,
            "speed_class": score.speed_class,
            "group": score.group or "",
            "device": score.device,
            "model": score.model,
            "engine": score.engine,
            "n_rows": str(score.n_predictions),
            "median_error": f"{score.median_error_fraction:.4f}",
            "coverage": f"{score.coverage_fraction:.4f}",
            "width_ratio": f"{score.median_width_ratio:.4f}",
            "date": date,
            "source": source,
        }
        for held_out, groups in scores
        for score in groups
    ]


def scores_from(rows: Iterable[Mapping[str, str | None]]) -> Mapping[str, tuple[SpeedScore, ...]]:
    """Groups' scores by what fits had not seen; raises ProfileError naming the row that is none."""
    found: dict[str, list[SpeedScore]] = defaultdict(list)
    for row in rows:
        try:
            error = float(row["median_error"] or "")
            score = SpeedScore(
                speed_class=next(name for name in get_args(SpeedClass) if name == row["speed_class"]),
                group=row["group"] or "",
                n_groups=1,
                n_predictions=int(row["n_rows"] or ""),
                median_error_fraction=error,
                mean_error_fraction=error,
                p90_error_fraction=error,
                coverage_fraction=float(row["coverage"] or ""),
                median_width_ratio=float(row["width_ratio"] or ""),
                device=row["device"] or "",
                model=row["model"] or "",
                engine=row["engine"] or "",
            )
        except (KeyError, ValueError, StopIteration) as error_found:
            raise ProfileError(f"speed scores, {row.get('id')!r}: {error_found!r}") from error_found
        found[row["held_out"] or ""].append(score)
    return {held_out: tuple(scores) for held_out, scores in found.items()}

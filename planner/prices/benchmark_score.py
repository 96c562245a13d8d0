"""What a model scored in a benchmark: rows that a user can replace."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from planner.prices import names
from profiles.loader import benchmark_score_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a model scored in one release of a benchmark."""

    benchmark: str
    release: str
    setting: str
    score: float
    as_of: str
    source: str


def benchmark_score(spellings: Sequence[str], day: date) -> Score | None:
    """The newest release's score that was known on the day."""
    rows = [
        row
        for row in benchmark_score_rows()
        if (row["as_of"] or "") <= day.isoformat()
        and any(names.is_same(row["model"] or "", spelling) for spelling in spellings)
    ]
    if not rows:
        return None
    newest = max(rows, key=lambda row: (row["release"] or "", row["as_of"] or ""))
    return Score(
        benchmark=newest["benchmark"] or "",
        release=newest["release"] or "",
        setting=newest["setting"] or "",
        score=float(newest["score"] or 0),
        as_of=newest["as_of"] or "",
        source=newest["source"] or "",
    )

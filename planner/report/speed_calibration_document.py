"""`planner calibrate` as a document: what was fitted, and how wide the intervals are."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from planner.report.document import Document, Table


def speed_calibration_document(found: Any, files: Sequence[str]) -> Document:
    """Counts of effects by level, intervals by class and knowledge, and the rows left out."""
    levels = Counter(effect.level for effect in found.factors.effects)
    answer = (
        f"{found.n_placed:,} of {found.n_rows:,} rows fitted: {len(found.factors.effects):,} effects, "
        f"written to {' and '.join(files)}."
    )
    return Document(
        schema="planner.calibrate/1",
        title="Calibration",
        answer=(answer,),
        tables=(
            Table(
                title="Effects",
                headers=("level", "effects"),
                rows=tuple((level, f"{count:,}") for level, count in levels.items()),
                right=(1,),
            ),
            Table(
                title="80 % intervals of usual cases, measured over expected speed",
                headers=("class", "measured before", "low", "high", "groups", "rows"),
                rows=tuple(
                    (
                        spread.speed_class, spread.knowledge, f"{spread.low_ratio:.2f}",
                        f"{spread.high_ratio:.2f}", f"{spread.n_groups:,}", f"{spread.n_rows:,}",
                    )
                    for spread in found.spreads
                ),
                right=(2, 3, 4, 5),
            ),
            Table(
                title="Not placed",
                headers=("rows", "reason"),
                rows=tuple((f"{count:,}", reason) for reason, count in found.unplaced),
                right=(0,),
            ),
        ),
        data={
            "n_rows": found.n_rows,
            "n_placed": found.n_placed,
            "n_effects": len(found.factors.effects),
            "date": found.factors.date,
            "files": list(files),
            "intervals": [
                {
                    "class": spread.speed_class, "knowledge": spread.knowledge, "low_ratio": spread.low_ratio,
                    "high_ratio": spread.high_ratio, "n_groups": spread.n_groups, "n_rows": spread.n_rows,
                }
                for spread in found.spreads
            ],
            "not_placed": [{"reason": reason, "n_rows": count} for reason, count in found.unplaced],
        },
    )  # fmt: skip

"""Scores of a table of measured speeds, kept as a table: what docs/accuracy.md is written from."""

import datetime
from pathlib import Path

from planner.api.speed_calibration import write_table
from planner.api.validating_speed import validate_speed
from planner.estimate.speed_score_table import AFTER_BENCH, BEFORE_BENCH, SCORE_COLUMNS, score_rows
from planner.estimate.speed_validation import SpeedScore, speed_scores
from planner.progress import Progress, stretch
from planner.speed.held_out import HELD_OUT

_OTHERS_SHARE = 0.7  # of the time


def write_scores(table: Path, target: Path, progress: Progress | None = None) -> None:
    """Predicts every row by fits that have not seen its cell, its device, or its model, and writes groups' scores.

    Those of devices left out stand also as they are after a benchmark of one model there.
    """
    scores: list[tuple[str, tuple[SpeedScore, ...]]] = []
    for number, by in enumerate(HELD_OUT):
        part = stretch(
            progress, _OTHERS_SHARE * number / len(HELD_OUT), _OTHERS_SHARE * (number + 1) / len(HELD_OUT)
        )
        scores.append((by, validate_speed(table, hold_out=by, progress=part).group_scores))
    taught = validate_speed(
        table, hold_out="device-but-one-model", progress=stretch(progress, _OTHERS_SHARE, 1.0)
    )
    before = [prediction.before for prediction in taught.predictions if prediction.before is not None]
    if before:
        scores.append((BEFORE_BENCH, speed_scores(before, by_group=True)))
        scores.append((AFTER_BENCH, taught.group_scores))
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_table(target, SCORE_COLUMNS, score_rows(scores, date, table.name))

"""Scores of a table of measured speeds, kept as a table: what docs/accuracy.md is written from."""

import datetime
from pathlib import Path

from planner.api.speed_calibration import write_table
from planner.api.validating_speed import validate_speed
from planner.estimate.speed_score_table import SCORE_COLUMNS, score_rows
from planner.progress import Progress, stretch
from planner.speed.held_out import HELD_OUT


def write_scores(table: Path, target: Path, progress: Progress | None = None) -> None:
    """Predicts every row by fits that have not seen its cell, its device, or its model, and writes groups' scores."""
    scores = []
    for number, by in enumerate(HELD_OUT):
        part = stretch(progress, number / len(HELD_OUT), (number + 1) / len(HELD_OUT))
        scores.append((by, validate_speed(table, hold_out=by, progress=part).group_scores))
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_table(target, SCORE_COLUMNS, score_rows(scores, date, table.name))

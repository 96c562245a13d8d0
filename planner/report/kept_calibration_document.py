"""`planner calibrate` as a document: what was kept and what it is worth, or the list of what is kept."""

from collections.abc import Sequence
from typing import Any

from planner.estimate.speed_validation import SpeedScore
from planner.report.document import Document, Table


def own_calibration_document(found: Any) -> Document:
    """Measurements taken, errors before and on unseen models, the rows left out, and where it is kept."""
    kept = found.kept
    over = "over the packaged fit" if kept.mode == "added" else "alone"
    n_placed = kept.n_rows - len(found.unplaced) - len(found.loads_left_out)
    taken = f"{n_placed:,} of {kept.n_rows:,} measurements ({found.n_new_rows:,} new) were fitted {over}"
    notes = [f"kept in {found.path}", "planner calibrate --use packaged goes back"]
    if kept.loads:
        notes.append(
            f"{len(kept.loads):,} loads correct other loads of the same deployment: engine, GPU, model, weights"
        )
    if kept.mode == "added" and kept.rows and not found.unseen:
        notes.append("measurements of a second model would show how far this carries to others")
    return Document(
        schema="planner.calibrate/2",
        title="Calibration",
        answer=(f"{taken}; estimates use {kept.id} from now on.",),
        tables=(
            _error_table(found.before, found.unseen),
            _reason_table(found.unplaced, found.loads_left_out),
        ),
        notes=tuple(notes),
        data={
            "id": kept.id,
            "date": kept.date,
            "mode": kept.mode,
            "path": str(found.path),
            "files": [_file_data(file) for file in kept.files],
            "n_rows": kept.n_rows,
            "n_new_rows": found.n_new_rows,
            "n_placed": n_placed,
            "before": [_score_data(score) for score in found.before],
            "each_model_left_out": [_score_data(score) for score in found.unseen],
            "n_loads": len(kept.loads),
            "not_placed": [
                *({"test": item.row.test, "reason": item.reason} for item in found.unplaced),
                *({"test": "load", "reason": reason} for reason in found.loads_left_out),
            ],
        },
    )


def _error_table(before: Sequence[SpeedScore], unseen: Sequence[SpeedScore]) -> Table:
    after = {score.speed_class: score for score in unseen}
    rows = []
    for score in before:
        left_out = after.get(score.speed_class)
        rows.append(
            (
                score.speed_class.replace("_", " "),
                str(score.n_groups),
                f"{score.median_error_fraction:.1%}",
                f"{score.coverage_fraction:.0%}",
                "–" if left_out is None else f"{left_out.median_error_fraction:.1%}",
                "–" if left_out is None else f"{left_out.coverage_fraction:.0%}",
            )
        )
    return Table(
        title="Median error on these measurements",
        headers=("class", "groups", "packaged", "80 % holds", "taught by your other models", "80 % holds"),
        rows=tuple(rows),
        right=(1, 2, 3, 4, 5),
    )


def _reason_table(unplaced: Sequence[Any], loads_left_out: Sequence[str]) -> Table:
    return Table(
        title="Not fitted",
        headers=("test", "model", "why"),
        rows=(
            *((item.row.test, item.row.model, item.reason) for item in unplaced),
            *(("load", "", reason) for reason in loads_left_out),
        ),
    )


def kept_list_document(found: Any) -> Document:
    """Every kept calibration, the packaged one first, with a mark at the one in use."""
    packaged = found.packaged
    n_devices = len(
        {effect.name.rsplit(" ", 1)[-1] for effect in packaged.effects if effect.level == "device"}
    )
    rows = [
        (
            "packaged",
            "in use" if found.in_use == "packaged" else "",
            packaged.date,
            f"{n_devices} devices",
            "",
        )
    ]
    for kept in found.kept:
        state = "in use" if kept.id == found.in_use else ""
        if kept.id in found.outdated:
            state = "outdated" if not state else "in use, outdated"
        files = ", ".join(file.name for file in kept.files)
        rows.append((kept.id, state, kept.date, f"{kept.n_rows:,} rows, {kept.mode}", files))
    notes = [*found.warnings]
    if found.in_use in found.outdated:
        notes.append("made over another packaged fit and not used; planner calibrate --again makes it anew")
    return Document(
        schema="planner.calibrations/1",
        title="Calibrations",
        answer=(f"Speeds of llama.cpp follow {found.in_use}.",),
        tables=(Table(title="", headers=("name", "", "date", "measurements", "files"), rows=tuple(rows)),),
        notes=(*notes, f"kept in {found.folder}"),
        data={
            "in_use": found.in_use,
            "folder": str(found.folder),
            "packaged": {"date": packaged.date, "n_effects": len(packaged.effects), "n_devices": n_devices},
            "calibrations": [
                {
                    "id": kept.id, "date": kept.date, "mode": kept.mode, "n_rows": kept.n_rows,
                    "outdated": kept.id in found.outdated, "files": [_file_data(file) for file in kept.files],
                }
                for kept in found.kept
            ],
            "warnings": list(found.warnings),
        },
    )  # fmt: skip


def _file_data(file: Any) -> dict[str, Any]:
    return {"name": file.name, "n_rows": file.n_rows, "n_placed": file.n_placed}


def _score_data(score: SpeedScore) -> dict[str, Any]:
    return {
        "class": score.speed_class,
        "n_groups": score.n_groups,
        "median_error_fraction": score.median_error_fraction,
        "p90_error_fraction": score.p90_error_fraction,
        "coverage_fraction": score.coverage_fraction,
        "median_width_ratio": score.median_width_ratio,
    }

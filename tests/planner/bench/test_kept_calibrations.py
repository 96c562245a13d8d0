"""Calibrations on disk: what is kept comes back, one is in use, and a damaged file says how to go on."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from planner.bench import kept_calibrations as store
from planner.errors import BenchError, MalformedError, NotFoundError
from planner.speed.factors import Effect
from planner.speed.intervals import Spread
from planner.speed.kept_calibration import KeptCalibration, MeasuredFile, fingerprint

KEPT = KeptCalibration(
    id="2026-01-02-abcdef12",
    date="2026-01-02",
    mode="added",
    base="0123456789abcdef",
    files=(MeasuredFile(name="bench.json", n_rows=2, n_placed=1),),
    rows=({"device": "RTX 4090", "tok_s": "150.0"}, {"device": "?", "tok_s": "1"}),
    effects=(Effect(name="read", level="operator", value=0.25, n_measurements=4, n_devices=1, sd=0.1),),
    spreads=(
        Spread(speed_class="dense_decode", knowledge="both", low_ratio=0.9, high_ratio=1.1, n_groups=20, n_rows=90),
    ),
)  # fmt: skip


def test_what_is_kept_comes_back_and_is_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "calibrations"
    assert store.name_in_use(folder) == store.PACKAGED
    store.keep_calibration(KEPT, folder)
    assert store.name_in_use(folder) == KEPT.id
    assert store.load_calibration(KEPT.id, folder) == KEPT
    assert store.kept_calibrations(folder) == ((KEPT,), ())


def test_there_is_a_way_back_and_forth(tmp_path: Path) -> None:
    store.keep_calibration(KEPT, tmp_path)
    store.keep_calibration(replace(KEPT, id="2026-01-03-abcdef12", date="2026-01-03"), tmp_path)
    store.use_calibration(store.PACKAGED, tmp_path)
    assert store.name_in_use(tmp_path) == store.PACKAGED
    store.use_calibration(KEPT.id, tmp_path)
    assert store.name_in_use(tmp_path) == KEPT.id
    assert [one.date for one in store.kept_calibrations(tmp_path)[0]] == ["2026-01-02", "2026-01-03"]


@pytest.mark.parametrize("name", ["nothing", "../../etc/passwd", "", "A B", "2026-01-02-abcdef12.json"])
def test_a_name_that_is_not_kept_is_refused(name: str, tmp_path: Path) -> None:
    store.keep_calibration(KEPT, tmp_path)
    with pytest.raises(NotFoundError, match="planner calibrate --show"):
        store.use_calibration(name, tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"kind": "planner-calibration"}', '{"kind": "other", "schema_version": 1}', "[" * 100_000],
)  # fmt: skip
def test_a_damaged_file_says_how_to_go_on(text: str, tmp_path: Path) -> None:
    path = store.keep_calibration(KEPT, tmp_path)
    path.write_text(text)
    with pytest.raises(MalformedError, match="planner calibrate --use packaged"):
        store.load_calibration(KEPT.id, tmp_path)
    found, warnings = store.kept_calibrations(tmp_path)
    assert (found, len(warnings)) == ((), 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("mode", "both"), ("schema_version", 9), ("effects", [{"id": "read"}]), ("rows", [{"device": 3}]), ("files", 3)],
)  # fmt: skip
def test_a_wrong_field_is_no_calibration(field: str, value: object, tmp_path: Path) -> None:
    path = store.keep_calibration(KEPT, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(MalformedError):
        store.load_calibration(KEPT.id, tmp_path)


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    store.keep_calibration(KEPT, tmp_path).unlink()
    with pytest.raises(NotFoundError, match="is in use and missing"):
        store.load_calibration(KEPT.id, tmp_path)


def test_stopped_while_writing_what_was_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.keep_calibration(KEPT, tmp_path)

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        store.keep_calibration(replace(KEPT, id="2026-01-03-abcdef12"), tmp_path)
    assert store.load_calibration(store.name_in_use(tmp_path), tmp_path) == KEPT
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{KEPT.id}.json", "in-use"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="PLANNER_DATA_DIR"):
        store.keep_calibration(KEPT, tmp_path / "file" / "calibrations")


def test_a_fingerprint_depends_on_names_and_values_only() -> None:
    (effect,) = KEPT.effects
    other = replace(effect, name="launch")
    assert fingerprint([effect, other]) == fingerprint([other, replace(effect, n_measurements=9)])
    assert fingerprint([effect]) != fingerprint([replace(effect, value=0.2501)])

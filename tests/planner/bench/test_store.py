"""Runs on disk: what is written comes back, and a damaged file is named and skipped."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from planner.bench.store import find_run, load_runs, save_run
from planner.errors import BenchError, NotFoundError
from planner.estimate.measurement import BenchRun, EngineMemory, Measurement

RUN = BenchRun(
    model_name="SmolLM2 135M/é",
    model_path="/models/smollm2.gguf",
    model_fingerprint="ab" * 32,
    model_bytes=96_576_768,
    n_parameters=134_515_008,
    quantization="Q4_1",
    engine="llama.cpp",
    engine_build="llama-cpp-python 0.3.36",
    backend="CPU",
    machine_fingerprint="cd" * 32,
    machine_name="a machine",
    n_threads=2,
    n_gpu_layers=0,
    n_batch=2048,
    n_ubatch=512,
    n_context_tokens=512,
    kv_type="f16",
    flash_attention=True,
    measured_at="2026-01-02T03:04:05+00:00",
    measurements=(
        Measurement(
            phase="prefill",
            n_prompt_tokens=512,
            n_generated_tokens=0,
            n_depth_tokens=0,
            samples_s=(2.0, 2.5),
        ),
        Measurement(
            phase="decode",
            n_prompt_tokens=0,
            n_generated_tokens=128,
            n_depth_tokens=4096,
            samples_s=(1.25,),
        ),
    ),
    memory=EngineMemory(
        weights_bytes=96_576_768, kv_bytes=11_796_480, state_bytes=0, compute_bytes=9, output_bytes=8
    ),
    read_bytes_per_token=1.5,
    notes=("a note",),
)


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    path = save_run(RUN, tmp_path / "new" / "folder")
    assert load_runs(path.parent) == ((RUN,), ())
    without_memory = dataclasses.replace(RUN, memory=None, notes=())
    save_run(without_memory, tmp_path / "other")
    assert load_runs(tmp_path / "other") == ((without_memory,), ())


def test_a_run_from_before_a_field_existed_is_read(tmp_path: Path) -> None:
    path = save_run(RUN, tmp_path)
    content = json.loads(path.read_text())
    del content["run"]["read_bytes_per_token"]
    path.write_text(json.dumps(content))
    assert load_runs(tmp_path) == ((dataclasses.replace(RUN, read_bytes_per_token=None),), ())


def test_the_file_name_tells_when_and_what(tmp_path: Path) -> None:
    assert save_run(RUN, tmp_path).name.startswith("20260102T030405-SmolLM2-135M-")


def test_runs_come_oldest_first_and_the_same_run_is_kept_once(tmp_path: Path) -> None:
    later = dataclasses.replace(RUN, measured_at="2026-03-01T00:00:00+00:00", model_name="A")
    for run in (later, RUN, later):
        save_run(run, tmp_path)
    assert load_runs(tmp_path)[0] == (RUN, later)


def test_nothing_is_left_beside_the_runs(tmp_path: Path) -> None:
    path = save_run(RUN, tmp_path)
    assert list(tmp_path.iterdir()) == [path]  # no temporary file


def test_a_kill_at_any_moment_loses_no_finished_run(tmp_path: Path) -> None:
    # Two programs write into one folder; each says which runs it has finished, and is killed in between.
    code = (
        "import dataclasses, sys\nfrom pathlib import Path\nfrom planner.bench.store import save_run\n"
        "from tests.planner.bench.test_store import RUN\nfor number in range(100_000):\n"
        f"    save_run(dataclasses.replace(RUN, model_name=f'{{sys.argv[1]}}-{{number}}'), Path({str(tmp_path)!r}))\n"
        "    print(f'{sys.argv[1]}-{number}', flush=True)\n"
    )
    root = Path(__file__).parents[3]
    finished: list[str] = []
    for pair in range(3):
        programs = [
            subprocess.Popen(
                [sys.executable, "-c", code, f"w{pair}{name}"], cwd=root, stdout=subprocess.PIPE, text=True
            )
            for name in "ab"
        ]
        for program in programs:
            assert program.stdout is not None
            finished.append(program.stdout.readline().strip())  # both are at work
        for program in programs:
            time.sleep(0.003 * pair)
            program.kill()
            said, _ = program.communicate()
            finished += said.split("\n")[:-1]
    runs, warnings = load_runs(tmp_path)
    assert not warnings
    assert len(finished) >= 6
    assert set(finished) <= {run.model_name for run in runs}
    assert all(path.suffix == ".json" for path in tmp_path.iterdir())  # nothing unfinished


def test_without_nameless_files_a_temporary_name_is_used_and_stale_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)  # as on macOS
    stale, young = tmp_path / "unfinished-old", tmp_path / "unfinished-new"
    for file in (stale, young):
        file.write_text("{")
    os.utime(stale, (0, 0))
    path = save_run(RUN, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([path, young])
    assert load_runs(tmp_path) == ((RUN,), ())


def test_a_run_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no benchmark is kept"):
        find_run("last", tmp_path)
    later = dataclasses.replace(RUN, measured_at="2026-03-01T00:00:00+00:00")
    path = save_run(RUN, tmp_path)
    save_run(later, tmp_path)
    run_id = path.stem[-8:]
    assert find_run(run_id[:5], tmp_path).run == RUN
    assert find_run("last", tmp_path).run == later
    assert find_run(str(path), tmp_path).run == RUN
    with pytest.raises(NotFoundError, match=r"no benchmark has the id 'zz'; newest: .*planner bench list"):
        find_run("zz", tmp_path)
    with pytest.raises(NotFoundError, match="no benchmark has the id ''"):
        find_run("", tmp_path)


def test_an_empty_or_missing_folder_has_no_runs(tmp_path: Path) -> None:
    assert load_runs(tmp_path / "missing") == ((), ())


def changed(**changes: Any) -> str:
    run = dataclasses.asdict(RUN) | changes.pop("run", {})
    return json.dumps({"kind": "planner-bench-run", "schema_version": 1, "run": run} | changes)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Expecting value"),
        (changed()[:200], "delimiter|Unterminated|Expecting"),
        ("[]", "kind"),
        (changed(kind="something else"), "kind"),
        (changed(schema_version=2), "schema_version 2, known is 1"),
        (changed(run={"n_threads": "two"}), "n_threads is 'two', not of type int"),
        (changed(run={"n_threads": True}), "n_threads is True"),
        (changed(run={"n_threads": "9" * 5000}), "of type int"),
        (changed(run={"model_bytes": float("nan")}), "NaN"),
        (changed(run={"read_bytes_per_token": "much"}), "not of type float"),
        (changed(run={"surplus": 1}), "surplus"),
        (changed(run={"notes": [1]}), "notes is 1, not of type str"),
        (changed(run={"measurements": None}), "measurements"),
        (changed(run={"measurements": [{"phase": "sideways"}]}), "lacks or adds"),
        (changed(run={"memory": []}), "EngineMemory is not an object"),
        ("[" * 100_000, "nested too deeply|Expecting|recursion"),
        (" " * 2_000_000, "larger than"),
    ],
)
def test_a_damaged_file_is_skipped_with_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    save_run(RUN, tmp_path)
    bad = tmp_path / "0-bad.json"
    bad.write_text(text)
    runs, warnings = load_runs(tmp_path)
    assert runs == (RUN,)
    (warning,) = warnings
    assert str(bad) in warning
    assert "\n" not in warning
    assert len(warning) < 600
    assert re.search(complaint, warning)


def test_a_bad_phase_or_time_is_not_a_run(tmp_path: Path) -> None:
    measurement = dataclasses.asdict(RUN.measurements[0])
    changes: list[dict[str, Any]] = [
        {"phase": "sideways"},
        {"samples_s": []},
        {"samples_s": [-1.0]},
        {"samples_s": "ab"},
    ]
    for change in changes:
        (tmp_path / "bad.json").write_text(changed(run={"measurements": [measurement | change]}))
        runs, warnings = load_runs(tmp_path)
        assert (runs, len(warnings)) == ((), 1)


def test_a_file_that_is_not_text_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.json").mkdir()
    assert len(load_runs(tmp_path)[1]) == 2


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"could not save the benchmark .*PLANNER_DATA_DIR"):
        save_run(RUN, tmp_path / "file" / "sub")

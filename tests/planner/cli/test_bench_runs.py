"""The commands on benchmarks that are kept, end to end on a folder of runs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.bench.store import save_run
from planner.cli.main import planner
from tests.planner.bench.test_store import RUN


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data folder with one run, whose id this is."""
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path))
    return save_run(RUN, tmp_path / "benchmarks").stem[-8:]


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(planner, ["bench", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_runs_are_listed_shown_and_removed(kept: str) -> None:
    assert kept in run("list")
    listed = json.loads(run("list", "--format", "json"))
    assert [item["id"] for item in listed["runs"]] == [kept]
    assert json.loads(run("show", kept[:4], "--format", "json"))["measurements"][0]["samples_s"] == [2.0, 2.5]
    assert "no benchmark has the id" in run("rm", kept, "nothing", status=1)
    assert kept in run("list")  # all or none
    run("rm", kept)
    assert "0 benchmarks kept" in run("list")


def test_runs_are_compared_with_the_first(kept: str, tmp_path: Path) -> None:
    exported = run("export", kept)
    file = tmp_path / "theirs.json"
    rows = json.loads(exported)
    for row in rows:
        row["samples_ns"] = [sample // 2 for sample in row["samples_ns"]]  # twice as fast
        row["n_threads"] = 8
    file.write_text(json.dumps(rows))
    run("import", str(file))
    other = next(
        item["id"] for item in json.loads(run("list", "--format", "json"))["runs"] if item["id"] != kept
    )
    compared = run("compare", kept, other)
    assert "+100.0%" in compared
    assert "the runs differ in:" in compared
    assert "threads" in compared
    assert "name two benchmarks" in run("compare", kept, status=2)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 1}', "not JSON", '[{"model_type": "x", "n_prompt": "many"}]']
)
def test_a_file_that_is_none_is_one_line(kept: str, tmp_path: Path, text: str) -> None:
    file = tmp_path / "theirs.json"
    file.write_text(text)
    said = run("import", str(file), status=1)
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert "theirs.json" in said


def test_the_word_run_may_be_left_out_and_options_of_synthetic_go_with_it() -> None:
    assert "go with --synthetic" in run("model.gguf", "--quant", "Q4_K_M", status=2)
    assert "there is no terminal to ask on" in run("qwen3-0.6b", "--synthetic", status=2)
    assert "planner bench list" in run("--help")

"""Sizes of many models: the same whoever works them out, and gone on with after a stop."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.api.sweeping import SweepQuestion, SweepWays, cells_of, sweep_sizes, swept_models
from planner.api.workloads import workload_for
from planner.cli.main import planner
from planner.errors import PlannerError
from planner.workload.overrides import Overrides

QUESTION = SweepQuestion(
    models=("qwen3-8b", "llama-3.3-70b-instruct"),
    workloads=(workload_for("chat", Overrides(tasks_per_s=2.0)),),
    machines=("H100 SXM", "L4"),
    n_requests=200,
)


def test_all_cores_find_what_one_process_finds_to_the_last_bit() -> None:
    alone = sweep_sizes(QUESTION, SweepWays(n_workers=1))
    assert sweep_sizes(QUESTION, SweepWays(n_workers=2)) == alone
    options = [None if one.answer is None else one.answer["option"] for one in alone]
    # A 70B model has 65.7 GiB in FP8: with activations and the engine's own it leaves an H100 of 79.2 GiB no room, and an L4
    # of 22 GiB less; the engine's reason is kept.
    assert options[0] is not None and options[2] is None and options[3] is None
    assert alone[2].answer is not None and alone[2].answer["reasons"]


def test_a_stopped_sweep_goes_on(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    whole = sweep_sizes(QUESTION, SweepWays(n_workers=1, journal=journal))
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + len(cells_of(QUESTION))
    journal.write_bytes(b"".join(lines[:3]) + lines[3][:40])  # killed while it wrote the third answer
    steps: list[float] = []
    again = sweep_sizes(QUESTION, SweepWays(n_workers=1, journal=journal), lambda done, _: steps.append(done))
    assert again == whole
    assert steps[0] == pytest.approx(2 / 4)


def test_a_journal_of_other_measurements_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))
    ways = SweepWays(n_workers=1, journal=tmp_path / "journal")
    one = replace(QUESTION, models=("qwen3-8b",), machines=("L4",))
    sweep_sizes(one, ways)
    kept = tmp_path / "data/loads"
    kept.mkdir(parents=True)
    (kept / "load.json").write_text("{}")
    with pytest.raises(PlannerError, match="another version of the planner or its data"):
        sweep_sizes(one, ways)


def test_names_with_stars_are_those_of_the_catalogue() -> None:
    found = swept_models(("qwen3-8b", "qwen3-*b", "own/model"))
    assert (
        found[0] == "qwen3-8b"
        and found.count("qwen3-8b") == 1
        and "qwen3-14b" in found
        and found[-1] == "own/model"
    )
    with pytest.raises(PlannerError, match="no model of the catalogue is called 'zzz"):
        swept_models(("zzz*",))


def test_the_command_prints_every_cell_as_csv(tmp_path: Path) -> None:
    arguments = [
        "sweep", "qwen3-8b", "--rps", "2", "--machine", "H100 SXM", "--machine", "L4", "--jobs", "1", "--journal",
        str(tmp_path / "j"), "--format",
    ]  # fmt: skip
    result = CliRunner().invoke(planner, [*arguments, "csv"])
    assert result.exit_code == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.startswith("model,workload,machine") and len(rows) == 2
    data = json.loads(CliRunner().invoke(planner, [*arguments, "json"]).stdout)
    assert data["schema"] == "planner.sweep/1" and len(data["cells"]) == 2


def test_two_ways_to_work_are_refused() -> None:
    with pytest.raises(PlannerError, match="give one of them"):
        sweep_sizes(QUESTION, SweepWays(n_workers=2, ray="auto"))

"""A machine written by one command and read by another, and many machines at once."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hardware.described import describe_machine
from hardware.machine_json import machine_to_json_data
from planner import api
from planner.cli.main import planner
from tests.hardware.test_fleet_kubernetes import H100_LABELS, node

MODEL = "qwen3-30b-a3b"
ONE, EIGHT = "RTX 4090, 64GiB DDR5-5600", "8x H100 SXM, 2TiB"


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "100")


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(planner, list(arguments), input=stdin, catch_exceptions=False)


def answer(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert isinstance(data, dict)
    return data


def write(file: Path, words: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(machine_to_json_data(describe_machine(words))), encoding="utf-8")
    return file


def test_what_hardware_writes_fit_reads_with_the_same_answer(tmp_path: Path) -> None:
    # Measured first, so that the rates of this machine are part of both answers.
    api.inspect(measure=True)
    file = tmp_path / "m.json"
    written = run("hardware", "--format", "json")
    assert json.loads(written.stdout)["memory_bandwidth_bytes_per_s"]["per_s"] > 0
    file.write_text(written.stdout, encoding="utf-8")
    here, there = (answer("fit", "smollm2-135m-instruct", *on) for on in ((), ("--on", str(file))))
    assert there["machine"] == "the machine of m.json"
    for one, other in zip(here["rows"], there["rows"], strict=True):
        assert one["decode"] == other["decode"]
        assert one["prefill"] == other["prefill"]
        for device, same in zip(one["devices"], other["devices"], strict=True):
            # Memory that is free changes from one moment to the next; what is needed does not.
            assert device["terms"] == same["terms"]
            assert device["capacity_bytes"] == pytest.approx(same["capacity_bytes"], rel=0.1)
    assert here["rows"][0]["decode"]["tokens_per_s"]["expected"] > 0


def test_a_described_machine_in_a_file_answers_as_its_words_do(tmp_path: Path) -> None:
    file = write(tmp_path / "box.json", ONE)
    assert answer("fit", MODEL, "--on", str(file)) == answer("fit", MODEL, "--on", ONE)


@pytest.mark.parametrize("name", ["missing.json", "bad.json"])
def test_a_file_that_is_no_machine_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    result = run("fit", MODEL, "--on", str(tmp_path / name))
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert name in line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("dgx1", "dgx2"):
        write(tmp_path / "fleet" / f"{name}.json", EIGHT)
    write(tmp_path / "fleet" / "desk.json", ONE)
    (tmp_path / "fleet" / "broken.json").write_text("{", encoding="utf-8")
    return tmp_path / "fleet"


@pytest.mark.parametrize("output_format", ["table", "md", "csv", "json"])
def test_a_folder_in_every_format(folder: Path, output_format: str) -> None:
    result = run("hardware", "--fleet", f"folder:{folder}", "--format", output_format)
    assert result.exit_code == 0, result.output
    if output_format == "json":
        data = json.loads(result.stdout)
        assert (data["schema"], data["n_machines"], data["n_usable"]) == ("planner.fleet/1", 4, 3)
        assert [group["label"] for group in data["groups"]] == [
            "2 × 8x H100 SXM5 80GB, 2.0 TiB",
            "1 × GeForce RTX 4090, 64.0 GiB",
        ]
        assert {item["name"] for item in data["machines"] if item["machine"]} == {"desk", "dgx1", "dgx2"}
    elif output_format == "csv":
        rows = list(csv.reader(io.StringIO(result.stdout)))
        assert rows[1][:2] == ["2 ×", "8x H100 SXM5 80GB"]
        assert len(rows) == 3
    else:
        assert "8x H100 SXM5 80GB" in result.stdout
        assert "broken" in result.stdout


def test_nodes_of_kubernetes_are_piped_in() -> None:
    nodes = [node(f"dgx{i}", H100_LABELS, {"nvidia.com/gpu": "8"}) for i in range(6)]
    result = run(
        "hardware", "--fleet", "-", stdin=json.dumps({"items": [*nodes, node("down", ready="False")]})
    )
    assert result.exit_code == 0, result.output
    assert "6 × 8x H100 SXM5 80GB, 2.0 TiB" in " ".join(result.stdout.split())
    assert "not ready" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fleet", "nowhere"), "write folder:PATH"),
        (("--fleet", "folder:"), "write folder:PATH"),
        (("--fleet", "folder:/no/such/folder"), "cannot read the folder"),
        (("--fleet", "-"), "not JSON"),
        (("--fleet", "ray:127.0.0.1:1"), "Ray"),
    ],
)
def test_a_fleet_that_is_none_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    result = run("hardware", *arguments, stdin="")
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert words in line


def test_measuring_a_fleet_is_wrong_usage(folder: Path) -> None:
    assert run("hardware", "--measure", "--fleet", f"folder:{folder}").exit_code == 2


def test_a_command_that_plans_with_one_machine_names_those_to_pick_from(folder: Path) -> None:
    result = run("report", MODEL, "--on", f"fleet:{folder}", "--out", str(folder / "out"))
    assert result.exit_code == 1
    line = result.stderr.strip().splitlines()[-1]
    assert "holds 2 kinds of machine" in line
    assert "dgx1 (2 × 8x H100 SXM5 80GB, 2.0 TiB)" in line
    assert not (folder / "out").exists()


def test_a_fleet_of_like_machines_stands_for_its_machine(folder: Path) -> None:
    for name in ("desk.json", "broken.json"):
        (folder / name).unlink()
    machine = api.machine_for(f"fleet:{folder}")
    assert machine.name == "2 × 8x H100 SXM5 80GB, 2.0 TiB"
    assert machine.gpus == describe_machine(EIGHT).gpus


def test_a_fleet_of_nothing_usable_says_why(folder: Path) -> None:
    for name in ("desk.json", "dgx1.json", "dgx2.json"):
        (folder / name).unlink()
    result = run("fit", MODEL, "--on", f"fleet:{folder}")
    assert result.exit_code == 1
    assert "broken.json is not JSON" in result.stderr


def test_the_fleet_answers_for_each_kind_of_machine_best_first(folder: Path) -> None:
    fleet = api.fleet_for(f"fleet:{folder}")
    assert fleet is not None
    found = api.fit_fleet(MODEL, fleet=fleet, contexts=(8192,), quants=("Q8_0",))
    # 30.5 B weights at 8.5 bits are 30.2 GiB: whole on eight H100, split on an RTX 4090 of 24 GiB.
    assert [(group.count, one.rows[0].placement.split.n_cpu_moe > 0) for group, one in found] == [
        (2, False),
        (1, True),
    ]
    catalogue = api.fit_catalogue_fleet(fleet=fleet)
    n_large, n_small = (len(one.rows) for _, one in catalogue)
    assert catalogue[0][0].count == 2
    assert n_large > n_small > 0


@pytest.mark.parametrize("output_format", ["table", "md", "csv", "json"])
@pytest.mark.parametrize(
    "model", [(MODEL, "--context", "8k", "--quant", "Q8_0"), ()], ids=["model", "catalogue"]
)
def test_fit_takes_a_fleet_in_every_format(folder: Path, model: tuple[str, ...], output_format: str) -> None:
    result = run("fit", *model, "--on", f"fleet:{folder}", "--format", output_format)
    assert result.exit_code == 0, result.output
    if output_format == "json":
        data = json.loads(result.stdout)
        assert data["schema"] == ("planner.fleet-fit/1" if model else "planner.fleet-fit-catalogue/1")
        assert [one["machines"] for one in data["answers"]] == [["dgx1", "dgx2"], ["desk"]]
        assert all(one["rows"] for one in data["answers"])
    elif output_format == "csv":
        rows = list(csv.reader(io.StringIO(result.stdout)))
        assert rows[0][0] == "machines"
        assert {row[0] for row in rows[1:]} == {"2 × 8x H100 SXM5 80GB", "1 × GeForce RTX 4090"}
    else:
        assert "2 × 8x H100 SXM5 80GB" in " ".join(result.stdout.split())
        assert "left out: broken" in " ".join(result.stdout.split())

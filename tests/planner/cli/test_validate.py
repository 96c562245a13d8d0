"""`planner validate` as a person meets it."""

import csv
import importlib.util
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import planner

LOADS = Path(__file__).parents[1] / "estimate" / "llama_cpp_rows" / "loads.csv"
SHARED = Path(os.environ.get("PLANNER_EVIDENCE", Path(__file__).parents[4] / "shared"))
TRUTH = SHARED / "truth" / "memory_llamacpp.csv"
SCORER = SHARED / "tools" / "score.py"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["validate", *arguments])


def test_it_answers_first_and_keeps_to_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = run("memory", str(LOADS))
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith("Total memory per device in 10 rows of loads.csv: llama.cpp is off by")
    assert all(len(line) <= 80 for line in found.stdout.splitlines())


def test_json_has_totals_first_and_a_row_for_every_component() -> None:
    data = json.loads(run("memory", str(LOADS), "--format", "json").stdout)
    assert data["schema"] == "planner.validate.memory/1"
    assert data["n_rows"] == 10
    first = data["rows"][0]
    assert first["component"] == "total"
    assert {"class", "n_groups", "median_error_fraction", "p90_error_fraction"} <= set(first)
    assert {row["component"] for row in data["rows"] if row["class"] == "llama.cpp"} >= {
        "weights",
        "kv",
        "compute",
    }
    kv = next(row for row in data["rows"] if (row["class"], row["component"]) == ("llama.cpp", "kv"))
    assert kv["median_error_fraction"] < 0.001
    assert {row["group"] for row in data["groups"]} >= {"qwen3moe", "llama"}


def test_no_row_is_dropped_from_the_rows_file(tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    assert run("memory", str(LOADS), "--rows", str(out)).exit_code == 0
    with out.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0])[:5] == ["row", "class", "component", "expected_bytes", "reason"]
    assert {int(line["row"]) for line in lines} == set(range(10))
    assert all(bool(line["expected_bytes"]) != bool(line["reason"]) for line in lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "is missing"),
        ("engine,engine\n", "twice"),
        ("engine,model_name\n1,2,3\n", "row 0: 3 cells for 2 columns"),
        ('engine,model_name\n"1,2\n', "row 0"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    found = run("memory", str(path))
    assert found.exit_code == 1
    assert words in found.output
    assert len(found.output.strip().splitlines()) == 1


def test_a_wrong_cell_is_named_by_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    lines = LOADS.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], lines[1], lines[2].replace(",151936,", ",many,")]) + "\n")
    found = run("memory", str(path))
    assert found.exit_code == 1
    assert "row 1: column n_vocab holds 'many'" in found.output


def test_bytes_that_are_no_text_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_bytes(b"engine\n\xff\xfe\n")
    assert "is not UTF-8 at byte 7" in run("memory", str(path)).output
    path.write_bytes(b"engine\n\x00\n")
    assert "null characters" in run("memory", str(path)).output
    assert "does not exist" in run("memory", str(tmp_path / "none.csv")).output
    assert "is a folder" in run("memory", str(tmp_path)).output
    assert run("memory", str(LOADS), "--rows", str(tmp_path / "no" / "rows.csv")).exit_code == 1


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    found = run("memori")
    assert found.exit_code == 2
    assert "Did you mean 'memory'?" in found.output


@pytest.mark.skipif(
    not (TRUTH.exists() and SCORER.exists()), reason="the table of recorded loads, or its scorer, is not here"
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_the_scorer_beside_the_table_finds_the_same(tmp_path: Path) -> None:
    """Its classes are the table's engine texts, so that of Ollama's versions it makes several."""
    out = tmp_path / "rows.csv"
    data = json.loads(run("memory", str(TRUTH), "--rows", str(out), "--format", "json").stdout)
    spec = importlib.util.spec_from_file_location("score", SCORER)
    assert spec is not None
    assert spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    theirs = scorer.memory(TRUTH, out)
    ours = {f"{row['class']} {row['component']}": row for row in data["rows"]}
    compared = 0
    for name, score in theirs.items():
        if name.startswith("ollama") or score["n"] == 0:
            continue
        assert ours[name]["n_groups"] == score["n"], name
        assert ours[name]["median_error_fraction"] == pytest.approx(score["median"], abs=1e-6), name
        assert ours[name]["p90_error_fraction"] == pytest.approx(score["p90"], abs=1e-6), name
        compared += 1
    assert compared >= 4


# Two rows of the sample in the aiconfigurator-core wheel (Apache-2.0), and one that names no model.
LATENCIES = """\
mode,backend,model_path,system,precision,isl,osl,batch_size,tp_size,silicon_ttft_ms,silicon_tpot_ms
agg,vllm,meta-llama/Llama-3.1-70B,b200_sxm,fp8,1024,1024,8,4,108.9,8.18
agg,vllm,meta-llama/Llama-3.1-70B,b200_sxm,fp8,1024,1024,64,2,294.3,15.89
agg,vllm,nobody/nothing,b200_sxm,fp8,1024,1024,64,2,76,8.6
"""


def test_speeds_are_scored_with_their_intervals_and_no_row_is_dropped(tmp_path: Path) -> None:
    file, rows = tmp_path / "latencies.csv", tmp_path / "rows.csv"
    file.write_text(LATENCIES)
    found = run("speed", str(file), "--rows", str(rows), "--format", "json")
    assert found.exit_code == 0, found.output
    data = json.loads(found.stdout)
    assert [score["class"] for score in data["rows"]] == ["tpot", "ttft"]
    for score in data["rows"]:
        assert score["n_groups"] == 1
        assert score["median_error_fraction"] < 1
        assert score["median_width_ratio"] > 1
        assert 0 <= score["coverage_fraction"] <= 1
    assert (data["n_rows"], data["n_placed"]) == (3, 2)
    written = list(csv.DictReader(rows.read_text().splitlines()))
    assert [line["row"] for line in written] == ["0", "0", "1", "1", "2"]
    assert written[-1]["expected"] == ""
    assert written[-1]["reason"] == "the model 'nobody/nothing' is not in the catalogue"


def test_a_table_of_something_else_is_told_what_speeds_look_like(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("model,price\na,1\n")
    found = run("speed", str(file))
    assert found.exit_code == 1
    assert "has none of the formats that are read" in found.stderr


@pytest.mark.skipif(not SCORER.exists(), reason="the scorer and its table are not beside the project")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_the_scorer_finds_the_same_speeds(tmp_path: Path) -> None:
    latencies = SHARED / "truth" / "serving_latency.csv"
    rows = tmp_path / "rows.csv"
    data = json.loads(
        run("speed", str(latencies), "--rows", str(rows), "--hold-out", "none", "--format", "json").stdout
    )
    spec = importlib.util.spec_from_file_location("score", SCORER)
    assert spec is not None and spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    theirs, placed, _ = scorer.speed(latencies, rows)
    assert placed == pytest.approx(data["n_placed"] / data["n_rows"])
    for score in data["rows"]:
        other = theirs[score["class"]]
        assert score["n_groups"] == other["n"]
        # Written with six digits.
        assert score["median_error_fraction"] == pytest.approx(other["median"], abs=1e-4)
        assert score["p90_error_fraction"] == pytest.approx(other["p90"], abs=1e-4)
        assert score["coverage_fraction"] == pytest.approx(other["cover"], abs=1e-3)

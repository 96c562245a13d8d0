"""Reports of `planner compare`: made again from what was kept, held against earlier ones, hostile names included."""

import csv
import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from planner.cli.costs_files import costs_files
from planner.cli.main import planner
from planner.errors import MalformedError
from planner.report.costs.saved import saved_report

QUESTION = (
    "compare", "llama-3.3-70b-instruct", "--on", "4x H100 SXM", "--workload", "chat", "--set", "tasks_per_s=3(2-4)",
    "--set", "tasks_per_month=1500000", "--cases", "300", "--at", "2026-11-20",
)  # fmt: skip
SLY = "<script>alert(1)</script>\"'&=cmd()|!A0"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(planner, arguments)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    code, _, error = run(*QUESTION, "--out", str(out))
    assert code == 0, error
    return out


def test_all_files_are_made_again_from_the_json_alone(folder: Path, tmp_path: Path) -> None:
    code, _, _ = run("report", "--from", str(folder / "compare.json"), "--out", str(tmp_path))
    assert code == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["compare.csv", "compare.html", "compare.json", "compare.md"]
    for name in names:
        assert (tmp_path / name).read_text() == (folder / name).read_text(), name


def test_the_page_is_small_and_asks_for_nothing(folder: Path) -> None:
    page = (folder / "compare.html").read_text()
    assert len(page) < 2_000_000 and "<script" not in page
    assert "default-src 'none'" in page
    assert page.count("<svg") == 3


def test_the_kept_command_makes_the_same_comparison(folder: Path, tmp_path: Path) -> None:
    kept = json.loads((folder / "compare.json").read_text())
    program, *words = shlex.split(kept["command"])
    assert program == "planner" and "--out" not in words
    assert run(*words, "--out", str(tmp_path))[0] == 0
    again = json.loads((tmp_path / "compare.json").read_text())
    assert again["data"] == kept["data"] and again["command"] == kept["command"]


def test_what_changed_since_is_said(folder: Path) -> None:
    arguments = [word.replace("tasks_per_month=1500000", "tasks_per_month=3000000") for word in QUESTION]
    code, out, error = run(*arguments, "--diff", str(folder / "compare.json"), "--format", "json")
    assert code == 0, error
    changes = {one["path"]: one for one in json.loads(out)["changes"]}
    # Twice the tasks are twice the tokens.
    assert changes["data.tokens_per_month"]["relative"] == pytest.approx(1.0)
    kept = str(folder / "compare.json")
    assert "Nothing changed" in run("report", "--from", kept, "--diff", kept)[1]


def _sly(value: Any) -> Any:
    """The same data with every name that comes from outside hostile."""
    if isinstance(value, dict):
        return {key: SLY + str(inner) if key in ("name", "provider", "model", "title", "reason") else _sly(inner) for key, inner in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [_sly(inner) for inner in value]
    return value


def test_hostile_names_change_nothing(folder: Path) -> None:
    kept = json.loads((folder / "compare.json").read_text())
    hostile = _sly(kept)
    for table in hostile["tables"]:
        table["rows"] = [[SLY, *row[1:]] for row in table["rows"]]
    hostile["answer"] = [SLY]
    files = costs_files(hostile)
    assert "<script" not in files["compare.html"] and "<script" not in files["compare.md"]
    assert files["compare.html"].count("<table") == (folder / "compare.html").read_text().count("<table")
    cells = [cell for row in csv.reader(io.StringIO(files["compare.csv"])) for cell in row]
    assert any("alert(1)" in cell for cell in cells)
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "planner.fit/1"}, "is no report of"),
        ({"answer": [1]}, "no whole report"),
        (
            {"tables": [{"title": "x", "headers": ["a"], "rows": [["b", "c"]], "right": []}]},
            "no whole report",
        ),
        ({"curves": ["x"]}, "no whole report"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(folder: Path, change: dict[str, Any], message: str) -> None:
    kept = json.loads((folder / "compare.json").read_text())
    with pytest.raises(MalformedError, match=message) as caught:
        saved_report(kept | change, "file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["load", "options", "duels", "workload", "n_months"])
def test_a_report_that_lacks_what_its_page_needs_is_refused(folder: Path, path: str) -> None:
    kept = json.loads((folder / "compare.json").read_text())
    del kept["data"][path]
    with pytest.raises(MalformedError, match="no whole report"):
        costs_files(kept)

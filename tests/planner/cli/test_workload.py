"""`planner workload` on the command line."""

import json
from pathlib import Path

from click.testing import CliRunner

from planner import api
from planner.cli.main import planner


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(planner, ["workload", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_the_presets_are_listed() -> None:
    data = json.loads(run("list", "--format", "json"))
    assert [one["name"] for one in data["workloads"]] == list(api.workload_names())


def test_one_is_shown_with_sources_and_totals() -> None:
    text = " ".join(run("show", "coding-agent").split())
    assert "A task takes 7.8 calls" in text
    assert "github.com/Azure/AzurePubli" in text
    data = json.loads(run("show", "chat", "--rps", "2", "--format", "json"))
    assert data["figures"]["traffic.tasks_per_s"] == "2"
    assert data["month_tokens"]["output"] > 1e9
    assert data["peak_calls_per_s"] > 2


def test_a_log_becomes_a_file_that_other_commands_take(tmp_path: Path) -> None:
    log, out = tmp_path / "log.csv", tmp_path / "mine.toml"
    rows = "".join(f"{index * 0.5},{100 + index % 7},{20 + index % 3}\n" for index in range(200))
    log.write_text(f"arrival_s,n_prompt_tokens,n_output_tokens\n{rows}", encoding="utf-8")
    assert "Written to" in run("learn", str(log), "--out", str(out))
    assert api.workload_for(str(out)).traffic.tasks_per_s == 2.0
    assert "exists already" in run("learn", str(log), "--out", str(out), status=1)
    assert "Nothing was written" in run("learn", str(log))


def test_a_workload_is_named_once() -> None:
    assert "give one" in run("show", "chat", "--workload", "rag", status=2)
    assert "did you mean chat?" in run("show", "chta", status=1)

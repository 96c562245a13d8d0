"""`planner cost` from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import planner
from tests.planner.readers.evaluations.test_evaluations import INSPECT
from tests.planner.readers.test_pipeline_file import GOOD


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["cost", *arguments])


def data(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def test_the_levers_of_a_day_span_the_articles_range() -> None:
    found = data("levers", "--at", "2026-11-14")
    assert len(found["settings"]) == 16
    assert all(setting["usd"] is not None for setting in found["settings"])
    # 8 · (200,000 · 30 + 4,300 · 180) over 2,000 · 0.1 + 300 · 0.4, all in millionths: 54.19 / 0.00032.
    assert found["ratio"] == pytest.approx(54.192 / 0.00032, rel=0.01)
    assert 10_000 < found["ratio"] < 1_000_000


def test_an_agent_under_a_limit() -> None:
    asked = ("agent", "--workload", "coding-agent", "--api", "google/gemini-2.5-flash-lite")
    free, limited = data(*asked)["apis"][0], data(*asked, "--spend-limit", "0.01")["apis"][0]
    assert limited["mean_usd"] < free["mean_usd"]
    assert limited["stopped_fraction"] > 0
    assert limited["worst_usd"] < free["worst_usd"]


def test_a_pipeline_is_the_sum_of_its_terms(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text(GOOD)
    found = data("pipeline", str(path))
    assert found["calls_per_task"] == {"router": 1.0, "worker": 0.8}
    (choice,) = found["choices"]
    assert sum(term["usd"] for term in choice["terms"]) == pytest.approx(choice["usd_per_month"])
    assert [stage["kind"] for stage in choice["stages"]] == ["api", "own"]
    shown = run("pipeline", str(path), "--explain")
    assert "worker: loss of value" in shown.output


def test_solved_tasks_from_a_log_and_own_rows(tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    log.write_text(json.dumps(INSPECT))
    found = data("solved", str(log), "--minutes", "10", "--wage", "60", "--at", "2026-11-14")
    (cost,) = found["costs"]
    # gpt-4o-mini at 0.15 / 0.60: 100 · 0.15 + 20 · 0.60 = 27 millionths an attempt, four of them; half a task of 10.00 to repair.
    assert cost["usd_per_attempt"] == pytest.approx(27e-6)
    assert cost["usd_per_solved"] == pytest.approx((4 * 27e-6 + 0.5 * 10) / 1.5)


def test_the_dearer_model_and_its_wage(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("model,n_tasks,n_solved,usd,minutes\ncheap,100,80,0.01,10\ndear,100,90,0.20,10\n")
    result = run("solved", str(rows), "--wage", "60")
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert (
        "dear pays against cheap at $60.00 an hour and 10 minutes a failure: the break-even wage is $9.06"
        in text
    )


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ("model,n_tasks,n_solved\na,10,5\n", ("--minutes", "5"), "--usd 'a=0.002'"),
        ("model,n_tasks,n_solved,usd\na,10,5,0.1\n", (), "--minutes"),
        (
            "model,n_tasks,n_solved,prompt_tokens,output_tokens\na,10,5,10,10\n",
            ("--minutes", "5"),
            "--price-as",
        ),
        ("model,n_tasks\na,10\n", ("--minutes", "5"), "n_solved"),
    ],
)
def test_what_is_missing_is_asked_for(tmp_path: Path, rows: str, options: tuple[str, ...], says: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(rows)
    result = run("solved", str(path), *options)
    assert result.exit_code == 1, result.output
    assert says in result.output

"""The page on what one answer costs: its chart and its words, and hostile names in it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner

from planner.api.cost_questions import cost_levers
from planner.cli.main import planner
from planner.compare.levers import Levers
from planner.report.costs.levers_chart import levers_chart
from planner.report.costs.levers_page import levers_page
from tests.planner.report.reports import SLY

FOUND: Levers = cost_levers((), at=datetime(2026, 11, 14, 12, tzinfo=UTC))


def test_the_chart_has_a_mark_for_each_setting_and_says_the_range() -> None:
    chart = levers_chart([{"model": "a/b", "n_samples": 1, "thinking_tokens": 0, "context_tokens": 2000, "usd": 0.001},
                          {"model": "c/d", "n_samples": 8, "thinking_tokens": 4000, "context_tokens": 200_000, "usd": 10.0},
                          {"model": "e/f", "n_samples": 8, "thinking_tokens": 0, "context_tokens": 9, "usd": None}])  # fmt: skip
    assert chart is not None
    # The third has no cost and no mark; the dearest is ten thousand times the cheapest.
    assert "2 settings from a/b, 1×, 0 thinking, 2k in at $0.001" in chart.description
    assert "10,000 times as much" in chart.description
    assert levers_chart([]) is None


def test_the_page_says_the_article_s_range() -> None:
    page = levers_page(FOUND, command="planner cost levers", planner_version="0")
    # The article: cost varies 10,000 to 1,000,000 times over the architectural choices.
    assert FOUND.ratio is not None and 10_000 < FOUND.ratio < 1_000_000
    assert f"{FOUND.ratio:,.0f}" in page and page.count("<svg") == 1 and "<script" not in page


def test_a_hostile_model_is_text() -> None:
    sly = tuple(replace(one, price=replace(one.price, provider=SLY, model_id=SLY)) for one in FOUND.settings)
    page = levers_page(replace(FOUND, settings=sly), command=SLY, planner_version="0")
    assert "<script" not in page and "<b>" not in page


def test_the_command_writes_the_page_and_how_to_make_it_again(tmp_path: Path) -> None:
    result = CliRunner().invoke(planner, ["cost", "levers", "--at", "2026-11-14", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "levers.html").read_text()
    assert "planner cost levers --at 2026-11-14" in page

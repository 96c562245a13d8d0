"""The page on own machines against APIs in a real browser: at a desk, on a telephone, on paper; hostile names included."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from planner.cli.costs_files import costs_files
from planner.cli.main import planner
from tests.planner.report.reports import SLY
from tests.planner.report.test_browser import browser, complaints, measured, run

pytestmark = pytest.mark.browser

__all__ = ["browser"]  # a fixture of the other file


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("kept")
    arguments = (
        "compare", "llama-3.1-8b-instruct", "--on", "RTX 4090, 64GiB", "--workload", "chat", "--rps", "0.3", "--cases", "200",
        "--out", str(folder),
    )  # fmt: skip
    result = CliRunner().invoke(planner, arguments)
    assert result.exit_code == 0, result.stderr
    data: dict[str, Any] = json.loads((folder / "compare.json").read_text())
    return data


def page_of(kept: dict[str, Any], *, hostile: bool) -> str:
    if hostile:
        kept = json.loads(json.dumps(kept))
        kept["title"] = kept["answer"][0] = SLY
        for option in kept["data"]["options"]:
            option["name"] = SLY
        for curve in kept["curves"]:
            curve["name"] = SLY
        for table in kept["tables"]:
            table["rows"] = [[SLY, *row[1:]] for row in table["rows"]]
    return costs_files(kept)["compare.html"]


@pytest.mark.parametrize("hostile", [False, True], ids=["plain", "hostile"])
def test_it_renders_from_disk_without_complaint(
    hostile: bool, kept: dict[str, Any], browser: str, tmp_path: Path
) -> None:
    done = run(browser, tmp_path, page_of(kept, hostile=hostile), "--dump-dom")
    assert complaints(done) == []
    assert done.stdout.count("<h1>") == 1 and done.stdout.count("<svg") == 3
    assert "<script" not in done.stdout and "<b>" not in done.stdout


@pytest.mark.parametrize("hostile", [False, True], ids=["plain", "hostile"])
@pytest.mark.parametrize("width_px", [360, 1200])
def test_no_width_makes_the_page_scroll_sideways(
    width_px: int, hostile: bool, kept: dict[str, Any], browser: str, tmp_path: Path
) -> None:
    found = measured(browser, tmp_path, page_of(kept, hostile=hostile), width_px)
    assert found["scroll_width_px"] == width_px
    assert found["chart_px"] > 500


def test_it_prints(kept: dict[str, Any], browser: str, tmp_path: Path) -> None:
    pdf = tmp_path / "report.pdf"
    run(browser, tmp_path, page_of(kept, hostile=False), f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    assert pdf.read_bytes().startswith(b"%PDF")

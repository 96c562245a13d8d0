"""The page in a real browser: it renders from disk, obeys its own policy, follows dark mode, and prints.

Run with Chromium or Chrome in the path; skipped without one. Where something has to be measured, a copy of the
page is put into a frame of a page of ours, since the page itself allows no script.
"""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from planner.report.html import render_html
from tests.planner.report.reports import SLY, cpu_report, gpu_report, hostile_report

pytestmark = pytest.mark.browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr",
)  # fmt: skip
_DARK = "--blink-settings=preferredColorScheme=0"
_DARK_PAPER, _LIGHT_PAPER = (18, 23, 29), (255, 255, 255)  # --paper in report.css
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"there is no browser: none of {', '.join(_NAMES)} is in the path")
    return found


def run(browser: str, tmp_path: Path, page: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The browser on a page from disk, with a profile of its own."""
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [browser, *_QUIET, f"--user-data-dir={tmp_path / 'profile'}", *options, file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the page's console said: errors of scripts, refusals of the policy, things not found."""
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def measured(browser: str, tmp_path: Path, page: str, width_px: int, *options: str) -> dict[str, Any]:
    """Sizes and colours of the page in a frame of a width."""
    frame = html.escape(_POLICY.sub("", page), quote=True)
    script = """
    const frame = document.querySelector("iframe");
    frame.onload = () => {
      const page = frame.contentDocument, colour = (found) => frame.contentWindow.getComputedStyle(found);
      document.body.dataset.found = JSON.stringify({
        scroll_width_px: page.documentElement.scrollWidth,
        background: colour(page.body).backgroundColor,
        chart_text: colour(page.querySelector("svg text")).fill,
        chart_font: colour(page.querySelector("svg text")).fontFamily,
        body_font: colour(page.body).fontFamily,
        chart_px: page.querySelector("svg").getBoundingClientRect().width,
      });
    };
    """
    # The frame has to be there before the script looks for it.
    sized = f'width="{width_px}" height="800" style="border: 0"'
    outer = f'<!doctype html><body><iframe {sized} srcdoc="{frame}"></iframe><script>{script}</script>'
    done = run(browser, tmp_path, outer, "--dump-dom", "--virtual-time-budget=3000", *options)
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    assert found is not None, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result


def test_complaints_are_seen(browser: str, tmp_path: Path) -> None:
    # The other tests trust an empty list; here the policy refuses a script, and that must show.
    refused = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\"><script>1</script>"
    assert any(
        "Content Security Policy" in line
        for line in complaints(run(browser, tmp_path, refused, "--dump-dom"))
    )


@pytest.mark.parametrize("report", [cpu_report(), gpu_report(), hostile_report(), hostile_report(SLY)])
def test_it_renders_from_disk_without_complaint(report: Any, browser: str, tmp_path: Path) -> None:
    done = run(browser, tmp_path, render_html(report), "--dump-dom")
    assert complaints(done) == []
    # What the browser understood: one page, its charts drawn as SVG, and no element that a name brought in.
    assert done.stdout.count("<h1>") == 1 and done.stdout.count("<svg") == 3
    assert "<script" not in done.stdout and "<b>" not in done.stdout
    assert "Show the workings" in done.stdout


@pytest.mark.parametrize(
    ("options", "paper"), [((), _LIGHT_PAPER), ((_DARK,), _DARK_PAPER)], ids=["light", "dark"]
)
def test_it_follows_the_reader_s_colours(
    options: tuple[str, ...], paper: tuple[int, int, int], browser: str, tmp_path: Path
) -> None:
    from PIL import Image

    shot = tmp_path / "shot.png"
    run(
        browser,
        tmp_path,
        render_html(cpu_report()),
        f"--screenshot={shot}",
        "--window-size=1000,1600",
        *options,
    )
    with Image.open(shot) as image:
        pixels = image.convert("RGB")
        assert pixels.getpixel((2, 2)) == paper
        assert len(pixels.getcolors(1000 * 1600) or ()) > 50  # text and charts, not a blank sheet
    found = measured(browser, tmp_path, render_html(cpu_report()), 1000, *options)
    assert found["background"] == f"rgb({paper[0]}, {paper[1]}, {paper[2]})"
    # Letters in a chart stand out from the paper, in the page's own font.
    ink = [int(part) for part in re.findall(r"\d+", found["chart_text"])[:3]]
    assert abs(sum(ink) - sum(paper)) > 400
    assert found["chart_font"] == found["body_font"]


@pytest.mark.parametrize("report", [cpu_report(), gpu_report(), hostile_report()])
def test_a_narrow_screen_scrolls_tables_and_not_the_page(report: Any, browser: str, tmp_path: Path) -> None:
    found = measured(browser, tmp_path, render_html(report), 360)
    assert found["scroll_width_px"] == 360
    assert found["chart_px"] > 500  # a chart keeps a legible size inside its own box


def test_it_prints_with_its_workings(browser: str, tmp_path: Path) -> None:
    pdf = tmp_path / "report.pdf"
    # Paper is light whatever the screen is.
    run(
        browser, tmp_path, render_html(cpu_report()), f"--print-to-pdf={pdf}", "--no-pdf-header-footer", _DARK
    )
    assert pdf.read_bytes().startswith(b"%PDF")
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("printed; what is on the paper was not read, since pdftotext is not installed")
    text = subprocess.run([reader, "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    assert "fits in RAM" in text
    assert "Terms at 8,192 tokens of context" in text  # folded on the screen
    assert "Show the workings" not in text

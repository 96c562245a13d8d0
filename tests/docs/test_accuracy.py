"""docs/accuracy.md promises no more than what the tables of recorded loads, where they are, give now."""

import re
from pathlib import Path

import pytest

from docs import examples
from planner.cli import accuracy

PAGE = examples.ROOT / "docs" / "accuracy.md"
_LEEWAY = (
    0.005  # half a percentage point: rules are being improved while the page is not written anew each time
)


def score_rows(text: str) -> dict[tuple[str, str], tuple[int, float | None, float | None]]:
    """Engine and component to groups, median and 90th percentile, of every table of scores on the page."""
    found = {}
    for table in re.findall(r"### Scores\n\n((?:\|.*\n)+)", text):
        for line in table.splitlines()[2:]:
            cells = [cell.strip().replace("\\", "") for cell in line.strip("|").split("|")]
            percents = [None if c == "–" else float(c.rstrip("%")) / 100 for c in cells[5:7]]
            found[cells[0], cells[1]] = (int(cells[2]), percents[0], percents[1])
    return found


def test_without_the_tables_the_page_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "accuracy.md"
    page.write_text("kept")
    accuracy.main([str(page), str(tmp_path)])
    assert page.read_text() == "kept"
    assert "stays as it is" in capsys.readouterr().out


def test_the_page_has_every_section() -> None:
    found = score_rows(PAGE.read_text(encoding="utf-8"))
    assert {engine for engine, _ in found} >= {"llama.cpp", "ik_llama.cpp", "ollama", "vllm", "sglang"}


@pytest.mark.skipif(
    not accuracy.evidence_folder().is_dir(), reason="the tables of recorded loads are not here"
)
def test_the_page_promises_no_more_than_holds() -> None:
    fresh = accuracy.page(accuracy.evidence_folder())
    assert fresh is not None
    now = score_rows(fresh)
    for key, (n_groups, *stated) in score_rows(PAGE.read_text(encoding="utf-8")).items():
        assert key in now, f"{key} is on the page and not scored any more; run `make docs`"
        assert now[key][0] >= n_groups
        for said, holds in zip(stated, now[key][1:], strict=True):
            if said is not None:
                assert holds is not None
                assert holds <= said + max(_LEEWAY, said / 10), f"{key} got worse, or run `make docs`"

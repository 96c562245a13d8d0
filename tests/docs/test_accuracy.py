"""docs/accuracy.md promises no more than what the tables of recorded loads, where they are, give now."""

import re
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner

from docs import examples
from planner.api.llama_cpp_factors import SCORES_FILE
from planner.cli import accuracy
from profiles.loader import calibration_rows

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


def test_without_the_tables_memory_stays_and_speed_is_written(tmp_path: Path) -> None:
    page = tmp_path / "accuracy.md"
    page.write_text("# Kept\n\nmemory\n\n## Speed: of old\n\nold figures\n")
    result = CliRunner().invoke(accuracy.command, [str(page), str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "stay as they are" in result.output
    written = page.read_text(encoding="utf-8")
    assert written.startswith("# Kept\n\nmemory\n\n## Speed: llama.cpp")
    assert "old figures" not in written
    # The page as it is now is left alone by a second run.
    assert CliRunner().invoke(accuracy.command, [str(page), str(tmp_path)]).exit_code == 0
    assert page.read_text(encoding="utf-8") == written


def test_scores_cannot_be_made_without_their_tables(tmp_path: Path) -> None:
    page = tmp_path / "accuracy.md"
    result = CliRunner().invoke(accuracy.command, [str(page), str(tmp_path), "--scores", str(tmp_path)])
    assert result.exit_code == 1
    assert "throughput_llamacpp.csv is missing" in result.output
    assert not page.exists()


def test_the_page_has_every_section() -> None:
    found = score_rows(PAGE.read_text(encoding="utf-8"))
    assert {engine for engine, _ in found} >= {"llama.cpp", "ik_llama.cpp", "ollama", "vllm", "sglang"}


def test_speeds_on_the_page_are_those_of_the_scores_that_are_kept() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for section in accuracy.speed_sections():
        assert section in text, f"{section.splitlines()[0]!r} of docs/accuracy.md is stale; run `make docs`"


def test_the_headline_of_the_page_follows_from_its_groups() -> None:
    # Of each class the median of groups' errors: the table is put together from the same rows by hand here.
    rows = calibration_rows(SCORES_FILE)
    errors = [float(row["median_error"] or "") for row in rows
              if (row["held_out"], row["speed_class"]) == ("cell", "dense_decode")]  # fmt: skip
    line = f"| decode, dense | {len(errors)} |"
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert line in text
    after = text.split(line)[1].split("|")
    assert after[1].strip() == f"{statistics.median(errors):.1%}"


@pytest.mark.skipif(
    not accuracy.evidence_folder().is_dir(), reason="the tables of recorded loads are not here"
)
def test_the_page_promises_no_more_than_holds() -> None:
    now = score_rows(accuracy.page(accuracy.evidence_folder()))
    for key, (n_groups, *stated) in score_rows(PAGE.read_text(encoding="utf-8")).items():
        assert key in now, f"{key} is on the page and not scored any more; run `make docs`"
        assert now[key][0] >= n_groups
        for said, holds in zip(stated, now[key][1:], strict=True):
            if said is not None:
                assert holds is not None
                assert holds <= said + max(_LEEWAY, said / 10), f"{key} got worse, or run `make docs`"

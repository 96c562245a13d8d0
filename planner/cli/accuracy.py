"""Writes docs/accuracy.md: `python -m planner.cli.accuracy docs/accuracy.md [FOLDER] [--scores FOLDER]`.

The sections on memory are made from tables of recorded loads (memory_llamacpp.csv, memory_vllm.csv), evidence that lies
beside the checkout, in the folder that PLANNER_EVIDENCE names or else in ../shared; without them those sections are
left as they are. The sections on speed are made from the scores that stand in the calibrations; with --scores, these are
first made anew by what `planner validate speed` calls, from tables in the same folder, which takes minutes.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from planner.api.llama_cpp_factors import NOISE_FILE, SCORES_FILE
from planner.api.serving_simulation_scores import SCORES_FILE as SIMULATION_SCORES_FILE
from planner.api.speed_scores import write_scores
from planner.api.validating import validate_memory
from planner.cli.options import mendable_errors
from planner.cli.progress import patient_progress
from planner.cli.render import as_markdown
from planner.estimate.speed_score_table import scores_from
from planner.estimate.speed_validation import Part
from planner.progress import Progress
from planner.report.accuracy_page import INTRODUCTION, LOADS, SERVED, Compared, section_document
from planner.report.simulation_accuracy import simulation_text
from planner.report.speed_accuracy import (
    LLAMA_CPP,
    SERVING,
    WEAK,
    SpeedSection,
    missed_goals,
    speed_section_document,
)
from profiles.loader import calibration_rows

SERVING_SCORES_FILE: Final = "serving_scores"
_MEMORY: Final = (
    ("memory_llamacpp.csv", "Memory: llama.cpp, ik_llama.cpp and Ollama", LOADS),
    ("memory_vllm.csv", "Memory: vLLM and SGLang", SERVED),
)
_PARTS: Final[tuple[tuple[str, Part], ...]] = (("device", "device"), ("model", "model"), ("cell", "engine"))
_SPEED_STARTS: Final = re.compile(r"^## (?:Speed|Where speeds)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A table of measured speeds, and the scores that are kept of it."""

    table: str
    scores: str


SCORED: Final = (
    Scored(table="throughput_llamacpp.csv", scores=SCORES_FILE),
    Scored(table="serving_latency.csv", scores=SERVING_SCORES_FILE),
)


def evidence_folder() -> Path:
    """Where tables of measurements lie beside the checkout."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    return Path(os.environ.get("PLANNER_EVIDENCE", beside)) / "truth"


def page(folder: Path, before: str = "", progress: Progress | None = None) -> str:
    """The page's text; `before` is the page as it was, whose sections on memory stay where tables are missing."""
    if all((folder / name).is_file() for name, _, _ in _MEMORY):
        memory = "\n\n".join([INTRODUCTION.rstrip(), *_memory_sections(folder, progress)])
    else:
        memory = _SPEED_STARTS.split(before)[0].rstrip() or INTRODUCTION.rstrip()
    return "\n\n".join([memory, *speed_sections()]) + "\n"


def _memory_sections(folder: Path, progress: Progress | None) -> Iterator[str]:
    for number, (name, title, text) in enumerate(_MEMORY):
        if progress is not None:
            progress(number / len(_MEMORY), title)
        found = validate_memory(folder / name)
        compared = Compared(
            title=title, text=text, n_rows=found.n_rows, predictions=found.predictions, scores=found.scores,
            group_scores=found.group_scores,
        )  # fmt: skip
        head, _, tables = as_markdown(section_document(compared)).partition("\n\n### ")
        yield from (head, text.rstrip(), f"### {tables}")


def speed_sections() -> Iterator[str]:
    """Every section on speed, from the scores that stand in the calibrations, and what is missed."""
    sections = [_llama_cpp(), _serving()]
    for section in sections:
        head, _, tables = as_markdown(speed_section_document(section)).partition("\n\n### ")
        yield from (head, section.text.rstrip(), f"### {tables}")
    yield f"{WEAK.rstrip()}\n\n{missed_goals(sections)}"


def _llama_cpp() -> SpeedSection:
    rows = calibration_rows(SCORES_FILE)
    noise = calibration_rows(NOISE_FILE)
    placed, of_all = int(noise[0]["n_placed"] or 0), int(noise[0]["n_in_file"] or 0)
    return SpeedSection(
        title="Speed: llama.cpp and ik_llama.cpp",
        text=LLAMA_CPP,
        answer=f"{placed:,} of {of_all:,} rows were placed ({placed / of_all:.1%}); scored on {rows[0]['date']}.",
        scores=scores_from(rows),
        noise={
            row["id"] or "": (float(row["median"]), int(row["n_tests"] or 0))
            for row in noise
            if row["median"]
        },
        parts=_PARTS,
    )


def _serving() -> SpeedSection:
    rows = calibration_rows(SERVING_SCORES_FILE)
    scores = scores_from(rows)
    n_rows = sum(score.n_predictions for score in scores["cell"] if score.speed_class == "tpot")
    return SpeedSection(
        title="Speed: vLLM, SGLang and TensorRT-LLM",
        text=f"{SERVING.rstrip()}\n\n{simulation_text(calibration_rows(SIMULATION_SCORES_FILE))}",
        answer=f"{n_rows:,} loads were predicted; scored on {rows[0]['date']}.",
        scores=scores,
        noise=None,
        parts=_PARTS,
    )


@click.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option(
    "--scores", type=click.Path(path_type=Path, file_okay=False), default=None,
    help="Make the scores of speeds anew, into this folder of calibrations.",
)  # fmt: skip
@mendable_errors
def command(target: Path, folder: Path | None, scores: Path | None) -> None:
    """Write the page, and say what of it stays as it was."""
    evidence = folder or evidence_folder()
    if scores is not None:
        _make_scores(evidence, scores)
    before = target.read_text(encoding="utf-8") if target.is_file() else ""
    with patient_progress("Page") as progress:
        text = page(evidence, before, progress)
    if not all((evidence / name).is_file() for name, _, _ in _MEMORY):
        click.echo(f"The sections on memory stay as they are: {evidence} has no tables of recorded loads")
    target.write_text(text, encoding="utf-8")


def _make_scores(evidence: Path, into: Path) -> None:
    for one in SCORED:
        if not (evidence / one.table).is_file():
            raise click.ClickException(f"{evidence / one.table} is missing; scores are made from it")
        with patient_progress(one.table) as progress:
            write_scores(evidence / one.table, into / f"{one.scores}.csv", progress)


if __name__ == "__main__":
    command()

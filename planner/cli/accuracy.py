"""Writes docs/accuracy.md from tables of recorded loads: `python -m planner.cli.accuracy docs/accuracy.md [FOLDER]`.

The tables (memory_llamacpp.csv, memory_vllm.csv) are evidence that lies beside the checkout, in the folder that
PLANNER_EVIDENCE names or else in ../shared; without them the page is left as it is.
"""

import os
import sys
from pathlib import Path

import click

from planner.api.llama_cpp_factors import SCORES_FILE
from planner.api.validating import validate_memory
from planner.cli.render import as_markdown
from planner.report.accuracy_page import INTRODUCTION, LOADS, SERVED, Compared, section_document
from planner.report.speed_accuracy import speed_section
from profiles.loader import calibration_rows

_MEMORY = (
    ("memory_llamacpp.csv", "Memory: llama.cpp, ik_llama.cpp and Ollama", LOADS),
    ("memory_vllm.csv", "Memory: vLLM and SGLang", SERVED),
)


def evidence_folder() -> Path:
    """Where tables of measurements lie beside the checkout."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    return Path(os.environ.get("PLANNER_EVIDENCE", beside)) / "truth"


def page(folder: Path) -> str | None:
    """The page's text; None where a table is missing."""
    if not all((folder / name).is_file() for name, _, _ in _MEMORY):
        return None
    parts = [INTRODUCTION.rstrip()]
    for name, title, text in _MEMORY:
        found = validate_memory(folder / name)
        compared = Compared(
            title=title, text=text, n_rows=found.n_rows, predictions=found.predictions, scores=found.scores,
            group_scores=found.group_scores,
        )  # fmt: skip
        head, _, tables = as_markdown(section_document(compared)).partition("\n\n### ")
        parts += [head, text.rstrip(), f"### {tables}"]
    parts.append(speed_section(calibration_rows(SCORES_FILE)))
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str]) -> None:
    """Writes the page, or says why it stays as it is."""
    target = Path(arguments[0])
    folder = Path(arguments[1]) if len(arguments) > 1 else evidence_folder()
    text = page(folder)
    if text is None:
        click.echo(f"{target} stays as it is: {folder} has no tables of recorded loads")
        return
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

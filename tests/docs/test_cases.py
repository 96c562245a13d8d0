"""The worked cases: what their page says in bold is what the commands say."""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from planner.cli.main import planner

PAGE = (Path(__file__).parents[2] / "docs" / "cases.md").read_text(encoding="utf-8")
VERDICTS = {"Stay on the API": "api", "Take own machines": "own", "Take both": "hybrid"}


def cases() -> list[tuple[str, str]]:
    """Title and text of each case."""
    starts = [*re.finditer(r"^## (.+)$", PAGE, re.MULTILINE)]
    ends = [found.start() for found in starts[1:]] + [len(PAGE)]
    return [(found[1], PAGE[found.end() : end]) for found, end in zip(starts, ends, strict=True)]


def commands(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(r"^\$ planner (.+)$", text, re.MULTILINE)]


def answer(words: list[str]) -> dict[str, Any]:
    """What a command says, as data."""
    result = CliRunner().invoke(planner, [*words, "--format", "json"])
    assert result.exit_code == 0, result.stderr
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def test_there_are_three_and_each_says_its_answer_and_its_probability() -> None:
    assert len(cases()) == 3
    for _, text in cases():
        assert (
            re.search(r"\*\*(Stay|Take)[^*]+\*\*", text)
            and "**Probability" in text
            and "What decides it" in text
        )


COMPARED = [
    (title, text) for title, text in cases() if any(words[0] == "compare" for words in commands(text))
]


@pytest.mark.parametrize(("title", "text"), COMPARED, ids=[title for title, _ in COMPARED])
def test_the_answer_in_bold_is_that_of_the_command(title: str, text: str) -> None:
    first = next(words for words in commands(text) if words[0] == "compare")
    found = answer(first)
    (said,) = [verdict for words, verdict in VERDICTS.items() if f"**{words}.**" in text]
    assert found["verdict"] == said, title
    below = re.search(r"\*\*Probability that owning is cheaper: under (\d+) %\.\*\*", text)
    above = re.search(r"\*\*Probability that owning is cheaper: over (\d+) %\.\*\*", text)
    probability = max(duel["risk"]["probability_own_cheaper"] for duel in found["duels"])
    assert (below is None) != (above is None)
    if below is not None:
        assert probability < int(below[1]) / 100
    if above is not None:
        assert probability > int(above[1]) / 100


@pytest.mark.parametrize(("title", "text"), COMPARED, ids=[title for title, _ in COMPARED])
def test_every_month_is_the_sum_of_its_terms(title: str, text: str) -> None:
    for words in commands(text):
        if words[0] != "compare":
            continue
        for option in answer(words)["options"]:
            assert sum(term["usd"] for term in option["terms"]) == pytest.approx(
                option["usd_per_month"], abs=0.005
            )
            # Own machines come in steps and never sink with time in total while rents stand.
            paid = list(option["flow"]["out_usd_by_month"])
            assert all(later >= 0 for _, later in pairwise(paid))


def test_five_hundred_people_are_the_rate_that_the_page_works_out() -> None:
    # 500 people, 30 questions on each of five days of a week of 604,800 seconds
    assert pytest.approx(0.124, abs=0.0005) == 500 * 30 * 5 / 604_800

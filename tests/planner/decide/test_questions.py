"""Answers read from what people type and from files: understood, or refused in one line."""

from typing import Any

import pytest

from planner.decide.answers import Answers
from planner.decide.questions import QUESTIONS, answers_of, as_given
from planner.errors import PlannerError


def test_every_answer_has_its_question() -> None:
    assert {question.key for question in QUESTIONS} == set(Answers.__slots__)


@pytest.mark.parametrize(
    "answers",
    [
        Answers(),
        Answers(modalities=("text", "image"), tokens_per_s=12.5, machine="RTX 4090", data="own", tuning=True),
    ],
)
def test_answers_survive_a_file(answers: Answers) -> None:
    assert answers_of(as_given(answers), "file") == answers


def test_people_write_as_they_like() -> None:
    said = {
        "data": " OWN ",
        "context_tokens": "32k",
        "modalities": "Text, image",
        "code": "Y",
        "machine": "none",
    }
    answers = answers_of(said, "you")
    assert (answers.data, answers.context_tokens, answers.modalities, answers.code, answers.machine) == (
        "own", 32_768, ("text", "image"), True, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"dta": "own"}, "nothing is asked about 'dta'; did you mean data?"),
        ({"data": "ow"}, "data is 'ow', expected one of anywhere, own; did you mean own?"),
        ({"tasks_per_month": -1}, "expected a number above 0"),
        ({"tasks_per_month": float("nan")}, "expected a number above 0"),
        ({"modalities": ["smell"]}, "expected one or several of text"),
        ({"data": {"a": 1}}, "expected anywhere or own"),
        ({"data": "own", "weights": "closed"}, "closed weights run at their makers"),
    ],
)
def test_what_is_not_understood_is_one_line(said: dict[str, Any], message: str) -> None:
    with pytest.raises(PlannerError, match=message.replace("?", r"\?")) as caught:
        answers_of(said, "answers.toml")
    assert str(caught.value).startswith("answers.toml: ") and "\n" not in str(caught.value)

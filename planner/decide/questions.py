"""The questions of a choice, in the order in which one opens the next, and how answers are read from text."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Final

from hardware.errors import HardwareError
from hardware.units import parse_tokens
from planner.decide.answers import Answers
from planner.errors import PlannerError

_MAX_CHARS: Final = 400
_MODALITIES: Final = ("text", "image", "audio", "video")
_YES: Final = {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question; `read` turns what a person typed into the answer, or raises ValueError with what is expected."""

    key: str
    ask: str
    why: str
    expected: str
    read: Callable[[str], Any]
    choices: tuple[str, ...] = ()


def _choice(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        word = text.strip().casefold()
        if word in words:
            return word
        near = get_close_matches(word, words, n=1)
        raise ValueError(f"one of {', '.join(words)}{f'; did you mean {near[0]}?' if near else ''}")

    return read


def _yes(text: str) -> bool:
    word = text.strip().casefold()
    if word not in _YES:
        raise ValueError("yes or no")
    return _YES[word]


def _some_of(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(part.strip().casefold() for part in text.split(",") if part.strip()))
    if not words or any(word not in _MODALITIES for word in words):
        raise ValueError(f"one or several of {', '.join(_MODALITIES)}, with commas between")
    return words


def _tokens(text: str) -> int:
    try:
        return parse_tokens(text)
    except HardwareError as error:
        raise ValueError("a number of tokens, such as 8192 or 32k") from error


def _number(text: str) -> float:
    try:
        value = float(text.replace(",", "").replace("_", ""))
    except ValueError as error:
        raise ValueError("a number above 0") from error
    if value <= 0 or not math.isfinite(value):
        raise ValueError("a number above 0")
    return value


def _number_or_none(text: str) -> float | None:
    return None if text.strip().casefold() in ("", "any") else _number(text)


def _machine(text: str) -> str | None:
    return None if text.strip().casefold() in ("", "none") else text.strip()


QUESTIONS: Final = (
    Question(
        key="data", ask="May what you send leave your own machines?", expected="anywhere or own",
        why="What may not leave rules out every API, however it is priced.", read=_choice("anywhere", "own"),
        choices=("anywhere", "own"),
    ),
    Question(
        key="weights", ask="Open weights, closed ones, or either?", expected="either, open or closed",
        why="Open weights can be moved, tuned and kept as they are; the best closed models lead at the frontier.",
        read=_choice("either", "open", "closed"), choices=("either", "open", "closed"),
    ),
    Question(
        key="modalities", ask="What goes in?", expected="text, image, audio, video; with commas",
        why="A model that cannot see is no answer to pictures.", read=_some_of,
    ),
    Question(
        key="difficulty", ask="How hard are the tasks for a model?", expected="easy, medium or hard",
        why="Extraction and short answers are easy, most office work is medium, research and large changes of code are hard.",
        read=_choice("easy", "medium", "hard"), choices=("easy", "medium", "hard"),
    ),
    Question(
        key="reasoning", ask="How much thinking does a task need?", expected="none, some or much",
        why="Thinking tokens are paid like answers: often five times as many tokens for a task.",
        read=_choice("none", "some", "much"), choices=("none", "some", "much"),
    ),
    Question(
        key="context_tokens", ask="How many tokens go in at most, answer included?", expected="such as 8k or 128k",
        why="It bounds the models, and the memory of each request.", read=_tokens,
    ),
    Question(
        key="code", ask="Is it mostly about code?", expected="yes or no",
        why="Models trained for code come first then.", read=_yes,
    ),
    Question(
        key="flow", ask="Single calls, a fixed workflow, or an agent that decides itself?",
        expected="single, workflow or agent", why="Agents call tools, many times: steps and budget need a limit.",
        read=_choice("single", "workflow", "agent"), choices=("single", "workflow", "agent"),
    ),
    Question(
        key="tuning", ask="Will you train it further?", expected="yes or no",
        why="Fine-tuning needs the weights.", read=_yes,
    ),
    Question(
        key="commercial", ask="Is it for business?", expected="yes or no",
        why="Some open weights may not be used for that.", read=_yes,
    ),
    Question(
        key="priority", ask="What counts most: quality, cost or speed?", expected="quality, cost or speed",
        why="It decides the order of what is left.", read=_choice("quality", "cost", "speed"),
        choices=("quality", "cost", "speed"),
    ),
    Question(
        key="tokens_per_s", ask="How fast must an answer come, in tokens per second?", expected="a number, or any",
        why="People read about 5 to 10 a second; programs wait for the end.", read=_number_or_none,
    ),
    Question(
        key="tasks_per_month", ask="How many tasks a month?", expected="a number above 0",
        why="Own machines cost the same idle or busy; an API costs by the token.", read=_number,
    ),
    Question(
        key="machine", ask="Which machine do you have?", expected='this, none, or such as "RTX 4090, 64GiB"',
        why="Only what fits can stay in the house.", read=_machine,
    ),
)  # fmt: skip


def answers_of(given: Mapping[str, Any], source: str) -> Answers:
    """Answers from keys and values of a file or of a dialogue; raises PlannerError, one line, for what is not understood."""
    known = {question.key: question for question in QUESTIONS}
    read: dict[str, Any] = {}
    for key, value in given.items():
        question = known.get(key)
        if question is None:
            near = get_close_matches(str(key)[:80], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
            raise PlannerError(f"{source}: nothing is asked about {str(key)[:80]!r}; {hint}")
        try:
            read[key] = question.read(_as_text(value))
        except ValueError as error:
            raise PlannerError(
                f"{source}: {key} is {str(value)[:80]!r}, expected {str(error) or question.expected}"
            ) from error
    try:
        return Answers(**read)
    except ValueError as error:
        raise PlannerError(f"{source}: {error}") from error


def as_given(answers: Answers) -> dict[str, Any]:
    """The same answers as a file holds them; reading them back gives the same."""
    values = {field.name: getattr(answers, field.name) for field in fields(answers)}
    values["modalities"] = ", ".join(answers.modalities)
    return {key: "none" if value is None and key == "machine" else "any" if value is None else value for key, value in values.items()}  # fmt: skip


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(str(part) for part in value)[:_MAX_CHARS]
    if not isinstance(value, (str, int, float)):
        raise ValueError("")
    return str(value)[:_MAX_CHARS]

"""Answers to the questions of a choice from a TOML or JSON file that nobody vouches for."""

import tomllib
from pathlib import Path
from typing import Any, Final

from planner.decide.answers import Answers
from planner.decide.questions import answers_of
from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded
from planner.readers.local_json import parse_json_object

_MAX_BYTES: Final = 2**16
_MAX_VALUES: Final = 500


def read_answers(path: Path) -> Answers:
    """The answers in a file; .json is read as JSON, anything else as TOML. Raises PlannerError, one line."""
    return answers_of(read_given(path), quoted(path))


def read_given(path: Path) -> dict[str, Any]:
    """The keys and values of such a file, not looked at yet."""
    data = read_bounded(path, _MAX_BYTES)
    if path.suffix.casefold() == ".json":
        return parse_json_object(data, quoted(path), max_values=_MAX_VALUES)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MalformedError(f"{quoted(path)} is no TOML: {error}") from error

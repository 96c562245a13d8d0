"""One question of a sweep and its answer, both plain data, so that any process and any machine can take it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Data = Mapping[str, Any]
Answer = Callable[[Data], Data]  # a function at the top of a module: workers import it by its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A question. Like questions have like keys, in whichever sweep they come."""

    question: Data

    @property
    def key(self) -> str:
        """A hash of the question."""
        return hashlib.sha256(canonical(self.question).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A cell with what came of it: an answer, or why there is none."""

    cell: Cell
    answer: Data | None
    error: str | None = None

    def __post_init__(self) -> None:
        if (self.answer is None) == (self.error is None):
            raise ValueError("a cell ends with an answer or with an error")


def canonical(data: Data) -> str:
    """Data as one line of JSON that is the same wherever it is written."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)

"""What a person wants of a model: answers to the questions of a choice."""

from dataclasses import dataclass
from typing import Final, Literal

Data = Literal["anywhere", "own"]
Weights = Literal["either", "open", "closed"]
Reasoning = Literal["none", "some", "much"]
Priority = Literal["quality", "cost", "speed"]
Difficulty = Literal["easy", "medium", "hard"]
Flow = Literal["single", "workflow", "agent"]


# Of the best score that any candidate has, the least that will do: a rule of thumb until one's own evaluation is there.
LEAST_SCORE: Final[dict[str, float]] = {"easy": 0.4, "medium": 0.65, "hard": 0.9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One answer to each question; the defaults leave everything open."""

    data: Data = "anywhere"  # "own": nothing may leave own machines
    weights: Weights = "either"
    modalities: tuple[str, ...] = ("text",)  # that go in
    difficulty: Difficulty = "medium"
    reasoning: Reasoning = "none"
    context_tokens: int = 8192
    priority: Priority = "cost"
    code: bool = False
    flow: Flow = "single"
    tuning: bool = False  # to be trained further
    commercial: bool = True
    tokens_per_s: float | None = None  # that one reader or program needs
    tasks_per_month: float = 10_000.0
    machine: str | None = None  # own machine, described; "this" for the one that asks; None for none

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ValueError("at least one modality goes in, such as text")
        if self.context_tokens < 1 or self.tasks_per_month <= 0:
            raise ValueError("context and tasks a month are more than nothing")
        if self.data == "own" and self.weights == "closed":
            raise ValueError(
                "closed weights run at their makers': they do not go with data that stays in one's own house"
            )
        if self.tuning and self.weights == "closed":
            raise ValueError("only open weights can be trained further here")

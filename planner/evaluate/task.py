"""A task of an evaluation, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass

from planner.evaluate.checks import Check

_MOST_TOKENS = 999_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is asked, and the check of the answer."""

    name: str
    messages: tuple[tuple[str, str], ...]  # role and text
    check: Check
    max_tokens: int | None = None  # None: as for the whole evaluation

    def __post_init__(self) -> None:
        if not self.messages or self.messages[-1][0] != "user":
            raise ValueError("a task ends with what the user says")
        if self.max_tokens is not None and not 1 <= self.max_tokens <= _MOST_TOKENS:
            raise ValueError(f"max_tokens is between 1 and {_MOST_TOKENS:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a server; `error` where there was none, one line."""

    text: str = ""
    n_prompt_tokens: int | None = None
    n_output_tokens: int | None = None
    wall_s: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A task with all its attempts, the last of which solved it where it is solved."""

    task: str
    is_solved: bool
    replies: tuple[Reply, ...]

    @property
    def n_attempts(self) -> int:
        """Answers that were asked for."""
        return len(self.replies)

    @property
    def error(self) -> str | None:
        """Why there was no answer at all; None where there was one."""
        errors = [reply.error for reply in self.replies]
        return errors[-1] if errors and all(errors) else None

    def total(self, count_of: Callable[[Reply], int | None]) -> int | None:
        """A count over all attempts; None where the server did not count each."""
        counts = [count_of(reply) for reply in self.replies]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None


def judged(task: Task, replies: tuple[Reply, ...]) -> TaskResult:
    """Whether the last reply solves the task."""
    last = replies[-1]
    return TaskResult(task=task.name, is_solved=last.error is None and task.check(last.text), replies=replies)

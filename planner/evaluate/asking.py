"""How the tasks of an evaluation are asked."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A task that fails is asked again up to `n_attempts` in all, `concurrency` of them at a time."""

    model: str | None = None  # None: the server's only one
    api_key: str | None = None
    n_attempts: int = 1
    concurrency: int = 4
    max_tokens: int = 1024  # of an answer, where a task says nothing else
    temperature: float = 0.0
    timeout_s: float = 300.0


PLAINLY = Asking()

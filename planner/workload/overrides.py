"""What a person says otherwise than the workload that they started from."""

from dataclasses import dataclass, replace
from typing import Any, Final

from planner.workload.lengths import Lengths
from planner.workload.workload import FigureSource, Objective, Workload

_GIVEN: Final = "given with the question"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Figures that replace those of a workload; None leaves one as it is."""

    tasks_per_s: float | None = None
    concurrency: int | None = None
    prompt: Lengths | None = None
    output: Lengths | None = None
    thinking: Lengths | None = None
    shared_prefix_tokens: int | None = None
    samples: int | None = None
    objectives: tuple[Objective, ...] | None = None

    def __post_init__(self) -> None:
        if self.tasks_per_s is not None and self.concurrency is not None:
            raise ValueError("traffic is either tasks per second or a number of users; give one")


NO_OVERRIDES: Final = Overrides()
_KEYS: Final = {
    "prompt": "prompt_tokens",
    "output": "output_tokens",
    "thinking": "thinking_tokens",
    "shared_prefix_tokens": "shared_prefix_tokens",
    "samples": "samples",
    "objectives": "slo",
}


def overridden(workload: Workload, overrides: Overrides) -> Workload:
    """The workload with other figures, whose sources now say that they were given.

    A shared beginning that is longer than the new prompts is cut to the shortest of them, unless it was given too.
    """
    changes: dict[str, Any] = {
        field: value for field in _KEYS if (value := getattr(overrides, field)) is not None
    }
    given = {_KEYS[field] for field in changes}
    dropped = set(given)
    if overrides.prompt is not None and overrides.shared_prefix_tokens is None:
        changes["shared_prefix_tokens"] = min(workload.shared_prefix_tokens, overrides.prompt.low)
    if overrides.tasks_per_s is not None or overrides.concurrency is not None:
        changes["traffic"] = replace(
            workload.traffic, tasks_per_s=overrides.tasks_per_s, concurrency=overrides.concurrency
        )
        given.add("traffic.users" if overrides.tasks_per_s is None else "traffic.tasks_per_s")
        dropped |= {"traffic.users", "traffic.tasks_per_s"}
    if not changes:
        return workload
    kept = tuple(source for source in workload.sources if source.key not in dropped | given)
    new = tuple(FigureSource(key=key, basis="given", note=_GIVEN) for key in sorted(given))
    return replace(workload, **changes, sources=kept + new)

"""How requests are kept in flight, and what an engine was told that changes when it takes them in."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A closed loop: every slot asks the next question when the last one is answered; all slots start at once."""

    n_rounds: float = 10.0  # questions that follow one another in one slot
    has_like_lengths: bool = False  # every prompt and every answer as long as the others
    is_cold: bool = False  # nothing ran before, so kernels are compiled while the first requests wait
    draft_tokens: int = (
        0  # guessed ahead of each step, by the model's own prediction layers or a smaller model
    )
    held_steps: float = 0.0  # decode steps for which a new request is held back, in the mean
    most_running: int | None = None  # requests that one replica of the attention takes at once
    has_known_settings: bool = True  # False: of a measured run that nobody told more about than its row says
    is_reported: bool = False  # of such a run, what its own load generator wrote down: lengths, load, rounds

    def __post_init__(self) -> None:
        if self.n_rounds < 1 or self.draft_tokens < 0 or self.held_steps < 0:
            raise ValueError("a slot asks at least once, and neither drafts nor holds back less than nothing")


USUAL_SCHEDULE: Final = Schedule()

"""A model that could be chosen, and the ways in which it can be had. None means that nobody said."""

from dataclasses import dataclass
from typing import Literal

from planner.estimate.term import Interval

Commercial = Literal["yes", "terms", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to run a model: somebody's API, one's own machine, or machines to be found for it."""

    kind: Literal["api", "own", "size"]
    where: str  # the provider, or the machine
    command: str  # what to run next
    usd_per_month: float | None = (
        None  # what the tasks cost; None on own machines, whose price is not asked here
    )
    tokens_per_s: Interval | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One model with what is known of it."""

    id: str
    name: str
    is_open: bool
    modalities: tuple[str, ...] | None
    context_tokens: int | None
    thinks: bool | None
    calls_tools: bool | None
    is_for_code: bool
    licence: str | None
    commercial: Commercial | None
    n_parameters: int | None
    released: str | None
    score: float | None  # on the benchmark that all candidates are compared by
    ways: tuple[Way, ...]

    @property
    def cheapest_api(self) -> Way | None:
        """The API that charges least for the tasks."""
        priced = [way for way in self.ways if way.kind == "api" and way.usd_per_month is not None]
        return min(priced, key=lambda way: way.usd_per_month or 0.0) if priced else None

    @property
    def own(self) -> Way | None:
        """The way on the own machine, where it fits."""
        return next((way for way in self.ways if way.kind == "own"), None)

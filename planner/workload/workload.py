"""What is asked of a model: how long requests are, how many come when, and what answers must keep to.

A task is what a person wants done; it takes one call of the model or, in a loop or with several samples, many.
"""

from dataclasses import dataclass
from typing import Final, Literal

from planner.workload.lengths import Lengths

Measure = Literal["ttft", "tpot", "e2e"]
Pattern = Literal["poisson", "bursty", "steady"]
Basis = Literal["measured", "published", "assumed", "given"]

NOTHING: Final = Lengths(kind="uniform", low=0, high=0)
EVEN_DAY: Final = (1.0,) * 24
EVEN_WEEK: Final = (1.0,) * 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A share of requests that must stay within a time, such as p95 of the time to the first token below 1 s."""

    measure: Measure
    quantile: float  # 0.95 for p95
    limit_s: float

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1 or self.limit_s <= 0:
            raise ValueError("an objective needs a quantile between 0 and 1 and a limit above 0 s")

    def __str__(self) -> str:
        limit = f"{self.limit_s * 1000:g}ms" if self.limit_s < 1 else f"{self.limit_s:g}s"
        return f"{self.measure} p{self.quantile * 100:g}<{limit}"

    @property
    def exact(self) -> str:
        """As written in a file, with all digits."""
        percent, limit = f"{self.quantile * 100:.4f}", f"{self.limit_s:.9f}"
        return f"{self.measure} p{percent.rstrip('0').rstrip('.')}<{limit.rstrip('0').rstrip('.')}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLoop:
    """A task that calls the model again and again, each time with all that came before and what a tool answered."""

    steps: Lengths  # calls of a task
    tool_tokens: Lengths  # that a tool's answer adds before the next call
    max_steps: int
    token_budget: int | None = None  # prompt and output tokens of a task, after which it is stopped
    keeps_thinking: bool = True  # whether later calls of a task hold the thinking of earlier ones
    tool_s: float = 0.0  # that a tool takes between two calls

    def __post_init__(self) -> None:
        if self.max_steps < 1 or (self.token_budget is not None and self.token_budget < 1):
            raise ValueError("an agent takes at least one step and one token")
        if self.tool_s < 0:
            raise ValueError("a tool takes no time or more")
        if self.steps.smallest < 1:
            raise ValueError("an agent's task takes at least one step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """When tasks come. Rates are means over a whole week; the profiles say how hours and days differ.

    Either tasks come at a rate by themselves, or a fixed number of users each waits for an answer before asking again.
    """

    tasks_per_s: float | None = None
    concurrency: int | None = None
    pattern: Pattern = "poisson"
    burstiness: float = 1.0  # squared coefficient of variation of the gaps: 1 for Poisson
    day_profile: tuple[float, ...] = EVEN_DAY  # weight of each hour
    week_profile: tuple[float, ...] = EVEN_WEEK  # weight of each day, Monday first
    growth_per_year: float = 0.0  # fraction
    think_s: float = 0.0  # between an answer and a user's next task

    def __post_init__(self) -> None:
        if (self.tasks_per_s is None) == (self.concurrency is None):
            raise ValueError(
                "traffic is either tasks per second or a number of users, not both and not neither"
            )
        if (self.tasks_per_s or 1) <= 0 or (self.concurrency or 1) < 1:
            raise ValueError("traffic must be more than nothing")
        if len(self.day_profile) != len(EVEN_DAY) or len(self.week_profile) != len(EVEN_WEEK):
            raise ValueError("a day has 24 weights, a week 7")
        for weights in (self.day_profile, self.week_profile):
            if min(weights) < 0 or sum(weights) <= 0:
                raise ValueError("weights of hours and days are not negative, and not all 0")
        if self.think_s < 0:
            raise ValueError("users think for no time or longer")
        if self.burstiness <= 0 or self.growth_per_year <= -1:
            raise ValueError("burstiness is above 0, growth above -100 % a year")

    @property
    def peak_to_average(self) -> float:
        """The busiest hour of the busiest day over the mean hour."""
        day, week = self.day_profile, self.week_profile
        return (max(day) / (sum(day) / len(day))) * (max(week) / (sum(week) / len(week)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSource:
    """Where one figure of a workload comes from."""

    key: str  # as in a workload file, such as output_tokens or traffic.day_profile
    basis: Basis
    note: str
    url: str | None = None
    date: str | None = None  # of the measurement or publication: 2024, 2024-05 or 2024-05-19


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Everything that sizing, simulation and prices need to know of what is asked.

    `prompt` is the whole prompt of a task's first call; its first `shared_prefix_tokens` are the same for all tasks
    (a system prompt, tools), so that a prefix cache, or a price for cached input, applies to them. `thinking` tokens
    are made before the visible `output` and are paid like it.
    """

    name: str
    prompt: Lengths
    output: Lengths
    traffic: Traffic
    shared_prefix_tokens: int = 0
    thinking: Lengths = NOTHING
    samples: int = 1  # answers made in parallel for each call
    agent: AgentLoop | None = None
    objectives: tuple[Objective, ...] = ()
    availability: float | None = None  # fraction of the time, such as 0.999
    description: str = ""
    source: str = ""  # where the figures come from, in a few words
    sources: tuple[FigureSource, ...] = ()  # and one by one

    def __post_init__(self) -> None:
        if self.prompt.low < 1 or self.output.low < 1:
            raise ValueError("a call has at least one prompt token and one output token")
        if self.shared_prefix_tokens < 0 or self.samples < 1:
            raise ValueError("a shared beginning is not negative, and at least one sample is made")
        if self.availability is not None and not 0 < self.availability < 1:
            raise ValueError("availability is a fraction between 0 and 1")

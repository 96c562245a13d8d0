"""What a search for machines is asked, beside the model, the workload and the machines."""

from dataclasses import dataclass, field
from typing import Literal

from planner.sizing.counts import Window
from planner.sizing.option import SizedFor

Quantization = Literal["published", "fp8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a batch; None leaves one to the engine."""

    max_sequences: int | None = None
    max_batched_tokens: int | None = None


ENGINES_OWN = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingQuestion:
    """Which layouts to try, and how careful to be.

    With `usd_per_month`, or with machines of which there are only so many, the largest load is looked for; otherwise the
    least cost of the workload's own.
    """

    engines: tuple[str, ...] = ("vllm",)
    quantizations: tuple[Quantization, ...] = ("published", "fp8")
    limits: tuple[Limits, ...] = (ENGINES_OWN,)
    cache_type: str = "auto"
    max_model_len: int | None = None  # None: the longest request of the workload
    n_spare_machines: int = 0
    sized_for: SizedFor = "expected"
    years_ahead: float = 0.0  # of the workload's growth
    window: Window = field(default_factory=Window)  # of work that nobody waits for
    usd_per_month: float | None = None
    n_requests: int = 400  # of a run that may be decided soon; doubtful loads are run at length
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_spare_machines < 0 or self.years_ahead < 0:
            raise ValueError("spares and years ahead are not negative")
        if self.usd_per_month is not None and self.usd_per_month <= 0:
            raise ValueError("a budget is more than nothing")
        if not (self.engines and self.quantizations and self.limits):
            raise ValueError("at least one engine, one way of storing and one set of limits is tried")
        if self.n_requests < 100:
            raise ValueError("percentiles of fewer than 100 requests say nothing")

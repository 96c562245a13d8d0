"""What is asked of a simulation of one deployment, and what it shows."""

from dataclasses import dataclass
from typing import Final

from planner.engines.sharding import Parallel
from planner.estimate.serving_speed.apart import Workers
from planner.estimate.term import Interval
from planner.simulate.policy import Policy
from planner.simulate.result import SimulationResult
from planner.sizing.option import LoadUnit, Seen
from planner.sizing.question import ENGINES_OWN, Limits
from planner.sizing.replica import Capacity
from planner.workload.workload import Measure, Workload

PERCENTILES: Final = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationQuestion:
    """Which engine with which limits, how many replicas, and how long a run."""

    engine: str = "vllm"  # or "sglang", "llama.cpp"
    ranks: Parallel | None = None  # None: the fewest GPUs on which the engine starts
    apart: tuple[Workers, Workers] | None = None  # in its place: workers that read prompts, and that decode
    quantize: str | None = None  # while loading, in vLLM
    cache_type: str = "auto"
    limits: Limits = ENGINES_OWN
    n_context_tokens: int | None = None  # None: the workload's longest request
    quant: str | None = None  # llama.cpp: the preset
    n_slots: int = 4  # llama.cpp
    unified_cache: bool = False
    n_replicas: int = 1
    at_peak: bool = False  # the busiest hour of the week, not the mean
    n_requests: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTime:
    """One percentile of one latency, with the low, expected and high step times of the speed model."""

    measure: Measure
    percent: int
    seconds: Interval


@dataclass(frozen=True, kw_only=True)
class SimulationAnswer:
    """What a run of the deployment showed. Loads and rates are of all replicas together."""

    model: str
    storage: str
    machine: str
    engine: str
    engine_version: str
    layout: str  # "FP8 TP2", "4 slots"
    command: tuple[str, ...]
    policy: Policy
    workload: Workload
    question: SimulationQuestion
    unit: LoadUnit
    load: float
    peak: float
    times: tuple[SeenTime, ...]
    objectives: tuple[Seen, ...]
    refused: tuple[int, str] | None  # requests that the engine turns away, and why the first
    saturation: Interval | None  # tasks per second; None for users
    capacity: Capacity | None  # within the objectives, where there are some
    utilisation: Interval
    run: SimulationResult  # the expected one, of one replica
    output_tokens_per_s: float
    prompt_tokens_per_s: float
    power_w: float | None
    wh_per_mtok: float | None  # of output tokens
    is_measured: bool
    notes: tuple[str, ...]

    @property
    def is_saturated(self) -> bool:
        """Whether more comes than can be served, so that waiting grows for as long as it goes on."""
        return self.saturation is not None and self.load >= self.saturation.expected

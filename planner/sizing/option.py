"""The answer of a search for machines: options that meet the objectives, and what was rejected for which reason."""

from dataclasses import dataclass
from typing import Literal

from planner.engines.sharding import Parallel
from planner.estimate.term import Interval
from planner.sizing.offer import Offer
from planner.workload.workload import Objective, Workload

Stage = Literal["layout", "memory", "speed", "closed form", "simulation", "number", "price"]
SizedFor = Literal["expected", "low"]  # end of the speed model's interval
LoadUnit = Literal["tasks/s", "users"]
Goal = Literal["least cost", "most load"]


def split_words(ranks: Parallel) -> str:
    """How a replica is spread over GPUs, in a few letters: "TP4", "TP8 EP8 DP8"."""
    sizes = (("PP", ranks.pipeline), ("EP", ranks.expert), ("DP", ranks.attention_replicas))
    return " ".join((f"TP{ranks.tensor}", *(f"{name}{n}" for name, n in sizes if n > 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One replica: an engine with a checkpoint over GPUs of one kind, with its limits and the command that starts it.

    `memory_notes` say what the engine's start-up account came to.
    """

    engine: str  # "vllm", "sglang"
    engine_version: str
    checkpoint: str  # what the engine loads: a repository or a path
    storage: str  # "BF16", "FP8", …
    parallel: Parallel
    max_model_len: int
    max_sequences: int
    max_batched_tokens: int
    kv_tokens: int  # that the pool holds
    command: tuple[str, ...]
    quantization: str | None = None  # done while loading
    memory_notes: tuple[str, ...] = ()

    @property
    def n_gpus(self) -> int:
        """GPUs of one replica."""
        return self.parallel.n_devices

    @property
    def words(self) -> str:
        """The layout as a table says it: "FP8 TP2 PP2"."""
        return f"{self.storage} {split_words(self.parallel)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One percentile that the simulation saw at the peak, at the speed model's low, expected and high times."""

    objective: Objective
    seconds: Interval

    @property
    def is_met(self) -> bool:
        """Whether the expected time keeps to the limit."""
        return self.seconds.expected <= self.objective.limit_s

    @property
    def is_met_at_high(self) -> bool:
        """Whether even the long end of the interval keeps to it."""
        return self.seconds.high <= self.objective.limit_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """So many machines of one kind, with so many replicas of one layout: it carries the peak, and meets the objectives.

    Loads are in `unit`; `capacity_per_replica` is the largest at which the objectives held in the simulation.
    """

    offer: Offer
    layout: Layout
    n_machines: int  # that carry the load
    n_spare_machines: int
    replicas_per_machine: int
    unit: LoadUnit
    capacity_per_replica: float
    capacity_limit: str  # what breaks beyond it
    peak: float
    average: float
    seen: tuple[Seen, ...]
    usd_per_month: Interval | None
    hours_per_month: float  # that machines are kept for
    power_w: float | None = None  # of all machines, spares included
    is_measured: bool = (
        True  # False: nobody measured serving on such GPUs, so speeds are what others have in common
    )
    notes: tuple[str, ...] = ()

    @property
    def n_replicas(self) -> int:
        """Replicas that carry the load."""
        return self.n_machines * self.replicas_per_machine

    @property
    def n_spare_replicas(self) -> int:
        """Replicas on spare machines."""
        return self.n_spare_machines * self.replicas_per_machine

    @property
    def n_all_machines(self) -> int:
        """Machines to get, spares included."""
        return self.n_machines + self.n_spare_machines

    @property
    def n_gpus(self) -> int:
        """GPUs to get, spares included."""
        return self.n_all_machines * self.offer.n_gpus

    @property
    def capacity(self) -> float:
        """What the machines that carry the load could carry; spares are for failures and count as nothing."""
        return self.n_replicas * self.capacity_per_replica

    @property
    def utilisation_at_peak(self) -> float:
        """Peak over capacity."""
        return self.peak / self.capacity

    @property
    def utilisation_at_average(self) -> float:
        """Average over capacity."""
        return self.average / self.capacity

    @property
    def headroom(self) -> float:
        """How much of the capacity the peak leaves."""
        return 1.0 - self.utilisation_at_peak

    @property
    def tightness(self) -> float:
        """The largest of expected time over limit; 0 without objectives."""
        return max((one.seconds.expected / one.objective.limit_s for one in self.seen), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A layout on a machine that is not an answer, and why; `stage` says what found out."""

    machine: str
    engine: str
    layout: str
    stage: Stage
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything `planner size` says.

    "least cost": `options` carry `peak`, cheapest first, those without a price last. "most load": what a budget or the
    machines at hand carry, most first, each option with a peak of its own. Options on GPUs that nobody measured come
    after all others.
    """

    model: str
    workload: Workload
    goal: Goal
    unit: LoadUnit
    peak: float  # of the workload
    average: float
    sized_for: SizedFor
    n_spare_machines: int
    options: tuple[Option, ...]
    front: tuple[
        Option, ...
    ]  # no other is at least as good in cost or load, latency and headroom, and better in one
    rejections: tuple[Rejection, ...]
    n_machines_looked_at: int  # kinds
    n_layouts: int  # on the kinds of GPU
    n_simulated: int
    usd_per_month: float | None = None  # the budget
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Option | None:
        """The first option; None when nothing meets the objectives."""
        return self.options[0] if self.options else None

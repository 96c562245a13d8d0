"""What is answered when a model is to be served: every split and length that was tried, and the best of them."""

from dataclasses import dataclass
from typing import Literal

from hardware.spec import Machine
from planner.engines.sharding import Parallel
from planner.estimate.served.model import ServedMemory, ServingGpu
from planner.estimate.serving_speed.served_latency import ServedLatency
from planner.estimate.term import Term
from planner.model.opened_model import OpenedModel

ServingEngine = Literal["vllm", "sglang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRow:
    """One split and length: the memory, and the command line that starts it so."""

    parallel: Parallel
    memory: ServedMemory
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLoad:
    """What each request asks for."""

    n_prompt_tokens: int = 1024
    n_output_tokens: int = 512
    n_prefix_tokens: int = 0  # with which every prompt begins, the same for all


USUAL_LOAD = ServingLoad()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSpeed:
    """What a request sees while so many are in flight."""

    n_requests: int
    latency: ServedLatency
    n_own_loads: int = 0  # measured by the user on this deployment, which moved the times

    @property
    def tokens_per_s(self) -> float:
        """Tokens that all of them get together, while they decode."""
        return self.n_requests / self.latency.tpot_s.expected


@dataclass(frozen=True, kw_only=True)
class PrefixReuse:
    """The prefix of every prompt, and the times without it beside those with it."""

    n_prefix_tokens: int  # that all prompts share
    n_found_tokens: int  # of them, in whole blocks
    n_read_tokens: int  # of a prompt, each time
    n_at_once: int  # requests that the pool holds with the prefix once
    n_at_once_without: int
    terms: tuple[Term, ...]
    without: tuple[ServingSpeed, ...]  # the same numbers of requests, every prompt read whole


@dataclass(frozen=True, kw_only=True)
class ServingAnswer:
    """Everything `planner fit REF --engine vllm` says; `best` is the first row that starts, else the nearest."""

    machine: Machine
    opened: OpenedModel
    engine: ServingEngine
    version: str
    gpu: ServingGpu
    n_gpus: int
    layout_label: str
    rows: tuple[ServingRow, ...]
    notes: tuple[str, ...]
    load: ServingLoad = USUAL_LOAD
    speeds: tuple[ServingSpeed, ...] = ()  # of the best row
    speed_missing: str | None = None  # why there are none
    prefix: PrefixReuse | None = None  # of the load's prompts, which the speeds are with
    n_machines: int = 1  # like `machine`, joined by a network

    @property
    def best(self) -> ServingRow:
        """The row with the fewest GPUs that starts at the longest context; else the one with most left."""
        starting = [row for row in self.rows if row.memory.starts]
        if starting:
            return max(starting, key=lambda row: (row.memory.max_model_len, -row.parallel.n_devices))
        return max(self.rows, key=lambda row: (row.memory.longest_length, row.memory.tightest.kv_bytes))

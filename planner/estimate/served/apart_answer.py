"""What is answered when prompts are to be read on some GPUs and decoded on others."""

from dataclasses import dataclass
from typing import Literal

from hardware.spec import Machine
from planner.estimate.served.answer import ServingEngine, ServingLoad
from planner.estimate.served.model import ServedMemory, ServingGpu
from planner.estimate.serving_speed.apart import Workers
from planner.estimate.term import Interval, Term
from planner.model.opened_model import OpenedModel

Role = Literal["prefill", "decode"]


@dataclass(frozen=True, kw_only=True)
class ApartWorkers:
    """Workers of one role: how they are spread, whether one of them starts, and the command that starts it."""

    role: Role
    workers: Workers
    memory: ServedMemory
    command: tuple[str, ...]

    @property
    def n_gpus(self) -> int:
        """Over all of them."""
        return self.workers.count * self.workers.ranks.n_devices


@dataclass(frozen=True, slots=True, kw_only=True)
class ApartSpeed:
    """What a request sees while so many are in flight over all workers."""

    n_requests: int
    ttft_s: Interval
    tpot_s: Interval
    terms: tuple[Term, ...]  # of the time to the first token

    def tokens_per_s(self, n_output_tokens: int) -> float:
        """Tokens that all of them get together, the wait for the first of so many counted in."""
        request_s = self.ttft_s.expected + (n_output_tokens - 1) * self.tpot_s.expected
        return self.n_requests * n_output_tokens / request_s


@dataclass(frozen=True, kw_only=True)
class ApartAnswer:
    """Everything `planner fit REF --engine vllm --apart …` says."""

    machine: Machine
    n_machines: int
    opened: OpenedModel
    engine: ServingEngine
    version: str
    gpu: ServingGpu
    n_gpus: int
    layout_label: str
    prefill: ApartWorkers
    decode: ApartWorkers
    load: ServingLoad
    notes: tuple[str, ...]
    speeds: tuple[ApartSpeed, ...] = ()
    speed_missing: str | None = None  # why there are none

    @property
    def starts(self) -> bool:
        """Whether workers of both roles start."""
        return self.prefill.memory.starts and self.decode.memory.starts

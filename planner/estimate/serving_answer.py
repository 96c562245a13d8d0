"""What is answered when a model is to be served: every split and length that was tried, and the best of them."""

from dataclasses import dataclass
from typing import Literal

from hardware.spec import Machine
from planner.engines.sharding import Parallel
from planner.estimate.served_model import ServedMemory, ServingGpu
from planner.model.opened_model import OpenedModel

ServingEngine = Literal["vllm", "sglang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRow:
    """One split and length: the memory, and the command line that starts it so."""

    parallel: Parallel
    memory: ServedMemory
    command: tuple[str, ...]


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

    @property
    def best(self) -> ServingRow:
        """The row with the fewest GPUs that starts at the longest context; else the one with most left."""
        starting = [row for row in self.rows if row.memory.starts]
        if starting:
            return max(starting, key=lambda row: (row.memory.max_model_len, -row.parallel.n_devices))
        return max(self.rows, key=lambda row: (row.memory.longest_length, row.memory.tightest.kv_bytes))

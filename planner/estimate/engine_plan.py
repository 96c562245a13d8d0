"""The engine's own answer about memory: which bytes it would put on which device, or why it gave none."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBuffer:
    """What the engine would allocate in one kind of memory."""

    name: str  # as the engine's log calls it: "CUDA0", "CUDA_Host", "CPU", "CPU_REPACK", "MTL0"
    gpu: int | None  # index of the GPU whose memory it is; None: the system's
    weights_bytes: int
    kv_bytes: int
    state_bytes: int  # recurrent state
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        """Everything in this kind of memory."""
        return self.weights_bytes + self.kv_bytes + self.state_bytes + self.compute_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlan:
    """The engine's whole answer."""

    buffers: tuple[PlannedBuffer, ...]
    output_bytes: int  # logits kept for sampling, in system memory
    n_context_tokens: int  # over all sequences, as the engine rounded it
    flash_attention: bool
    n_copies: int  # of the graph's inputs: 4 when several GPUs work at once (pipeline parallelism)
    n_splits: tuple[int, int]  # parts of the graph for a prompt, for one token
    n_nodes: tuple[int, int]
    model_bytes: int  # of all tensors
    n_parameters: int
    n_layers: int
    planning_s: float
    engine_build: str

    def on_gpu(self, index: int) -> tuple[PlannedBuffer, ...]:
        """The buffers in one GPU's memory."""
        return tuple(buffer for buffer in self.buffers if buffer.gpu == index)

    @property
    def in_ram(self) -> tuple[PlannedBuffer, ...]:
        """The buffers in the system's memory."""
        return tuple(buffer for buffer in self.buffers if buffer.gpu is None)

    def total(self, term: str) -> int:
        """Sum over all buffers of "weights", "kv", "state" or "compute"."""
        return sum(getattr(buffer, f"{term}_bytes") for buffer in self.buffers)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "EnginePlan":
        """The record from the child's event."""
        names = cls.__dataclass_fields__
        fields = {name: value for name, value in data.items() if name in names}
        return cls(
            **{
                **fields,
                "buffers": tuple(PlannedBuffer(**buffer) for buffer in data["buffers"]),
                "n_splits": tuple(data["n_splits"]),
                "n_nodes": tuple(data["n_nodes"]),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFailure:
    """The engine gave no plan: it refused the model, crashed, took too long or too much memory."""

    problem: str  # one line
    hint: str | None = None

"""Our account of memory beside the engine's own, term by term."""

from collections.abc import Sequence
from dataclasses import dataclass

from planner.estimate.engine_plan import EngineFailure, EnginePlan, PlannedBuffer
from planner.estimate.fit import FitRow
from planner.estimate.memory import DeviceLoad

# Ours by the engine's: it does not tell experts and embedding from other weights.
_OURS = {
    "weights": ("weights", "experts", "embedding"),
    "KV cache": ("KV cache",),
    "state": ("state",),
    "compute": ("compute",),
    "output": ("output",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedTerm:
    """One term on one device, as we predict it and as the engine says."""

    name: str
    ours_bytes: int
    engine_bytes: int

    @property
    def difference_bytes(self) -> int:
        """Ours minus the engine's."""
        return self.ours_bytes - self.engine_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedDevice:
    """One device's terms; what only we count (the driver's share) is apart, since the engine cannot know it."""

    name: str
    terms: tuple[ComparedTerm, ...]
    not_in_engine_bytes: int
    buffers: tuple[PlannedBuffer, ...]

    @property
    def ours_bytes(self) -> int:
        """Our sum over the terms that the engine knows."""
        return sum(term.ours_bytes for term in self.terms)

    @property
    def engine_bytes(self) -> int:
        """The engine's sum."""
        return sum(term.engine_bytes for term in self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFit:
    """What llama.cpp's own --fit chooses for a model on a machine; None where it keeps its default."""

    source: str  # which program or library was asked
    fits: bool
    n_context_tokens: int | None
    n_gpu_layers: int | None
    tensor_split: tuple[float, ...] = ()
    n_overrides: int = 0  # tensors, by pattern, that it puts elsewhere
    overrides: tuple[str, ...] = ()  # the patterns
    took_s: float | None = None
    problem: str | None = None  # one line, when there is no decision


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRow:
    """One row of a fit with the engine's answer to the same question, and its own decision where asked."""

    row: FitRow
    answer: EnginePlan | EngineFailure
    devices: tuple[ComparedDevice, ...]


def compare(row: FitRow, answer: EnginePlan | EngineFailure) -> EngineRow:
    """Puts the engine's buffers beside the loads of a placement, device by device."""
    devices: tuple[ComparedDevice, ...] = ()
    if isinstance(answer, EnginePlan):
        loads = row.placement.loads
        gpus = [load for load in loads if load.device.is_gpu]
        devices = tuple(_compared(load, _buffers_of(load, gpus, answer), answer) for load in loads)
    return EngineRow(row=row, answer=answer, devices=devices)


def _buffers_of(
    load: DeviceLoad, gpus: Sequence[DeviceLoad], plan: EnginePlan
) -> tuple[tuple[PlannedBuffer, ...], bool]:
    """A device's buffers, and whether it holds the system's memory too."""
    if not load.device.is_gpu:
        return plan.in_ram, True
    index = next(i for i, gpu in enumerate(gpus) if gpu is load)
    own = plan.on_gpu(index)
    first_shared = next((gpu for gpu in gpus if gpu.device.shares_ram), None)
    return (*own, *plan.in_ram) if first_shared is load else own, first_shared is load


def _compared(
    load: DeviceLoad, found: tuple[tuple[PlannedBuffer, ...], bool], plan: EnginePlan
) -> ComparedDevice:
    buffers, holds_ram = found
    engine = {
        "weights": sum(buffer.weights_bytes for buffer in buffers),
        "KV cache": sum(buffer.kv_bytes for buffer in buffers),
        "state": sum(buffer.state_bytes for buffer in buffers),
        "compute": sum(buffer.compute_bytes for buffer in buffers),
        "output": plan.output_bytes if holds_ram else 0,
    }
    terms = [
        ComparedTerm(
            name=name, ours_bytes=sum(load.term_bytes(each) for each in ours), engine_bytes=engine[name]
        )
        for name, ours in _OURS.items()
    ]
    known = {each for ours in _OURS.values() for each in ours}
    return ComparedDevice(
        name=load.device.name,
        terms=tuple(term for term in terms if term.ours_bytes or term.engine_bytes),
        not_in_engine_bytes=round(sum(term.value for term in load.terms if term.name not in known)),
        buffers=buffers,
    )

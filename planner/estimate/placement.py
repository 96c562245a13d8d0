"""Where to put a model on a machine: whole on the GPUs, experts in RAM, some layers in RAM, or all in RAM."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hardware.spec import Machine
from planner.engines.llama_cpp import CELL_PADDING, LlamaCppFlags, Split
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.memory import Device, DeviceLoad, devices, memory_loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A split of a model over a machine, what lies where, and whether all of it fits."""

    split: Split
    flags: LlamaCppFlags
    loads: tuple[DeviceLoad, ...]
    n_layers: int

    @property
    def fits(self) -> bool:
        """Whether every device holds its part."""
        return all(load.fits for load in self.loads)

    @property
    def needed_bytes(self) -> int:
        """Sum over devices."""
        return sum(load.needed_bytes for load in self.loads)

    @property
    def kind(self) -> str:
        """Where it runs, in words."""
        n_gpu = self.split.n_gpu_layers
        if n_gpu == 0:
            return "in RAM"
        if n_gpu <= self.n_layers:
            return f"{n_gpu} of {self.n_layers + 1} layers on the GPU"
        if self.split.n_cpu_moe:
            return f"experts of {self.split.n_cpu_moe} of {self.n_layers} layers in RAM"
        n = sum(1 for load in self.loads if load.device.is_gpu and load.terms)
        return "on the GPU" if n == 1 else f"on {n} GPUs"


def place(model: DescribedModel, machine: Machine, flags: LlamaCppFlags) -> Placement:
    """The fastest split that fits, or the roomiest one when none does (its `fits` is False).

    Tried in order: everything on the GPUs; experts of the fewest first layers in RAM; the fewest layers in
    RAM; everything in RAM. Raises MissingFactError when the machine's memory is unknown.
    """
    gpus, ram = devices(machine)
    if not gpus and ram is None:
        raise MissingFactError(
            f"nothing is known of the memory of {machine.name}; describe it, for example --on 'RTX 4090, 64GiB'"
        )
    n_layers = model.network.n_layers

    def attempt(split: Split) -> Placement:
        loads = memory_loads(model, flags, split, gpus, ram)
        return Placement(split=split, flags=flags, loads=loads, n_layers=n_layers)

    everything = attempt(Split(n_gpu_layers=n_layers + 1 if gpus else 0))
    if everything.fits or not gpus:
        return everything
    tried = [everything]
    if ram is not None and not any(gpu.shares_ram for gpu in gpus):
        tried += _with_ram(model, attempt)
    return next((placement for placement in tried if placement.fits), min(tried, key=_shortfall_bytes))


def _with_ram(model: DescribedModel, attempt: Callable[[Split], Placement]) -> list[Placement]:
    n_layers = model.network.n_layers
    found = []
    if any(layer.expert_bytes for layer in model.layers):
        found.append(_fewest(lambda n: attempt(Split(n_gpu_layers=n_layers + 1, n_cpu_moe=n)), n_layers))
    found.append(_fewest(lambda n: attempt(Split(n_gpu_layers=n_layers + 1 - n)), n_layers))
    found.append(attempt(Split(n_gpu_layers=0)))
    return found


def _fewest(attempt: Callable[[int], Placement], most: int) -> Placement:
    """The attempt with the fewest layers in RAM whose GPUs fit; more in RAM never needs more GPU memory."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if _gpus_fit(attempt(middle)):
            high = middle
        else:
            low = middle + 1
    return attempt(low)


def _gpus_fit(placement: Placement) -> bool:
    return all(load.fits for load in placement.loads if load.device.is_gpu)


def _shortfall_bytes(placement: Placement) -> int:
    return sum(max(0, -load.free_bytes) for load in placement.loads)


def largest_context(
    model: DescribedModel, machine: Machine, flags: LlamaCppFlags, split: Split
) -> int | None:
    """The longest context, in whole cells of padding, that still fits at this split; None when none does.

    Bounded by what the model was trained for where that is known.
    """
    gpus, ram = devices(machine)
    most = (model.network.context_tokens or 2**20) // CELL_PADDING

    def fits(n_cells: int) -> bool:
        longer = replace(flags, n_context_tokens=n_cells * CELL_PADDING)
        return all(load.fits for load in memory_loads(model, longer, split, gpus, ram))

    if most < 1 or not fits(1):
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low * CELL_PADDING


def layers_on(placement: Placement) -> tuple[Device, ...]:
    """The devices that hold something."""
    return tuple(load.device for load in placement.loads if load.terms)

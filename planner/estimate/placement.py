"""Where to put a model on a machine: whole on the GPUs, experts in RAM, some layers in RAM, or all in RAM."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hardware.spec import Machine
from planner.engines.llama_cpp import CELL_PADDING, MAINLINE, LlamaCppFlags, Rules, Split
from planner.engines.llama_cpp.given_split import FREE, GivenSplit
from planner.errors import MissingFactError
from planner.estimate.beside_memory import NOTHING, Beside
from planner.estimate.described_model import DescribedModel
from planner.estimate.memory import Device, DeviceLoad, devices, memory_loads
from planner.estimate.split_search import Attempt, Search


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
            n_gpus = sum(1 for load in self.loads if load.device.is_gpu and load.terms)
            return f"{n_gpu} of {self.n_layers + 1} layers on the GPU{'s' if n_gpus > 1 else ''}"
        if self.split.n_cpu_moe:
            return f"experts of {self.split.n_cpu_moe} of {self.n_layers} layers in RAM"
        on_gpus = [load for load in self.loads if load.device.is_gpu]
        n = sum(1 for load in on_gpus if load.terms)
        # Patterns may catch a few tensors or nearly all; how much is in the table of memory.
        beside = " and in RAM" if any(o.device == "CPU" for o in self.split.overrides) else ""
        if n == 1:
            return f"on the GPU{beside}" if len(on_gpus) == 1 else f"on one of {len(on_gpus)} GPUs{beside}"
        return f"on {n}{'' if n == len(on_gpus) else f' of {len(on_gpus)}'} GPUs{beside}"


def place(
    model: DescribedModel,
    machine: Machine,
    flags: LlamaCppFlags,
    given: GivenSplit = FREE,
    *,
    rules: Rules = MAINLINE,
    beside: Beside = NOTHING,
    decode_s: Callable[[Placement], float | None] | None = None,
) -> Placement:
    """The fastest split that fits, or the one that lacks least when none does (its `fits` is False).

    What a person fixed is kept, and room is left for what runs `beside` the model. `decode_s` times a placement; without it, or where it does not know, placements
    rank in the order of `Search.attempts`. Raises MissingFactError when the machine's memory is unknown.
    """
    search = _search(model, machine, flags, given, rules, beside)
    attempts = list(search.attempts())
    fitting = [_placement(found, model, flags) for found in attempts if found.fits]
    if not fitting:
        return _placement(min(attempts, key=lambda found: found.shortfall_bytes), model, flags)
    times = [None if decode_s is None else decode_s(placement) for placement in fitting]
    if any(time is None for time in times):
        return fitting[0]
    return fitting[min(range(len(fitting)), key=lambda i: times[i] or 0.0)]


def place_whole(model: DescribedModel, machine: Machine, flags: LlamaCppFlags) -> Placement | None:
    """The fastest placement with nothing split between GPUs and RAM, None when none fits.

    Much quicker than `place` for what does not fit. Raises MissingFactError as `place` does.
    """
    found = _search(model, machine, flags, FREE, MAINLINE, NOTHING).whole()
    return None if found is None else _placement(found, model, flags)


def _search(
    model: DescribedModel,
    machine: Machine,
    flags: LlamaCppFlags,
    given: GivenSplit,
    rules: Rules,
    beside: Beside,
) -> Search:
    gpus, ram = devices(machine)
    if not gpus and ram is None:
        raise MissingFactError(
            f"nothing is known of the memory of {machine.name}; describe it, for example --on 'RTX 4090, 64GiB'"
        )
    return Search(
        model=model,
        flags=flags,
        gpus=gpus,
        ram=ram,
        given=given,
        rules=rules,
        loads=lambda split: beside.laid_beside(
            memory_loads(model, flags, split, gpus, ram, rules), flags, gpus, ram
        ),
    )


def _placement(found: Attempt, model: DescribedModel, flags: LlamaCppFlags) -> Placement:
    return Placement(split=found.split, flags=flags, loads=found.loads, n_layers=model.network.n_layers)


def largest_context(
    model: DescribedModel,
    machine: Machine,
    flags: LlamaCppFlags,
    split: Split,
    beside: Beside = NOTHING,
) -> int | None:
    """The longest context, in whole cells of padding, that still fits at this split; None when none does.

    Bounded by what the model was trained for where that is known.
    """
    gpus, ram = devices(machine)
    most = (model.network.context_tokens or 2**20) // CELL_PADDING

    def margin(n_cells: int) -> int:
        longer = replace(flags, n_context_tokens=n_cells * CELL_PADDING)
        loads = memory_loads(model, longer, split, gpus, ram)
        return min(load.free_bytes for load in beside.laid_beside(loads, longer, gpus, ram))

    if most < 1 or (at_low := margin(1)) < 0:
        return None
    if (at_high := margin(most)) >= 0:
        return most * CELL_PADDING
    low, high = 1, most  # the first fits, the second does not; memory grows in straight pieces between them
    halve = False
    while high - low > 1:
        middle = (low + high) // 2
        if not halve:
            middle = low + (high - low) * at_low // (at_low - at_high)
            middle = min(max(middle, low + 1), high - 1)
        found = margin(middle)
        halve = not halve and (high - low) > 8  # every other step, for the bends
        low, at_low, high, at_high = (
            (middle, found, high, at_high) if found >= 0 else (low, at_low, middle, found)
        )
    return low * CELL_PADDING


def layers_on(placement: Placement) -> tuple[Device, ...]:
    """The devices that hold something."""
    return tuple(load.device for load in placement.loads if load.terms)

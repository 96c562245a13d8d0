"""Splits worth trying for a model on a machine: whole, experts in RAM, layers in RAM, all in RAM.

Each is as much on the GPUs as their memory takes. Which GPUs: the fastest alone, then the two fastest, and so on,
because layers on several GPUs run one after another, so that a slower one more only helps where it is needed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from planner.engines.llama_cpp import LlamaCppFlags, Rules, Split
from planner.engines.llama_cpp.given_split import GivenSplit
from planner.estimate.described_model import DescribedModel
from planner.estimate.memory import Device, DeviceLoad, cache_by_layer
from planner.estimate.partition import deal

Loads = Callable[[Split], tuple[DeviceLoad, ...]]
_LAYER_TERMS = frozenset(("weights", "experts", "KV cache", "state"))
_MOST_REPAIRS = 3  # of shares whose buffers turned out larger than those of the first try


@dataclass(frozen=True, slots=True)
class Attempt:
    """A split and what lies where with it."""

    split: Split
    loads: tuple[DeviceLoad, ...]

    @property
    def fits(self) -> bool:
        """Whether every device holds its part."""
        return all(load.fits for load in self.loads)

    @property
    def gpus_fit(self) -> bool:
        """Whether every GPU holds its part."""
        return all(load.fits for load in self.loads if load.device.is_gpu)

    @property
    def shortfall_bytes(self) -> int:
        """By how much all devices together fall short."""
        return sum(max(0, -load.free_bytes) for load in self.loads)


@dataclass(frozen=True, kw_only=True)
class Search:
    """One model, machine and set of flags, and what a person fixed."""

    model: DescribedModel
    flags: LlamaCppFlags
    gpus: tuple[Device, ...]
    ram: Device | None
    given: GivenSplit
    rules: Rules
    loads: Loads

    def attempts(self) -> Iterator[Attempt]:
        """Fastest kinds first; a kind that needs more in RAM only where the kind before it does not fit."""
        if not self.gpus:
            yield self._attempt(replace(self._settled, n_gpu_layers=0, n_cpu_moe=0))
            return
        whole = None
        for chosen in self._choices():
            whole = self._on(chosen, self._settled)
            yield whole
            if whole.fits:
                return
        if whole is None or self.ram is None or any(gpu.shares_ram for gpu in self.gpus):
            return
        has_experts = any(layer.expert_bytes for layer in self.model.layers)
        if has_experts and self.given.n_cpu_moe is None and not self.given.overrides:
            yield self._fewest(lambda n: replace(self._settled, n_cpu_moe=n), whole)
        if self.given.n_gpu_layers is None:
            everything = self._settled.n_gpu_layers
            yield self._fewest(lambda n: replace(self._settled, n_gpu_layers=everything - n), whole)
            yield self._attempt(replace(self._settled, n_gpu_layers=0))

    def whole(self) -> Attempt | None:
        """The first attempt with nothing split between GPUs and RAM that fits; None when none does.

        What the GPUs cannot hold for the layers' bytes alone is not planned at all.
        """
        if not self.gpus:
            attempt = self._attempt(replace(self._settled, n_gpu_layers=0, n_cpu_moe=0))
            return attempt if attempt.fits else None
        sizes = sum(self._sizes(self._settled))
        for chosen in self._choices():
            if sizes <= sum(self.gpus[index].capacity_bytes for index in chosen):
                attempt = self._on(chosen, self._settled)
                if attempt.fits:
                    return attempt
        return None

    @property
    def _settled(self) -> Split:
        return self.given.settled(self.model.network.n_layers)

    def _attempt(self, split: Split) -> Attempt:
        return Attempt(split, self.loads(split))

    def _choices(self) -> Iterator[tuple[int, ...]]:
        """Sets of GPUs, fastest first: all of them where a person said how to split, else one, two, and so on."""
        order = fastest_first(self.gpus)
        if self._shares_are_given:
            yield tuple(order)
        else:
            for n in range(1, len(order) + 1):
                yield tuple(order[:n])

    @property
    def _shares_are_given(self) -> bool:
        given = self.given
        return given.tensor_split is not None or given.mode is not None or bool(given.overrides)

    def _fewest(self, split_with: Callable[[int], Split], whole: Attempt) -> Attempt:
        """The attempt with the fewest layers, or their experts, in RAM whose GPUs fit; all GPUs take part.

        Counting the layers' bytes against the room beside `whole`'s buffers tells where to look; plans of the
        neighbours decide, since buffers change a little with every layer.
        """
        *_, everything = self._choices()
        most = self.model.network.n_layers
        tried: dict[int, Attempt] = {}

        def fits(n: int) -> bool:
            if n not in tried:
                tried[n] = self._on(everything, split_with(n))
            return tried[n].gpus_fit

        beside = sum(_beside_layers(load) for load in whole.loads if load.device.is_gpu)
        room = sum(gpu.capacity_bytes for gpu in self.gpus) - beside
        sizes = (sum(self._sizes(split_with(n))) for n in range(1, most + 1))
        guess = next((n for n, size in enumerate(sizes, start=1) if size <= room), most)
        low, high = _bracket(fits, guess, most)
        while high - low > 1:  # more in RAM never needs more GPU memory
            middle = (low + high) // 2
            low, high = (low, middle) if fits(middle) else (middle, high)
        fits(high)
        return tried[high]

    def _on(self, chosen: Sequence[int], split: Split) -> Attempt:
        """The split with its layers on the chosen GPUs, in shares by which each holds its part."""
        if self._shares_are_given or len(self.gpus) == 1:
            return self._attempt(split)
        if len(chosen) == 1:
            return self._attempt(replace(split, mode="none", main_gpu=chosen[0]))
        alike = len({_slowness(self.gpus[index]) for index in chosen}) == 1
        if alike and len(chosen) == len(self.gpus):
            by_free_memory = self._attempt(split)  # the engine's own shares
            if by_free_memory.gpus_fit:
                return by_free_memory
        return self._dealt(chosen, split)

    def _dealt(self, chosen: Sequence[int], split: Split) -> Attempt:
        """Shares in whole layers, so that the engine's arithmetic gives just these."""
        sizes = self._sizes(split)
        n = len(sizes)
        start = tuple(n / len(chosen) if i in chosen else 0.0 for i in range(len(self.gpus)))
        best = self._attempt(replace(split, tensor_split=start))
        beside = [_beside_layers(load) for load in best.loads if load.device.is_gpu]
        for _ in range(_MOST_REPAIRS):
            room = [
                self.gpus[i].capacity_bytes - beside[i] if i in chosen else 0 for i in range(len(self.gpus))
            ]
            counts = deal(sizes, room, chosen)
            if counts is None:
                break
            attempt = self._attempt(replace(split, tensor_split=tuple(float(count) for count in counts)))
            if attempt.gpus_fit or attempt.shortfall_bytes < best.shortfall_bytes:
                best = attempt
            if attempt.gpus_fit:
                break
            on_gpus = [load for load in attempt.loads if load.device.is_gpu]
            beside = [max(old, _beside_layers(load)) for old, load in zip(beside, on_gpus, strict=True)]
        return best

    @cached_property
    def _caches(self) -> tuple[list[int], list[int]]:
        return cache_by_layer(self.model, self.flags, self.rules)

    def _sizes(self, split: Split) -> list[int]:
        """Bytes of each offloaded layer on a GPU, the output head last."""
        kv, state = self._caches
        layers = self.model.layers
        first = len(layers) + 1 - split.n_gpu_layers
        sizes = []
        for i in range(max(first, 0), len(layers)):
            cached = kv[i] + state[i] if self.flags.kv_offload else 0
            experts = 0 if i < split.n_cpu_moe else layers[i].expert_bytes
            sizes.append(layers[i].fixed_bytes + experts + cached)
        return [*sizes, self.model.head_bytes + self.model.extra_bytes]


def fastest_first(gpus: Sequence[Device]) -> list[int]:
    """GPUs by their memory's stated bandwidth, by index where they are alike."""
    return sorted(range(len(gpus)), key=lambda index: _slowness(gpus[index]))


def _slowness(device: Device) -> float:
    gpu = device.gpu
    return -gpu.accelerator.memory_bytes_per_s if gpu is not None and gpu.accelerator is not None else 0.0


def _bracket(fits: Callable[[int], bool], guess: int, most: int) -> tuple[int, int]:
    """Numbers around the guess, growing apart, of which the smaller does not fit and the larger does, or is `most`."""
    step = 1
    if fits(guess):
        high = guess
        while high - step >= 1 and fits(high - step):
            high, step = high - step, 2 * step
        return max(0, high - step), high
    low = guess
    while low + step < most and not fits(low + step):
        low, step = low + step, 2 * step
    return low, min(most, low + step)


def _beside_layers(load: DeviceLoad) -> int:
    """What a device holds that does not come and go with single layers: buffers and the driver's share."""
    return round(sum(term.value for term in load.terms if term.name not in _LAYER_TERMS))

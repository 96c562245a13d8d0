"""Splits worth trying for a model on a machine: whole, experts in RAM, layers in RAM, all in RAM.

Each is as much on the GPUs as their memory takes. Which GPUs: the fastest alone, then the two fastest, and so on,
because layers on several GPUs run one after another, so that a slower one more only helps where it is needed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

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
        for chosen in self._choices():
            attempt = self._on(chosen, self._settled)
            yield attempt
            if attempt.fits:
                return
        if self.ram is None or any(gpu.shares_ram for gpu in self.gpus):
            return
        has_experts = any(layer.expert_bytes for layer in self.model.layers)
        if has_experts and self.given.n_cpu_moe is None and not self.given.overrides:
            yield self._fewest(lambda n: replace(self._settled, n_cpu_moe=n))
        if self.given.n_gpu_layers is None:
            everything = self._settled.n_gpu_layers
            yield self._fewest(lambda n: replace(self._settled, n_gpu_layers=everything - n))
            yield self._attempt(replace(self._settled, n_gpu_layers=0))

    @property
    def _settled(self) -> Split:
        return self.given.settled(self.model.network.n_layers)

    def _attempt(self, split: Split) -> Attempt:
        return Attempt(split, self.loads(split))

    def _choices(self) -> Iterator[tuple[int, ...]]:
        """Sets of GPUs, fastest first: all of them where a person said how to split, else one, two, and so on."""
        order = sorted(range(len(self.gpus)), key=self._slowness)
        if self._shares_are_given:
            yield tuple(order)
        else:
            for n in range(1, len(order) + 1):
                yield tuple(order[:n])

    @property
    def _shares_are_given(self) -> bool:
        given = self.given
        return given.tensor_split is not None or given.mode is not None or bool(given.overrides)

    def _slowness(self, index: int) -> float:
        gpu = self.gpus[index].gpu
        return -gpu.accelerator.memory_bytes_per_s if gpu is not None and gpu.accelerator is not None else 0.0

    def _fewest(self, split_with: Callable[[int], Split]) -> Attempt:
        """The attempt with the fewest layers, or their experts, in RAM whose GPUs fit; all GPUs take part."""
        *_, everything = self._choices()
        low, high = 1, self.model.network.n_layers
        while low < high:  # more in RAM never needs more GPU memory
            middle = (low + high) // 2
            if self._on(everything, split_with(middle)).gpus_fit:
                high = middle
            else:
                low = middle + 1
        return self._on(everything, split_with(low))

    def _on(self, chosen: Sequence[int], split: Split) -> Attempt:
        """The split with its layers on the chosen GPUs, in shares by which each holds its part."""
        if self._shares_are_given or len(self.gpus) == 1:
            return self._attempt(split)
        if len(chosen) == 1:
            return self._attempt(replace(split, mode="none", main_gpu=chosen[0]))
        alike = len({self._slowness(index) for index in chosen}) == 1
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

    def _sizes(self, split: Split) -> list[int]:
        """Bytes of each offloaded layer on a GPU, the output head last."""
        kv, state = cache_by_layer(self.model, self.flags, self.rules)
        layers = self.model.layers
        first = len(layers) + 1 - split.n_gpu_layers
        sizes = []
        for i in range(max(first, 0), len(layers)):
            cached = kv[i] + state[i] if self.flags.kv_offload else 0
            experts = 0 if i < split.n_cpu_moe else layers[i].expert_bytes
            sizes.append(layers[i].fixed_bytes + experts + cached)
        return [*sizes, self.model.head_bytes + self.model.extra_bytes]


def _beside_layers(load: DeviceLoad) -> int:
    """What a device holds that does not come and go with single layers: buffers and the driver's share."""
    return round(sum(term.value for term in load.terms if term.name not in _LAYER_TERMS))

"""The layers that llama-server's own --fit puts on GPUs, when nobody says how many.

common/fit.cpp (common_params_fit_impl) of llama.cpp as in llama-cpp-python 0.3.36, for a context that somebody
gave. It measures memory by planning without allocation; here `memory_loads` stands for that. Layers are
given out from the last GPU to the first; of a mixture of experts all layers without their experts first, which
then follow from the first GPU on. Every GPU keeps a margin.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from planner.engines.llama_cpp import LlamaCppFlags, Rules, Split, TensorOverride
from planner.engines.llama_cpp.rules import Mainline
from planner.estimate.described_model import DescribedModel
from planner.estimate.memory import DRIVER_BYTES, Device, memory_loads

_DRIVER = "engine and driver"
_EXPERTS = r"blk\.({})\.ffn_(up|down|gate_up|gate)_(ch|)exps"
# Of the first layer that is split, by how much of its feed-forward block leaves the GPU.
_PARTS = {
    "up": r"blk\.{}\.ffn_(gate|gate_up|down).*",
    "gate": r"blk\.{}\.ffn_down.*",
    "attention": r"blk\.{}\.ffn_(gate|up|gate_up|down).*",
}


@dataclass(frozen=True, slots=True)
class _Share:
    """What one GPU gets: its layers, the last of which may be without experts, and what the first of those leaves."""

    n_layers: int = 0
    n_part: int = 0
    overflow: str = "experts"

    @property
    def n_full(self) -> int:
        return self.n_layers - self.n_part


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFit:
    """The engine's decision: a split, and whether the model was found to be within the margins as it is."""

    split: Split
    is_whole: bool


@dataclass(slots=True)
class _Fit:
    model: DescribedModel
    flags: LlamaCppFlags
    gpus: tuple[Device, ...]
    ram: Device | None
    margin_bytes: int
    rules: Rules

    @property
    def n_all(self) -> int:
        """Layers and the head."""
        return self.model.network.n_layers + 1

    @property
    def last(self) -> int:
        return len(self.gpus) - 1

    def used(self, split: Split) -> list[int]:
        """Bytes on each GPU, without the driver's own share."""
        loads = memory_loads(self.model, self.flags, split, self.gpus, self.ram, self.rules)
        return [load.needed_bytes - load.term_bytes(_DRIVER) for load in loads if load.device.is_gpu]

    def targets(self) -> list[int]:
        """The most that each GPU may hold: the driver has its share by the time the engine asks what is free."""
        return [gpu.capacity_bytes - DRIVER_BYTES - self.margin_bytes for gpu in self.gpus]

    def split(self, shares: Sequence[_Share]) -> Split:
        n_gpu_layers = sum(share.n_layers for share in shares)
        first = self.n_all - n_gpu_layers
        overrides: list[TensorOverride] = []
        without: list[str] = []
        for index, share in enumerate(shares):
            first += share.n_full
            part = range(first, first + share.n_part)
            if share.overflow != "experts" and part:
                device = self.gpus[index + 1].name if index < self.last else "CPU"
                overrides.append(TensorOverride(pattern=_PARTS[share.overflow].format(first), device=device))
                part = part[1:]
            without += [str(layer) for layer in part]
            first += share.n_part
        if without:
            overrides.append(TensorOverride(pattern=_EXPERTS.format("|".join(without)), device="CPU"))
        return Split(
            n_gpu_layers=n_gpu_layers,
            tensor_split=tuple(float(share.n_layers) for share in shares) if len(shares) > 1 else None,
            overrides=tuple(overrides),
        )

    def measured(self, shares: Sequence[_Share]) -> list[int]:
        return self.used(self.split(shares))


def own_fit(
    model: DescribedModel,
    flags: LlamaCppFlags,
    gpus: Sequence[Device],
    ram: Device | None,
    margin_bytes: int,
) -> OwnFit:
    """The split that llama-server chooses for GPUs that it sees, each with `margin_bytes` to be left free.

    `gpus` are those offered to it, their capacity what is free. The context is not shortened, because Ollama and
    `-c` give it. Numbers are as the engine's planning sees them, which holds no norms on devices (Mainline.pins).
    """
    offered = tuple(replace(gpu, shares_ram=False) for gpu in gpus)
    fit = _Fit(model, flags, offered, ram, margin_bytes, Mainline(pins=False))
    whole = Split(n_gpu_layers=fit.n_all)
    if not gpus:
        return OwnFit(split=Split(n_gpu_layers=0), is_whole=False)
    if all(used <= most for used, most in zip(fit.used(whole), fit.targets(), strict=True)):
        return OwnFit(split=whole, is_whole=True)
    is_mixture = model.network.is_mixture_of_experts()
    shares = _fill(fit, is_mixture=is_mixture)
    if is_mixture and _has_room_beside_experts(fit):
        shares = _convert(fit, shares)
    return OwnFit(split=fit.split(shares), is_whole=False)


def _has_room_beside_experts(fit: _Fit) -> bool:
    everything = TensorOverride(pattern=_EXPERTS.format(r"\d+"), device="CPU")
    used = fit.used(Split(n_gpu_layers=fit.n_all, overrides=(everything,)))
    return sum(fit.targets()) > sum(used)


def _fill(fit: _Fit, *, is_mixture: bool) -> list[_Share]:
    """Step 3: as many layers as each GPU takes, from the last GPU to the first; experts stay in main memory."""
    shares = [_Share() for _ in fit.gpus]
    targets = fit.targets()
    for index in reversed(range(len(shares))):
        n_left = fit.n_all - sum(share.n_layers for share in shares[index + 1 :])

        def with_layers(n: int, at: int = index, now: tuple[_Share, ...] = tuple(shares)) -> list[_Share]:
            # The head cannot be without a part of it, and lies on the last GPU.
            n_part = (n if at < fit.last else max(0, n - 1)) if is_mixture else 0
            return [*now[:at], _Share(n, n_part), *now[at + 1 :]]

        def fits(n: int, at: int = index, make: Callable[[int], list[_Share]] = with_layers) -> bool:
            return fit.measured(make(n))[at] <= targets[at]

        shares = with_layers(_most(n_left, fits))
    return shares


def _most(n_most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `n_most` that fits; more never needs less, and none always fits."""
    low, high = 0, n_most + 1
    if n_most and fits(n_most):
        return n_most
    high = n_most
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def _convert(fit: _Fit, shares: list[_Share]) -> list[_Share]:
    """Step 4: layers get their experts back, from the first GPU on, which takes them from those behind it."""
    targets = fit.targets()
    dense = next(i for i, share in enumerate(shares) if share.n_layers)  # the first GPU with layers to give
    index = 0
    while index <= dense < len(shares):
        now = tuple(shares)
        n_part = sum(share.n_part for share in shares)

        def moved(n: int, at: int = index, now: tuple[_Share, ...] = now, start: int = dense) -> list[_Share]:
            found = list(now)
            for j in range(start, len(found)):
                taken = min(n, found[j].n_part)
                found[j] = replace(
                    found[j], n_layers=found[j].n_layers - taken, n_part=found[j].n_part - taken
                )
                found[at] = replace(found[at], n_layers=found[at].n_layers + taken)
                n -= taken
            return found

        def fits(n: int, at: int = index, make: Callable[[int], list[_Share]] = moved) -> bool:
            return fit.measured(make(n))[at] <= targets[at]

        shares = moved(_most(n_part, fits))
        dense = next((j for j in range(dense, len(shares)) if shares[j].n_part), fit.last)
        if shares[dense].n_layers > (0 if index < fit.last else 1) and shares[dense].n_part:
            shares = _with_a_part(fit, shares, index, dense)
            dense = next((j for j in range(dense, len(shares)) if shares[j].n_part), len(shares))
        index += 1
    return shares


def _with_a_part(fit: _Fit, shares: list[_Share], index: int, dense: int) -> list[_Share]:
    """One more layer of which a part fits, the largest that does."""
    targets = fit.targets()

    def with_part(overflow: str) -> list[_Share]:
        found = list(shares)
        found[dense] = replace(
            found[dense], n_layers=found[dense].n_layers - 1, n_part=found[dense].n_part - 1
        )
        found[index] = replace(
            found[index],
            n_layers=found[index].n_layers + 1,
            n_part=found[index].n_part + 1,
            overflow=overflow,
        )
        return found

    def fits(found: list[_Share]) -> bool:
        used = fit.measured(found)
        return used[index] < targets[index] and (index == fit.last or used[index + 1] < targets[index + 1])

    up = with_part("up")
    if fits(up):
        gate = with_part("gate")
        return gate if fits(gate) else up
    attention = with_part("attention")
    return attention if fits(attention) else shares

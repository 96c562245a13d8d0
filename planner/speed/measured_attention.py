"""What a step's attention takes in llama.cpp on processors, from measurements of one thread.

A head meets a cached token in so many nanoseconds, a part for each pair and a part for each element: a line through
heads of different sizes over F16, by instructions and by kernel. A cache of another type stretches both.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from planner.errors import PlannerError
from planner.model.ggml_types import type_by_name
from planner.speed.device import SpeedDevice, cpu_device
from planner.speed.effects import Level, least_factor, start_logarithm
from planner.speed.factors import Effect
from planner.speed.processor_attention import ATTENTION, PAIR_S, PAIRS, cache_class
from profiles.errors import ProfileError

_OVERALL_SD: Final = 0.3  # of another processor, natural logarithms
_KIND_SD: Final = 0.25  # of a kernel, a cache's type, instructions
_PLAIN_CACHE: Final = "F16"
_NANO: Final = 1e-9
_FLOP_PER_ELEMENT: Final = 4.0  # of keys and values: multiplied and added, both


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    kernel: str  # fused or plain
    cache_type: str
    device: SpeedDevice
    head_dim: int
    seconds: float  # of a head with one cached token


_Line = tuple[float, float]  # seconds of a pair, and of an element


def attention_effects(rows: Iterable[Mapping[str, str | None]]) -> tuple[Effect, ...]:
    """Effects of a step's attention on processors; raises ProfileError naming a row that is none."""
    measured = [_measured(row) for row in rows]
    lines = {
        (kernel, device): _line([row for row in measured if row.kernel == kernel and row.device == device])
        for kernel, device in {(row.kernel, row.device): None for row in measured}
    }
    found = []
    for part, operator in enumerate(ATTENTION if measured else ()):
        here = f"{operator} cpu llama.cpp"
        factors = {key: _logarithm(operator, key[1], line[part]) for key, line in lines.items()}
        fused = {device: value for (kernel, device), value in factors.items() if kernel == "fused"}
        base = fmean(fused.values())
        found.append(_effect(here, "operator", base, _OVERALL_SD))
        found += [
            _effect(f"{here} {device.architecture}", "type_family", value - base, _KIND_SD)
            for device, value in fused.items()
        ]
        plain = [value - fused[device] for (kernel, device), value in factors.items() if kernel == "plain"]
        if plain:
            found.append(_effect(f"{here} plain", "attention", fmean(plain), _KIND_SD))
    return (*found, *_of_types(measured, lines))


def _measured(row: Mapping[str, str | None]) -> _Measured:
    try:
        kernel = next(name for name in ("fused", "plain") if name == row["kernel"])
        cache_type = type_by_name(row["cache_type"] or "").name
        head_dim = int(row["head_dim"] or "")
        seconds = float(row["ns"] or "") * _NANO
        instructions = (row["instruction_sets"] or "").split(";")
        if not 0 < seconds < math.inf or head_dim <= 0:
            raise ValueError("a time or width that is not positive")
    except (KeyError, ValueError, StopIteration, PlannerError) as error:
        raise ProfileError(f"measured attention, {row.get('id')!r}: {error!r}") from error
    device = cpu_device("measured", 1.0, 1, beside_gpu=False, instruction_sets=instructions)
    return _Measured(
        kernel=kernel, cache_type=cache_type, device=device, head_dim=head_dim, seconds=seconds
    )  # fmt: skip


def _line(rows: Sequence[_Measured]) -> _Line:
    """Seconds of a pair and of an element that explain heads of all sizes over F16, relative errors squared."""
    of_f16 = [row for row in rows if row.cache_type == _PLAIN_CACHE]
    weights = [row.seconds**-2 for row in of_f16]
    width = fmean((row.head_dim for row in of_f16), weights)
    middle = fmean((row.seconds for row in of_f16), weights)
    pairs = list(zip(weights, of_f16, strict=True))
    rise = sum(weight * (row.head_dim - width) * (row.seconds - middle) for weight, row in pairs)
    per_element = rise / sum(weight * (row.head_dim - width) ** 2 for weight, row in pairs)
    return middle - per_element * width, per_element


def _logarithm(operator: str, device: SpeedDevice, seconds: float) -> float:
    """What effects have to add up to, of a pair's or an element's seconds."""
    ideal = PAIR_S if operator == PAIRS else _FLOP_PER_ELEMENT / device.widened_flop_per_s
    return math.log(seconds / ideal - least_factor(operator, device)) - start_logarithm(operator, device)


def _of_types(rows: Sequence[_Measured], lines: Mapping[tuple[str, SpeedDevice], _Line]) -> list[Effect]:
    """How much longer caches of other types take than F16 ones of the same heads and kernel."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.cache_type != _PLAIN_CACHE and row.kernel == "fused":
            per_pair, per_element = lines[row.kernel, row.device]
            beside = row.seconds / (per_pair + per_element * row.head_dim)
            found.setdefault(row.cache_type, []).append(math.log(beside))
    return [
        _effect(
            f"type-attend cpu llama.cpp {cache_class(name)}", "type_backend", fmean(found[name]), _KIND_SD
        )
        for name in sorted(found)
    ]


def _effect(name: str, level: Level, value: float, sd: float) -> Effect:
    return Effect(name=name, level=level, value=value, n_measurements=1, n_devices=1, sd=sd)

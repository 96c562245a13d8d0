"""What llama.cpp's kernels for processors reach, by type and instructions, from measurements of one thread.

Published rows of processors are nearly all of a fork with kernels of its own, so a fit of those says nothing of the
types that llama.cpp multiplies slowly. These effects are means of logarithms: of all products, of each kernel's beside
that, of a type's in its kernel, and what a type with certain instructions differs by from its mean.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from hardware.units import GIGA
from planner.speed.device import cpu_device
from planner.speed.effects import Level, least_factor, processor_product, start_logarithm
from planner.speed.factors import LARGEST_LOGARITHM, Effect
from planner.speed.kernels import processor_kernel
from planner.speed.processor_steps import MEASURED_TOKENS, PRODUCTS
from planner.speed.work import type_class
from profiles.errors import ProfileError

# Natural logarithms: what another processor with the same instructions may differ by in all products, by its clock
# and units, and in one kernel or type beside that.
_OVERALL_SD: Final = 0.25
_KERNEL_SD: Final = 0.15
_TYPE_SD: Final = 0.1
_ATTENTION: Final = "attention"  # in place of a type: fused attention over an F16 cache


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A row: the logarithm that effects have to add up to, and what they go by."""

    name: str  # a class of types, or attention
    kernel: str
    instructions: str
    logarithm: float


def processor_product_effects(rows: Iterable[Mapping[str, str | None]]) -> tuple[Effect, ...]:
    """Effects of products and attention on processors; raises ProfileError naming a row that is none.

    A row holds FLOP per second of one thread's products with weights of a type, on a processor with the instructions
    that it names: of a prompt (`gflop_per_s`), and of steps with so many tokens (`gflop_per_s_1` …) where those were
    measured. What unscaling takes is within.
    """
    every = tuple(rows)
    measured = [_measured(row) for row in every]
    products = [row for row in measured if row.name != _ATTENTION]
    attention = [row for row in measured if row.name == _ATTENTION]
    found = [*_of_products("multiply", products), *_of_attention(attention)]
    if products:
        found.append(_effect(processor_product("rescale"), "backend", -LARGEST_LOGARITHM, 0, _KERNEL_SD))
    for operator, n in zip(PRODUCTS[:-1], MEASURED_TOKENS, strict=False):
        column = f"gflop_per_s_{n}"
        found += _of_products(
            operator, [_measured(row, operator, column) for row in every if row.get(column)]
        )
    return tuple(found)


def _measured(
    row: Mapping[str, str | None], operator: str = "multiply", column: str = "gflop_per_s"
) -> _Measured:
    try:
        name = row["type"] or ""
        measured = float(row[column] or "") * GIGA
        instructions = (row["instruction_sets"] or "").split(";")
        if not measured > 0:
            raise ValueError("the rate is not positive")
    except (KeyError, ValueError) as error:
        raise ProfileError(f"measured products, {row.get('id')!r}: {error!r}") from error
    device = cpu_device("measured", 1.0, 1, beside_gpu=False, instruction_sets=instructions)
    operator = _ATTENTION if name == _ATTENTION else operator
    name = name if name == _ATTENTION else type_class(name)
    if operator in PRODUCTS:
        ideal = device.widened_flop_per_s
    else:
        ideal = device.fp16_flop_per_s if name == _ATTENTION else device.product_flop_per_s(name)
    factor = ideal / measured
    least = least_factor(operator, device)
    return _Measured(
        name=name,
        kernel=processor_kernel(name, device.architecture),
        instructions=device.architecture,
        logarithm=math.log(max(factor - least, least / 100)) - start_logarithm(operator, device),
    )


def _of_products(operator: str, rows: Sequence[_Measured]) -> Iterator[Effect]:
    here = processor_product(operator)
    left = [row.logarithm for row in rows]
    yield from _means(rows, left, lambda _: here, "backend", _OVERALL_SD)
    yield from _means(rows, left, lambda row: f"{here} {row.kernel}", "backend", _KERNEL_SD)
    yield from _means(
        rows, left, lambda row: f"type-{here} {row.name} {row.kernel}", "type_backend", _TYPE_SD
    )
    yield from _means(
        rows, left, lambda row: f"type-{here} {row.name} {row.instructions}", "type_family", _TYPE_SD
    )


def _of_attention(rows: Sequence[_Measured]) -> Iterator[Effect]:
    here = processor_product("attention")
    left = [row.logarithm for row in rows]
    yield from _means(rows, left, lambda _: here, "backend", _OVERALL_SD)
    yield from _means(rows, left, lambda row: f"{here} {row.instructions}", "type_family", _TYPE_SD)


def _means(
    rows: Sequence[_Measured], left: list[float], name: Callable[[_Measured], str], level: Level, sd: float
) -> Iterator[Effect]:
    """The mean of what is left of rows that share a name, taken off there."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        found[name(row)].append(index)
    for shared, indices in found.items():
        mean = fmean(left[index] for index in indices)
        for index in indices:
            left[index] -= mean
        yield _effect(shared, level, mean, len(indices), sd)


def _effect(name: str, level: Level, value: float, n: int, sd: float) -> Effect:
    return Effect(name=name, level=level, value=value, n_measurements=n, n_devices=1, sd=sd)

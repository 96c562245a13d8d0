"""What llama.cpp's kernels for processors reach, by type, from measurements of one thread: effects without a fit.

Published rows of processors are nearly all of a fork with kernels of its own, so a fit of those says nothing of the
types that llama.cpp multiplies slowly.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Final

from hardware.units import GIGA
from planner.speed.device import cpu_device
from planner.speed.effects import Level, least_factor, start_logarithm
from planner.speed.factors import LARGEST_LOGARITHM, Effect
from planner.speed.kernels import WHOLE_TYPES
from planner.speed.work import type_class
from profiles.errors import ProfileError

_SD: Final = (
    0.25  # natural logarithm: what another processor with the same instructions may differ by in one type
)
_OVERALL: Final = "multiply cpu llama.cpp"


def processor_product_effects(rows: Iterable[Mapping[str, str | None]]) -> tuple[Effect, ...]:
    """An effect for products in general and one for each class of types; raises ProfileError naming a row that is none.

    A row holds FLOP per second of one thread's products with weights of a type, on a processor with the instructions
    that it names. What unscaling takes is within.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        try:
            name = row["type"] or ""
            measured = float(row["gflop_per_s"] or "") * GIGA
            instructions = (row["instruction_sets"] or "").split(";")
            if not measured > 0:
                raise ValueError("the rate is not positive")
        except (KeyError, ValueError) as error:
            raise ProfileError(f"measured products, {row.get('id')!r}: {error!r}") from error
        device = cpu_device("measured", 1.0, 1, beside_gpu=False, instruction_sets=instructions)
        factor = device.product_flop_per_s(whole=type_class(name) in WHOLE_TYPES) / measured
        least = least_factor("multiply", device)
        logarithm = math.log(max(factor - least, least / 100)) - start_logarithm("multiply", device)
        found[type_class(name)].append(logarithm)
    if not found:
        return ()
    overall = fmean(fmean(values) for values in found.values())
    return (
        _effect("rescale cpu llama.cpp", "backend", -LARGEST_LOGARITHM, 0),
        _effect(_OVERALL, "backend", overall, sum(len(values) for values in found.values())),
        *(
            _effect(f"type-{_OVERALL} {name}", "type_backend", fmean(values) - overall, len(values))
            for name, values in found.items()
        ),
    )


def _effect(name: str, level: Level, value: float, n: int) -> Effect:
    return Effect(name=name, level=level, value=value, n_measurements=n, n_devices=1, sd=_SD)

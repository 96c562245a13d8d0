"""The largest load that a replica carries: found by halving on one ladder of loads that all questions share.

The rungs are powers of two with exponents at equal steps, and halving always asks the same rungs in the same order. So a
looser objective, which holds wherever a stricter one does, never ends on a lower rung, even where simulated percentiles
jitter from rung to rung.
"""

from collections.abc import Callable
from typing import Final

_LOWEST: Final = -16  # exponents of two: from one task in 18 hours to a million per second, or users
_HIGHEST: Final = 20
DEPTH: Final = 10  # halvings: 36 octaves in 1,024 rungs, 2.5 % from one to the next


def rung(index: int) -> float:
    """The load of a rung, 0 … 2^DEPTH − 1."""
    octaves: float = _HIGHEST - _LOWEST
    load: float = 2.0 ** (_LOWEST + octaves * (index + 1) / 2**DEPTH)
    return load


def largest_load(holds: Callable[[float], bool], most: float, least: float = 0.0) -> float | None:
    """The largest rung at which the objectives hold, from `least` to below `most`; None without one.

    `most` is a load that is surely not carried. A rung below `least` counts as nothing and is not asked; to keep the
    promise about looser objectives, `least` must not depend on them.
    """
    low, high = -1, 2**DEPTH  # holds at low, not at high
    while high - low > 1:
        middle = (low + high) // 2
        load = rung(middle)
        low, high = (middle, high) if load < least or (load < most and holds(load)) else (low, middle)
    return None if low < 0 or rung(low) < least else rung(low)

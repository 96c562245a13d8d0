"""How sure a start-up account is: what each term may be instead, and what that leaves for the cache.

The bounds are what recorded start-ups spread over, and wider where a rule was read and not measured. Terms are taken
as independent, so their spreads add as squares; the interval should hold the truth four times in five.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Final

from hardware.units import GIB
from planner.estimate.term import Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The least and the most that is left for caches, in bytes."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What a term may be: factors of its value, and no less or more than these bytes."""

    low_factor: float = 1.0
    high_factor: float = 1.0
    low_bytes: float = 0.0
    high_bytes: float = 0.0

    def low(self, value: float) -> float:
        """The least that the term may be."""
        return min(value, max(0.0, value * self.low_factor, self.low_bytes))

    def high(self, value: float) -> float:
        """The most that the term may be."""
        return max(value * self.high_factor, self.high_bytes, value)


# By the term's name up to its end: the longest that fits decides.
_SPREADS: Final = {
    "weights": Spread(
        low_factor=0.985, high_factor=1.015
    ),  # 20 models: nine in ten within 3 %, the middle 0.2 %
    "rotary tables and copies": Spread(low_factor=0.5, high_factor=2.0),
    "activations": Spread(low_factor=0.8, high_factor=1.3),
    "activations: vision or audio encoder": Spread(low_bytes=0.2 * GIB, high_bytes=2.5 * GIB),
    "context and libraries": Spread(low_bytes=0.05 * GIB, high_bytes=0.6 * GIB),
    "CUDA graphs": Spread(low_bytes=0.08 * GIB, high_bytes=1.2 * GIB),
}
_UNCERTAIN_SAMPLER: Final = Spread(low_factor=0.5, high_factor=2.0)


def kv_bounds(kv_bytes: int, terms: Iterable[Term], *, sampler_is_measured: bool = True) -> Bounds:
    """The interval of what is left for caches."""
    less = more = 0.0
    for term in terms:
        spread = _spread(term.name)
        if term.name.endswith(": sampler") and not sampler_is_measured:
            spread = _UNCERTAIN_SAMPLER
        more += (term.value - spread.low(term.value)) ** 2
        less += (spread.high(term.value) - term.value) ** 2
    return Bounds(low=round(kv_bytes - sqrt(less)), high=round(kv_bytes + sqrt(more)))


def _spread(name: str) -> Spread:
    if name in _SPREADS:
        return _SPREADS[name]
    return _SPREADS[name.partition(":")[0]]

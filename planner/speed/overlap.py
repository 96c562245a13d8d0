"""Reading weights and multiplying with them at the same time, as processors do: together they take the longer, nearly.

    seconds = (reading³ + products³) ^ ⅓

of the weights of one type on one device. One thread of a Zen 5 with weights of ten types from memory is within 11 % of
that; the sum of both is up to 60 % too long, the longer alone up to 25 % too short.
"""

from collections.abc import Sequence
from typing import Any

from planner.speed.operator_time import OperatorTime
from planner.speed.processor_attention import ATTENTION, NEAR_CACHE
from planner.speed.processor_steps import PRODUCTS

_POWER = 3.0
_NOTHING = 1e-300  # seconds; where neither takes any time, nothing is shared
_SIDES = {
    "read": 0, "read_experts": 0, NEAR_CACHE: 0, **dict.fromkeys((*PRODUCTS, *ATTENTION), 1),
}  # fmt: skip

Side = tuple[int, str, int]  # of reading (0) or products (1) with a type on a device


def sides(times: Sequence[OperatorTime]) -> tuple[Side | None, ...]:
    """Which side of which pair each operator is on; None for what has no products beside it."""
    pairs = {(time.device, time.type_class) for time in times if _SIDES.get(time.operator) == 1}
    return tuple(
        (time.device, time.type_class, _SIDES[time.operator])
        if time.operator in _SIDES and (time.device, time.type_class) in pairs
        else None
        for time in times
    )


def other_side(side: Side) -> Side:
    """What runs beside it."""
    return (side[0], side[1], 1 - side[2])


def seen_share(own: Any, other: Any) -> Any:
    """The share of its seconds by which a side prolongs the step, beside another; the slope of the sum too.

    Both shares make up what they take together: own · share + other · share of the other.
    """
    together = (own**_POWER + other**_POWER) ** (1 / _POWER)
    return ((own + _NOTHING) / (together + _NOTHING)) ** (_POWER - 1)


def beside_each_other(times: Sequence[OperatorTime], seconds: Sequence[Any]) -> tuple[Any, ...]:
    """Seconds of operators with what runs beside another counted as far as it prolongs the step."""
    found = sides(times)
    sums: dict[Side, Any] = {}
    for side, took in zip(found, seconds, strict=True):
        if side is not None:
            sums[side] = sums.get(side, 0.0) + took
    return tuple(
        took if side is None else took * seen_share(sums[side], sums.get(other_side(side), 0.0))
        for side, took in zip(found, seconds, strict=True)
    )

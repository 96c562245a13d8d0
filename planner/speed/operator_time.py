"""Ideal seconds of operators, added up."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

F16_BYTES = 2.0
LAUNCH_S = 1e-6  # the unit that launches count in; how long one takes is fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTime:
    """One kind of operator on one device: its ideal seconds, over all layers there."""

    device: int
    operator: str
    type_class: str
    ideal_s: Any


class Sums:
    """Ideal seconds added up by device, operator and class."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, str, str], Any] = defaultdict(float)

    def add(self, device: int, operator: str, type_class: str, ideal_s: Any) -> None:
        """Adds to what a device spends on an operator."""
        key = (device, operator, type_class)
        self._sums[key] = self._sums[key] + ideal_s

    def times(self) -> tuple[OperatorTime, ...]:
        """The sums, in the order that they were begun in."""
        return tuple(
            OperatorTime(device=device, operator=operator, type_class=name, ideal_s=ideal_s)
            for (device, operator, name), ideal_s in self._sums.items()
        )

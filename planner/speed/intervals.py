"""80 % intervals of speeds: bounds of measured over expected speed, as wide as what a prediction does not know.

`spread_fit` makes them of what fits missed by on rows that they had not seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

# Whether the device, and whether the model, had been measured in that phase by anybody. After a benchmark of another
# model on this very machine: whether the model had been measured elsewhere ("bench") or not ("bench_new"), or nothing
# but the rate per byte or FLOP that the benchmark sustained ("bench_rate").
Knowledge = Literal["both", "device", "model", "neither", "bench", "bench_new", "bench_rate"]
KNOWLEDGE: tuple[Knowledge, ...] = get_args(Knowledge)
ELSEWHERE: tuple[Knowledge, ...] = ("both", "device", "model", "neither")
AFTER_BENCH: tuple[Knowledge, ...] = ("bench", "bench_new")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Standard deviations of a step's log time that come from what is not known; arrays where the step's times are."""

    machine: Any  # from effects of devices, families, types on them that nobody has measured
    model: Any  # from a model, an architecture that nobody has measured
    known: Any  # from effects that were measured, the more the seldomer they were


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening:
    """How far a bound lies from the expected speed, as a logarithm: more with everything that is not known."""

    least: float
    machine: float
    model: float
    known: float

    def at(self, doubt: Doubt) -> Any:
        """The distance at a doubt."""
        return self.least + self.machine * doubt.machine + self.model * doubt.model + self.known * doubt.known


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Bounds of measured over expected speed in four cases of five.

    With widenings, the ratios are those of a usual case of this state, and each case has its own.
    """

    speed_class: str
    knowledge: Knowledge
    low_ratio: float
    high_ratio: float
    n_groups: int
    n_rows: int
    slower: Widening | None = None
    faster: Widening | None = None

    def ratios(self, doubt: Doubt) -> tuple[Any, Any]:
        """The bounds at a doubt."""
        if self.slower is None or self.faster is None:
            return self.low_ratio, self.high_ratio
        return math.e ** -self.slower.at(doubt), math.e ** self.faster.at(doubt)


def knowledge(*, device: bool, model: bool) -> Knowledge:
    """The state of knowledge by its name."""
    if device and model:
        return "both"
    if device:
        return "device"
    return "model" if model else "neither"


def choose_spread(known: Sequence[Spread], speed_class: str, *states: Knowledge) -> Spread | None:
    """The bounds of a class; where several states hold, the narrowest. A class without any has none."""
    fitting = [spread for spread in known if spread.speed_class == speed_class and spread.knowledge in states]
    return min(fitting, key=lambda spread: spread.high_ratio / spread.low_ratio, default=None)

"""Which layers of a network stand for all of it: plain arithmetic over kinds of layers and what they weigh.

An engine's code keys on where a layer stands: the first ones may be dense, every sixth may look at the whole
context. So the leading layers are kept, and then whole periods of the pattern. Which periods is free, since
quantization recipes give some layers larger types: those are taken whose mean is nearest that of all.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

_MAX_PERIOD = 16
_MAX_LEADING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A network's layers: `leading` ones, then periods of `period`; the last may be a part of one."""

    n_layers: int
    leading: int
    period: int

    @property
    def n_periods(self) -> int:
        """Whole periods."""
        return (self.n_layers - self.leading) // self.period

    def layers_of(self, period: int) -> range:
        """The layers of one period."""
        start = self.leading + period * self.period
        return range(start, start + self.period)


def find_pattern(kinds: Sequence[Hashable]) -> Pattern | None:
    """The shortest start and period after which kinds repeat at least twice; None for a list without one."""
    n = len(kinds)
    found = [
        (leading + period, leading, period)
        for leading in range(min(_MAX_LEADING, n - 1) + 1)
        for period in range(1, min(_MAX_PERIOD, (n - leading) // 2) + 1)
        if all(kinds[i] == kinds[i - period] for i in range(leading + period, n))
    ]
    if not found:
        return None
    _, leading, period = min(found)
    return Pattern(n_layers=n, leading=leading, period=period)


def sample_layers(
    pattern: Pattern, weights: Sequence[Mapping[str, float]], n_periods: int
) -> tuple[int, ...]:
    """The leading layers and that many periods, in order, so that each part weighs about what it does on average.

    `weights` says of each layer how many bytes of each type it holds.
    """
    if not 1 <= n_periods <= pattern.n_periods:
        raise ValueError(f"asked for {n_periods} periods of {pattern.n_periods}")
    totals = [_summed(weights[i] for i in pattern.layers_of(period)) for period in range(pattern.n_periods)]
    everything = _summed(totals)
    wanted = {name: total / pattern.n_periods for name, total in everything.items()}
    chosen: list[int] = []
    held: dict[str, float] = {}
    for n in range(1, n_periods + 1):
        # Where several serve alike, the one nearest the middle of its share of the depth.
        middle = (n - 0.5) / n_periods * pattern.n_periods - 0.5
        best = min(
            (period for period in range(pattern.n_periods) if period not in chosen),
            key=lambda period: (
                round(_distance(_summed((held, totals[period])), wanted, n), 6),
                abs(period - middle),
            ),
        )
        chosen.append(best)
        held = _summed((held, totals[best]))
    layers = [i for period in sorted(chosen) for i in pattern.layers_of(period)]
    return (*range(pattern.leading), *layers)


def _summed(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, weight in part.items():
            total[name] = total.get(name, 0.0) + weight
    return total


def _distance(held: Mapping[str, float], wanted: Mapping[str, float], n: int) -> float:
    """How far the mean of what is held lies from what is wanted, as a share of all of it."""
    names = wanted.keys() | held.keys()
    off = sum(abs(held.get(name, 0.0) / n - wanted.get(name, 0.0)) for name in names)
    return off / (sum(wanted.values()) or 1.0)

"""What a step costs in energy: waiting for its time, and the bytes and FLOP that it moves and does.

    joules = Σ devices  limit_w · min(step_s, waiting · step_s + memory · ideal byte seconds + arithmetic · ideal FLOP seconds)

The coefficients are shares of the device's power limit: while it holds a model and waits, and what moving bytes at the
full bandwidth and computing at the peak rate add. A device that nothing of a step runs on waits all the while.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from planner.speed.effects import least_factor
from planner.speed.factors import Case
from planner.speed.operator_facts import OPERATORS
from planner.speed.operator_time import OperatorTime
from profiles.errors import ProfileError

Part = Literal["waiting", "memory", "arithmetic"]
End = Literal["low", "expected", "high"]  # of the coefficients' ranges
# Moved in the device's memory though no factor bounds them, and what goes over a link instead.
_MOVED = frozenset(("state", "activations", "scores"))
_NOT_MOVED = frozenset(("copy_weights", "between_gpus", "between_linked", "network", "network_wait"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerShare:
    """One coefficient with the range of what was measured."""

    memory_kind: str  # "any" for all
    part: Part
    low: float
    expected: float
    high: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerShares:
    """The three coefficients of one device, at one end of their ranges or in the middle."""

    waiting: float
    memory: float
    arithmetic: float


def shares_from(rows: Iterable[Mapping[str, str | None]]) -> tuple[PowerShare, ...]:
    """The coefficients of a calibration file; raises ProfileError naming the row that is none."""
    found = []
    for row in rows:
        try:
            part = next(known for known in get_args(Part) if known == row["part"])
            found.append(
                PowerShare(
                    memory_kind=row["memory_kind"] or "",
                    part=part,
                    low=float(row["low"] or ""),
                    expected=float(row["expected"] or ""),
                    high=float(row["high"] or ""),
                    source=row["source"] or "",
                )
            )
        except (KeyError, ValueError, StopIteration) as error:
            raise ProfileError(f"power calibration, {row.get('id')!r}: {error!r}") from error
    return tuple(found)


def shares_of(known: Sequence[PowerShare], memory_kind: str, end: End) -> PowerShares | None:
    """The coefficients of a kind of memory; None where one was not measured."""
    found: dict[str, float] = {}
    for share in known:
        if share.memory_kind in ("any", memory_kind):
            found[share.part] = {"low": share.low, "expected": share.expected, "high": share.high}[end]
    if len(found) < 3:
        return None
    return PowerShares(waiting=found["waiting"], memory=found["memory"], arithmetic=found["arithmetic"])


def step_joules(limit_w: float, shares: PowerShares, step_s: float, byte_s: float, flop_s: float) -> float:
    """Energy of one device in one step; no device draws more than its limit."""
    busy_s = shares.waiting * step_s + shares.memory * byte_s + shares.arithmetic * flop_s
    return limit_w * min(step_s, busy_s)


def ideal_seconds(case: Case) -> Mapping[int, tuple[float, float]]:
    """By device: seconds at the full bandwidth, and seconds at the peak of its fastest number type."""
    bytes_s: dict[int, float] = defaultdict(float)
    flop_s: dict[int, float] = defaultdict(float)
    for time in case.operators:
        if _is_moved(time):
            bytes_s[time.device] += float(time.ideal_s)
        elif OPERATORS[time.operator].bound == "flop" or time.operator == "attention":
            least = least_factor(time.operator, case.layout.device(time.device)) or 1.0
            flop_s[time.device] += least * float(time.ideal_s)
    return {index: (bytes_s[index], flop_s[index]) for index in {*bytes_s, *flop_s}}


def _is_moved(time: OperatorTime) -> bool:
    bound = OPERATORS[time.operator].bound == "bytes"
    return (bound or time.operator in _MOVED) and time.operator not in _NOT_MOVED

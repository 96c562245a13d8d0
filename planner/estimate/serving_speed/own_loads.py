"""Loads that a person measured correct other loads of the same deployment: engine, GPU, model and weights.

How far a measurement strays from what is expected has a part that all loads of a deployment share and one of its own.
On the packaged measurements, each group predicted by a fit that had not seen it, the shared part has a standard deviation
of 0.11 in the logarithm of the time per token and of 0.38 in that of the time to the first one, the own part of 0.11 and
0.28 (both robust, 36 groups). So n measured loads with a median stray of m move the others by m · n·b² / (n·b² + w²), and
leave the rest of the spread. Other models on the same GPUs share next to nothing, and stay as they are.
"""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from planner.estimate.serving_speed.deployment import Deployment
from planner.estimate.serving_speed.latency_rows import LatencyRow
from planner.estimate.serving_speed.served_latency import ServedLatency
from planner.estimate.term import Interval

_SHARED_SD: Final = {"tpot": 0.11, "ttft": 0.38}
_OWN_SD: Final = {"tpot": 0.11, "ttft": 0.28}

Key = tuple[str, str, str, float, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLoad:
    """One measured load: whose, and log of measured over expected times."""

    key: Key
    tpot_log_ratio: float
    ttft_log_ratio: float | None


def deployment_key(one: Deployment) -> Key:
    """What loads must have in common to share an error."""
    network = one.load.network
    return (
        one.engine,
        one.accelerator.id,
        network.architecture,
        float(network.parameters.text),
        one.weight_unit,
    )


def own_load(row: LatencyRow, expected: ServedLatency) -> OwnLoad:
    """How far a measured load strays from what is expected of it."""
    return OwnLoad(
        key=deployment_key(row.deployment),
        tpot_log_ratio=math.log(row.tpot_s / expected.tpot_s.expected),
        ttft_log_ratio=None if row.ttft_s is None else math.log(row.ttft_s / expected.ttft_s.expected),
    )


def n_loads_of(one: Deployment, loads: Iterable[OwnLoad]) -> int:
    """How many loads of this very deployment were measured."""
    return sum(load.key == deployment_key(one) for load in loads)


def corrected(answer: ServedLatency, one: Deployment, loads: Iterable[OwnLoad]) -> ServedLatency:
    """Times moved by what the deployment's own loads strayed, with bounds as much narrower as that tells."""
    own = [load for load in loads if load.key == deployment_key(one)]
    return replace(
        answer,
        tpot_s=_moved(answer.tpot_s, "tpot", [load.tpot_log_ratio for load in own]),
        ttft_s=_moved(
            answer.ttft_s, "ttft", [load.ttft_log_ratio for load in own if load.ttft_log_ratio is not None]
        ),
    )


def _moved(interval: Interval, quantity: str, strays: list[float]) -> Interval:
    if not strays:
        return interval
    shared, own = _SHARED_SD[quantity] ** 2, _OWN_SD[quantity] ** 2
    weight = len(strays) * shared / (len(strays) * shared + own)
    left = math.sqrt((own + (1 - weight) * shared) / (own + shared))
    expected = interval.expected * math.exp(weight * statistics.median(strays))
    return replace(
        interval,
        low=expected * (interval.low / interval.expected) ** left,
        expected=expected,
        high=expected * (interval.high / interval.expected) ** left,
        source=f"{interval.source}; moved by {len(strays)} measured loads of yours",
    )

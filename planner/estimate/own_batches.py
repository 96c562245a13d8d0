"""Batches that were benchmarked here: how far steps of several sequences of this very file lie from the model of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from planner.estimate.described_model import DescribedModel
from planner.estimate.local import LocalRates, OwnTest, is_of, newest, same_place
from planner.estimate.measurement import BenchRun, Measurement
from planner.estimate.placement import Placement
from planner.estimate.term import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnBatch:
    """A measured batch: tokens per second of all its sequences, over what is expected of it without."""

    n_sequences: int
    ratio: float
    low: float  # of the measurement's own interval, over its expected rate
    high: float
    source: str


def own_batches(
    local: LocalRates | None,
    model: DescribedModel,
    placement: Placement,
    expected: Callable[[int, int], float],
) -> tuple[OwnBatch, ...]:
    """The batches that benchmarks of the file hold, the newest of each; `expected(n, depth)` is what they are held against."""
    found: dict[int, list[tuple[BenchRun, Measurement]]] = {}
    for run in () if local is None else local.runs:
        if run.synthetic is not None or not is_of(run, model) or not same_place(run, placement):
            continue
        for item in run.measurements:
            if item.phase == "decode" and item.n_sequences > 1 and item.n_threads is None:
                found.setdefault(item.n_sequences, []).append((run, item))
    return tuple(_own_batch(newest(found[n]), expected) for n in sorted(found))


def _own_batch(test: OwnTest, expected: Callable[[int, int], float]) -> OwnBatch:
    item, measured = test.measured, test.interval()
    depth = item.n_depth_tokens + item.n_generated_tokens // 2
    return OwnBatch(
        n_sequences=item.n_sequences,
        ratio=measured.expected / expected(item.n_sequences, depth),
        low=measured.low / measured.expected,
        high=measured.high / measured.expected,
        source=measured.source,
    )


def with_own_batches(modelled: Interval, n_sequences: int, batches: Sequence[OwnBatch]) -> Interval:
    """The rate of a batch, carried to it from the nearest measured ones by the model's own ratio.

    Between one sequence, where the model agrees with the benchmark already, and the measured batches the correction
    runs on a line in log n; beyond the largest it stays, and the model's own doubt is kept.
    """
    if not batches:
        return modelled
    above = next((batch for batch in batches if batch.n_sequences >= n_sequences), None)
    below = next((batch for batch in reversed(batches) if batch.n_sequences <= n_sequences), None)
    if above is None:
        assert below is not None
        return _scaled(modelled, below.ratio, below.source)
    start_n, start_ratio = (1, 1.0) if below is None else (below.n_sequences, below.ratio)
    share = 0.0
    if above.n_sequences > start_n:
        share = math.log(n_sequences / start_n) / math.log(above.n_sequences / start_n)
    ratio = start_ratio + (above.ratio - start_ratio) * share
    scaled = _scaled(modelled, ratio if above.n_sequences > start_n else above.ratio, above.source)
    near = [batch for batch in (below, above) if batch is not None]
    return replace(
        scaled,
        low=scaled.expected * min(batch.low for batch in near),
        high=scaled.expected * max(batch.high for batch in near),
    )


def _scaled(interval: Interval, ratio: float, source: str) -> Interval:
    return replace(
        interval,
        low=interval.low * ratio,
        expected=interval.expected * ratio,
        high=interval.high * ratio,
        source=source,
    )

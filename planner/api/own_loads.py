"""The serving loads of the user's calibration, held against what the packaged fit expects of them."""

from collections.abc import Mapping, Sequence
from functools import cache

from planner.api.llama_cpp_factors import kept_in_use
from planner.api.serving_facts import serving_facts
from planner.api.serving_rows import measured_rows, row_reader
from planner.estimate.serving_speed.own_loads import OwnLoad, own_load
from planner.estimate.serving_speed.served_latency import served_latencies


def own_loads() -> tuple[OwnLoad, ...]:
    """How far the loads that the user measured stray from what is expected; none without such a calibration."""
    kept = kept_in_use()
    return () if kept is None or not kept.loads else _of_kept(kept.id)


@cache
def _of_kept(_: str) -> tuple[OwnLoad, ...]:
    kept = kept_in_use()
    return () if kept is None else strays(kept.loads)[0]


def strays(
    rows: Sequence[Mapping[str, str]],
) -> tuple[tuple[OwnLoad, ...], tuple[tuple[int, str], ...]]:
    """Rows of latencies as loads, and why some of them are none."""
    found, reasons = measured_rows(rows, row_reader())
    answers = served_latencies([row.deployment for row in found.values()], serving_facts())
    loads = tuple(own_load(row, answer) for row, answer in zip(found.values(), answers, strict=True))
    return loads, reasons

"""The serving loads that the user measured, held against what the packaged fit expects of them."""

from collections.abc import Mapping, Sequence
from functools import cache

from planner.api.llama_cpp_factors import kept_in_use
from planner.api.machines import loads_folder
from planner.api.measurement_files import load_table
from planner.api.serving_facts import serving_facts
from planner.api.serving_rows import measured_rows, row_reader
from planner.bench.load_store import stored_loads
from planner.errors import MissingFactError
from planner.estimate.serving_speed.own_loads import OwnLoad, own_load
from planner.estimate.serving_speed.served_latency import served_latencies


def own_loads() -> tuple[OwnLoad, ...]:
    """How far the loads that the user measured stray from what is expected: of the calibration in use, and kept load tests."""
    kept = kept_in_use()
    names = tuple(sorted(map(str, loads_folder().glob("*.json"))))
    if (kept is None or not kept.loads) and not names:
        return ()
    return _of_kept(kept.id if kept else "", names)


@cache
def _of_kept(_: str, __: tuple[str, ...]) -> tuple[OwnLoad, ...]:
    kept = kept_in_use()
    rows = [*(kept.loads if kept else ()), *_tested_rows()]
    distinct = {repr(sorted(row.items())): row for row in rows}
    return strays(tuple(distinct.values()))[0]


def _tested_rows() -> list[Mapping[str, str]]:
    """Rows of the kept load tests whose device was said; the others teach nothing."""
    rows: list[Mapping[str, str]] = []
    for item in stored_loads(loads_folder())[0]:
        if not item.run.question.device:
            continue
        try:
            rows += load_table(item.run, item.path.name).rows
        except MissingFactError:  # a server that does not tell its engine: `planner calibrate --engine` can
            continue
    return rows


def strays(
    rows: Sequence[Mapping[str, str]],
) -> tuple[tuple[OwnLoad, ...], tuple[tuple[int, str], ...]]:
    """Rows of latencies as loads, and why some of them are none."""
    found, reasons = measured_rows(rows, row_reader())
    answers = served_latencies([row.deployment for row in found.values()], serving_facts())
    loads = tuple(own_load(row, answer) for row, answer in zip(found.values(), answers, strict=True))
    return loads, reasons

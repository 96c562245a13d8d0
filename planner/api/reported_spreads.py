"""How far times stray that load generators report of servers nobody told more about, from a fit that has not seen them.

Tables of served throughput hold such times beside the rates. Of them count closed loops and the decoding phase of those; the time to the first token only
where the tool is known to start all requests together, once (llama-benchy): how often each slot asks decides it.

    python -m planner.api.reported_spreads RATES.csv --date 2026-11-28

writes `serving_reported_spread.csv` into the packaged calibrations; run it after every fit of serving latencies.
"""

import argparse
import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from hardware.units import MILLI
from planner.api.serving_facts import serving_folds
from planner.api.serving_rates import fold_of
from planner.api.serving_rows import row_reader
from planner.errors import MissingFactError
from planner.estimate.serving_speed.deployment import Deployment, batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.rate_rows import RateRow, read_rate
from planner.estimate.serving_speed.served_latency import kind
from planner.estimate.serving_speed.spread import Kind, Quantity, Spread, spreads_of
from planner.estimate.serving_speed.step_rates import StepRates
from planner.readers.measurement_table import read_table

Rows = Sequence[Mapping[str, str]]
_SOURCE: Final = "times that load generators report of vLLM and SGLang, by fits without their runs"
_ONE_ROUND: Final = "llama-benchy"
_COLUMNS: Final = (
    "id", "quantity", "engine", "model", "settings", "low_ratio", "high_ratio", "n_groups", "date", "source",
)  # fmt: skip
_LOOPS: Final = ("loop", "decoding")


def reported_spreads(rows: Rows, folds: Sequence[StepRates]) -> tuple[Spread, ...]:
    """The spreads of such times of a table of throughput, around fits that have not seen their groups."""
    found = [(row, one) for row, one in _read(rows) if one.load in _LOOPS]
    if not found:
        return ()
    deployments = [_reported(row, one) for row, one in found]
    questions = batch(deployments)
    by_fold = [latency(questions, rates) for rates in folds]
    strays: dict[Quantity, list[tuple[float, Kind, str]]] = {"tpot": [], "ttft": []}
    for i, (row, one) in enumerate(found):
        like, times = kind(deployments[i]), by_fold[fold_of(one.group)]
        if (tpot_s := _tpot_s(row, one)) is not None:
            strays["tpot"].append((math.log(tpot_s / float(times.tpot_s[i])), like, one.group))
        if (ttft_s := _seconds(row, "ttft_ms")) is not None and _ONE_ROUND in row.get("scenario", ""):
            strays["ttft"].append((math.log(ttft_s / float(times.ttft_s[i])), like, one.group))
    made: list[Spread] = []
    for quantity, items in strays.items():
        ratios, kinds, groups = (
            [one[0] for one in items],
            [one[1] for one in items],
            [one[2] for one in items],
        )
        made += spreads_of(quantity, ratios, kinds, groups, _SOURCE) if items else ()
    return tuple(spread for spread in made if spread.kind.settings == "reported")


def _read(rows: Rows) -> list[tuple[Mapping[str, str], RateRow]]:
    reader = row_reader()
    found = []
    for row in rows:
        try:
            found.append((row, read_rate(reader, row)))
        except MissingFactError:  # `planner validate speed` says why
            continue
    return found


def _reported(row: Mapping[str, str], one: RateRow) -> Deployment:
    schedule = replace(one.deployment.schedule, is_reported=True)
    if _ONE_ROUND in row.get("scenario", ""):
        schedule = replace(schedule, n_rounds=1.0)
    return replace(one.deployment, schedule=schedule)


def _tpot_s(row: Mapping[str, str], one: RateRow) -> float | None:
    """The time per token that is reported, else what the rate of the decoding phase alone makes of it."""
    told = _seconds(row, "tpot_ms")
    if told is None and one.load == "decoding":
        return one.n_copies * one.deployment.n_requests / one.tokens_per_s
    return told


def _seconds(row: Mapping[str, str], column: str) -> float | None:
    try:
        value = float(row.get(column) or "")
    except ValueError:
        return None
    return value * MILLI if 0 < value < math.inf else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the spreads around the packaged fits."""
    parser = argparse.ArgumentParser(prog="python -m planner.api.reported_spreads", description=__doc__)
    parser.add_argument("file", type=Path, help="a table of served throughput")
    parser.add_argument("--date", required=True, help="ISO 8601")
    parser.add_argument("--out", type=Path, default=Path("profiles/calibrations"))
    options = parser.parse_args(arguments)
    found = reported_spreads(read_table(options.file).rows, serving_folds())
    with (options.out / "serving_reported_spread.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for spread in found:
            like = spread.kind
            id_ = f"{spread.quantity}-{like.engine}-{like.model}-{like.settings}".replace("*", "any")
            bounds = f"{spread.low_ratio:.3f}", f"{spread.high_ratio:.3f}"
            kind_cells = like.engine, like.model, like.settings
            writer.writerow(
                (id_, spread.quantity, *kind_cells, *bounds, spread.n_groups, options.date, spread.source)
            )


if __name__ == "__main__":
    main()

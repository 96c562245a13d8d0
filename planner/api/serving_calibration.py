"""Refits what serving engines reach of a GPU to a file of measured latencies:

    python -m planner.api.serving_calibration LATENCIES.csv --throughput RATES.csv --date 2026-11-27

and to tokens per second beside them. It writes `serving_steps.csv`, `serving_steps_folds.csv` (fits without a part of the
throughput each), `serving_spread.csv` and `serving_devices.csv` into the packaged calibrations and prints the scores of
fits that had not seen the group that they predict, and of fits that had not seen the whole model or the whole system.
"""

import argparse
import csv
import hashlib
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.api.serving_apart import apart_spreads
from planner.api.serving_rates import (
    N_FOLDS,
    fitted_rates,
    fold_of,
    measured_rates,
    rate_spreads,
    rates_digest,
    read_rates,
    unseen_rates,
)
from planner.api.serving_rows import measured_rows, row_reader
from planner.estimate.serving_speed.cross_validation import LeftOut, leave_groups_out, rates_left_out
from planner.estimate.serving_speed.deployment import Deployment, batch
from planner.estimate.serving_speed.latency_rows import LatencyRow
from planner.estimate.serving_speed.rate_rows import RateRow
from planner.estimate.serving_speed.rates_fit import Measured, fit_ages, fit_rates
from planner.estimate.serving_speed.served_latency import kind
from planner.estimate.serving_speed.spread import Quantity, Spread, spread_of_new_devices, spreads_of
from planner.estimate.serving_speed.step_rates import StepRates
from planner.progress import Progress
from planner.readers.measurement_table import read_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOURCE = "sample of serving latencies in the aiconfigurator-core wheel (Apache-2.0)"
_BESIDE_RATES = f"{SOURCE}, and published throughput"


@dataclass(frozen=True, kw_only=True)
class ServingCalibration:
    """Fitted rates, the spreads of left-out groups, and what was left out for which reason."""

    rates: StepRates
    rate_rows: tuple[RateRow, ...]  # all that say enough
    folds: tuple[StepRates, ...]  # fits without a part of the throughput each
    unseen_rates: tuple[float, ...]  # of each row of throughput, by the fit without it
    spreads: tuple[Spread, ...]
    measured: Measured
    left_out: LeftOut
    systems_left_out: LeftOut
    rows: tuple[LatencyRow, ...]
    reasons: tuple[tuple[int, str], ...]


def calibrate_serving(
    path: str | Path, throughput: str | Path | None = None, progress: Progress | None = None
) -> ServingCalibration:
    """Fits rates to a file of latencies, each measurement once, and predicts every group by a fit without it.

    Tokens per second of a file of `throughput` are fitted beside them, as far as they are of engines of today.
    """
    rows = read_table(Path(path)).rows
    found, reasons = measured_rows(rows, row_reader())
    distinct = distinct_rows(found.values())
    rate_rows = tuple(read_rates(read_table(Path(throughput)).rows)[0].values()) if throughput else ()
    of_today = fitted_rates(rate_rows)
    of_2024 = tuple(one for one in rate_rows if one.is_old)
    measured = replace(as_measured(distinct), rates=measured_rates(of_today) if of_today else None)
    old = measured_rates(of_2024) if of_2024 else None
    rates = fit_rates(measured)
    whole = fit_ages(replace(measured, rates=old), rates)
    folds = rates_left_out(measured, old, whole, fold_of, N_FOLDS)
    unseen = unseen_rates(rate_rows, folds)
    left_out = leave_groups_out(measured, rates, progress=progress)
    systems_left_out = leave_groups_out(
        measured, rates, fold(0), progress, _alike(distinct, of_today, lambda one: one.accelerator.id)
    )
    return ServingCalibration(
        rates=whole,
        rate_rows=rate_rows,
        folds=folds,
        unseen_rates=tuple(unseen),
        spreads=(
            *spreads_of_rows(distinct, left_out, range(len(distinct))),
            *spreads_of_new_devices(distinct, systems_left_out, range(len(distinct))),
            *apart_spreads(rows, rates),
            *(rate_spreads(rate_rows, unseen) if rate_rows else ()),
        ),
        measured=measured,
        left_out=left_out,
        systems_left_out=systems_left_out,
        rows=distinct,
        reasons=reasons,
    )


def _alike(
    rows: Sequence[LatencyRow], rate_rows: Sequence[RateRow], key: Callable[[Deployment], object]
) -> "Callable[[NDArray[Any]], NDArray[Any]]":
    """Which rows of rates have a key in common with chosen rows of times."""
    import numpy as np

    def chosen(away: "NDArray[Any]") -> "NDArray[Any]":
        keys = {key(row.deployment) for row, is_away in zip(rows, away, strict=True) if is_away}
        return np.array([key(one.deployment) in keys for one in rate_rows])

    return chosen


def _network_of(one: Deployment) -> object:
    network = one.load.network
    return network.architecture, network.hidden_size, network.n_layers


def distinct_rows(rows: Iterable[LatencyRow]) -> tuple[LatencyRow, ...]:
    """Every measurement once, however often it is written; only those that a fit can use."""
    return tuple({row.identity: row for row in rows if row.ttft_s is not None}.values())


def rows_digest(rows: Sequence[LatencyRow]) -> str:
    """A short name for a set of measurements: two sets share it only if they are the same."""
    return hashlib.sha256("\n".join(sorted(repr(row.identity) for row in rows)).encode()).hexdigest()[:16]


def spreads_of_rows(
    rows: Sequence[LatencyRow], left_out: LeftOut, chosen: Sequence[int]
) -> tuple[Spread, ...]:
    """How far chosen rows stray from predictions by fits that had not seen them."""
    kinds, groups = [kind(rows[i].deployment) for i in chosen], [rows[i].group for i in chosen]
    tpot, ttft = (
        [float(ratios[i]) for i in chosen] for ratios in (left_out.tpot_log_ratios, left_out.ttft_log_ratios)
    )
    return (
        *spreads_of("tpot", tpot, kinds, groups, SOURCE),
        *spreads_of("ttft", ttft, kinds, groups, SOURCE),
    )


def spreads_of_new_devices(
    rows: Sequence[LatencyRow], systems_left_out: LeftOut, among: Sequence[int]
) -> tuple[Spread, ...]:
    """How far some rows' times stray, where settings are known, from predictions by fits that had not seen their GPUs."""
    chosen = [i for i in among if kind(rows[i].deployment).settings == "known"]
    groups = [rows[i].group for i in chosen]
    systems = [fold(0)(group) for group in groups]
    ratios: tuple[tuple[Quantity, NDArray[Any]], ...] = (
        ("tpot", systems_left_out.tpot_log_ratios),
        ("ttft", systems_left_out.ttft_log_ratios),
    )
    found = (
        spread_of_new_devices(quantity, [float(values[i]) for i in chosen], groups, systems, SOURCE)
        for quantity, values in ratios
    )
    return tuple(spread for spread in found if spread is not None)


def as_measured(rows: Sequence[LatencyRow]) -> Measured:
    """Rows as a fit takes them."""
    import numpy as np

    return Measured(
        questions=batch([row.deployment for row in rows]),
        tpot_s=np.array([row.tpot_s for row in rows]),
        ttft_s=np.array([row.ttft_s for row in rows], dtype=float),
        groups=[row.group for row in rows],
    )


def _fit_source(found: ServingCalibration) -> str:
    return _BESIDE_RATES if found.rate_rows else SOURCE


def _write(folder: Path, found: ServingCalibration, date: str) -> None:
    n, source = len(found.rows) + len(fitted_rates(found.rate_rows)), _fit_source(found)
    with (folder / "serving_steps.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "rate", "group", "summand", "n_measurements", "rows_digest", "date", "source"))
        digest = rows_digest(found.rows)
        for (rate, group), value in found.rates.summands.items():
            id_ = f"{rate}-{group}".replace("*", "any").replace(":", "-").replace(" ", "-").lower()
            writer.writerow((id_, rate, group, f"{value:.4g}", n, digest, date, source))
    _write_folds(folder, found, date)
    with (folder / "serving_spread.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            (
                "id",
                "quantity",
                "engine",
                "model",
                "settings",
                "low_ratio",
                "high_ratio",
                "n_groups",
                "date",
                "source",
            )
        )
        for spread in found.spreads:
            like = spread.kind
            id_ = f"{spread.quantity}-{like.engine}-{like.model}-{like.settings}".replace("*", "any")
            bounds = f"{spread.low_ratio:.3f}", f"{spread.high_ratio:.3f}"
            writer.writerow(
                (
                    id_, spread.quantity, like.engine, like.model, like.settings, *bounds, spread.n_groups, date,
                    spread.source,
                )
            )  # fmt: skip


def _write_folds(folder: Path, found: ServingCalibration, date: str) -> None:
    """The fits that predict throughput which they have not seen, side by side."""
    digest = rates_digest(found.rate_rows)
    with (folder / "serving_steps_folds.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = [f"fold_{i}" for i in range(len(found.folds))]
        writer.writerow(("id", "rate", "group", *names, "rate_rows_digest", "date", "source"))
        for rate, group in found.rates.summands:
            id_ = f"{rate}-{group}".replace("*", "any").replace(":", "-").replace(" ", "-").lower()
            values = (f"{fold.summands.get((rate, group), 0.0):.4g}" for fold in found.folds)
            writer.writerow((id_, rate, group, *values, digest, date, _fit_source(found)))


def _write_devices(folder: Path, rows: Sequence[LatencyRow], date: str) -> None:
    """The GPUs that the fit has seen."""
    counts = Counter(row.deployment.accelerator.id for row in rows)
    with (folder / "serving_devices.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "accelerator", "n_measurements", "date", "source"))
        writer.writerows((device, device, n, date, SOURCE) for device, n in sorted(counts.items()))


def _show(title: str, log_ratios: "NDArray[Any]", groups: Sequence[str]) -> None:
    import numpy as np

    errors = np.abs(np.exp(-log_ratios) - 1)
    names = np.asarray(groups)
    medians = [float(np.median(errors[names == name])) for name in sorted(set(groups))]
    sys.stdout.write(
        f"{title}: {len(medians)} groups, median {np.median(medians):.1%}, mean {np.mean(medians):.1%}, 90th "
        f"percentile {np.quantile(medians, 0.9):.1%}; rows: median {np.median(errors):.1%}, mean {np.mean(errors):.1%}\n"
    )


def _show_rates(found: ServingCalibration) -> None:
    import numpy as np

    for title, is_old in (("tokens/s of engines of today, left out", False), ("tokens/s of 2024", True)):
        chosen = [i for i, one in enumerate(found.rate_rows) if one.is_old == is_old]
        if chosen:
            ratios = [math.log(found.rate_rows[i].tokens_per_s / found.unseen_rates[i]) for i in chosen]
            _show(title, np.array(ratios), [found.rate_rows[i].group for i in chosen])


def fold(part: int) -> Callable[[str], str]:
    """Groups of one system (0), model (1), precision (2) or engine (3) together."""
    return lambda group: group.split("|")[part]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits, writes and prints the scores."""
    parser = argparse.ArgumentParser(prog="python -m planner.api.serving_calibration", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--throughput", type=Path, help="tokens per second, fitted beside the times")
    parser.add_argument("--date", required=True, help="of the fit, ISO 8601")
    parser.add_argument("--out", type=Path, default=Path("profiles/calibrations"))
    parser.add_argument("--folds", action="store_true", help="also leave out whole models and whole systems")
    options = parser.parse_args(arguments)
    found = calibrate_serving(options.file, options.throughput)
    _write(options.out, found, options.date)
    _write_devices(options.out, found.rows, options.date)
    sys.stdout.write(f"{len(found.rows)} measurements; {len(found.reasons)} rows without an answer\n")
    _show("tpot, groups left out", found.left_out.tpot_log_ratios, found.measured.groups)
    _show("ttft, groups left out", found.left_out.ttft_log_ratios, found.measured.groups)
    _show_rates(found)
    if options.folds:
        alike = _alike(found.rows, fitted_rates(found.rate_rows), _network_of)
        models = leave_groups_out(found.measured, found.rates, fold(1), rates_of=alike)
        for left, name in ((models, "models"), (found.systems_left_out, "systems")):
            _show(f"tpot, {name} left out", left.tpot_log_ratios, found.measured.groups)
            _show(f"ttft, {name} left out", left.ttft_log_ratios, found.measured.groups)


if __name__ == "__main__":
    main()

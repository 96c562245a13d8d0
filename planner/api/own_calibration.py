"""The user's own measurements taught to the speed model, kept, listed, and put in or out of use."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hardware.inspect import inspect_machine, machine_fingerprint
from planner.api.held_out_speeds import predicted, samples_of
from planner.api.llama_cpp_factors import (
    batched_effects,
    batched_spreads,
    calibrations_folder,
    forget_calibration,
    is_outdated,
    packaged_factors,
    packaged_fingerprint,
    packaged_spreads,
)
from planner.api.machines import bench_folder
from planner.api.measurement_files import measurement_table
from planner.api.own_loads import strays
from planner.api.speed_calibration import (
    PHASES,
    Unplaced,
    calibrate_rows,
    digest,
    fitted_rows,
    row_key,
)
from planner.bench.kept_calibrations import (
    PACKAGED,
    keep_calibration,
    kept_calibrations,
    load_calibration,
    name_in_use,
    use_calibration,
)
from planner.bench.store import stored_runs
from planner.errors import MalformedError, NotFoundError
from planner.estimate.serving_speed.latency_rows import COLUMNS as LATENCY_COLUMNS
from planner.estimate.speed_validation import SpeedPrediction, SpeedScore, speed_scores
from planner.progress import Progress, stretch
from planner.quoting import quoted
from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.given import NOTHING_GIVEN, Given
from planner.readers.speed_rows.bench_row import COLUMNS as BENCH_COLUMNS
from planner.readers.speed_rows.bench_row import BenchRow, rows_from
from planner.readers.speed_rows.place import PlacedRow
from planner.speed.factors import Effect, Factors
from planner.speed.intervals import Spread
from planner.speed.kept_calibration import KeptCalibration, MeasuredFile
from planner.speed.updating import updated


@dataclass(frozen=True, kw_only=True)
class OwnCalibration:
    """A calibration that was kept, and what it is worth on the rows that taught it."""

    kept: KeptCalibration
    path: Path
    n_new_rows: int
    before: tuple[SpeedScore, ...]  # of the packaged fit
    unseen: tuple[
        SpeedScore, ...
    ]  # each model by a fit that has not seen it; none where there is one model only
    unplaced: tuple[Unplaced, ...]
    loads_left_out: tuple[str, ...]  # why loads of serving engines cannot be used


@dataclass(frozen=True, kw_only=True)
class KeptList:
    """All calibrations that are kept, and which is in use."""

    folder: Path
    in_use: str
    packaged: Factors
    kept: tuple[KeptCalibration, ...]
    outdated: frozenset[str]
    warnings: tuple[str, ...]


def calibrate_own(
    paths: Sequence[str | Path],
    *,
    date: str,
    given: Given = NOTHING_GIVEN,
    fresh: bool = False,
    alone: bool = False,
    progress: Progress | None = None,
) -> OwnCalibration:
    """Teaches measurements to the packaged fit, keeps the result, and puts it in use.

    They join the measurements of the calibration in use, unless `fresh`. With `alone`, the packaged fit has no say,
    which takes measurements of many devices and models. Without paths, the calibration in use is made anew.
    """
    tables = [(Path(path), _teaching(measurement_table(path, given), path)) for path in paths]
    before = None if fresh else _in_use()
    if before is None and not tables:
        raise NotFoundError("no calibration is in use that could be made anew; name files of measurements")
    rows, n_new_rows = _joined(before.rows if before else (), tables)
    loads, n_new_loads = _joined_loads(before.loads if before else (), tables)
    read = rows_from(tuple(rows.values()), "your measurements")
    placed, unplaced = fitted_rows(read, stretch(progress, 0.0, 0.3))
    left_out = strays(loads)[1] if loads else ()
    if not placed and len(left_out) == len(loads):
        reason = next(iter((*(item.reason for item in unplaced), *(text for _, text in left_out))), "")
        raise MalformedError(
            f"none of the {len(read) + len(loads)} measurements can be placed; the first: {reason}"
        )
    effects, spreads = _fitted(read, placed, date, progress, alone=alone)
    kept = KeptCalibration(
        id=f"{date}-{_digest(read, loads)}{'-alone' if alone else ''}",
        date=date,
        mode="alone" if alone else "added",
        base=packaged_fingerprint(),
        files=_all_files(before, tables, placed),
        rows=tuple(rows.values()),
        effects=effects,
        spreads=spreads,
        loads=loads,
    )
    if progress is not None:
        progress(0.8, "leaving out each model")
    packaged = _scored(placed, packaged_factors().effects)
    unseen = () if alone else _each_model_left_out(placed)
    path = keep_calibration(kept, calibrations_folder())
    forget_calibration()
    return OwnCalibration(
        kept=kept,
        path=path,
        n_new_rows=n_new_rows + n_new_loads,
        before=packaged,
        unseen=unseen,
        unplaced=unplaced,
        loads_left_out=tuple(text for _, text in left_out),
    )


def _teaching(table: MeasurementTable, path: str | Path) -> MeasurementTable:
    """The table, of a kind that teaches something; raises MalformedError for any other."""
    if not (table.has(BENCH_COLUMNS) or table.has(LATENCY_COLUMNS)):
        raise MalformedError(
            f"{quoted(path)} holds throughput of whole servers, which tells nothing of a single request; `planner "
            "validate speed` compares such tables"
        )
    return table


def _joined(
    before: Sequence[Mapping[str, str]], tables: Sequence[tuple[Path, MeasurementTable]]
) -> tuple[dict[str, Mapping[str, str]], int]:
    """Benchmarks of llama.cpp, each once, and how many are new."""
    found = {row_key(row): raw for raw, row in zip(*_both(before), strict=True)}
    n_before = len(found)
    for _, table in tables:
        if table.has(BENCH_COLUMNS):
            found |= {row_key(row): raw for raw, row in zip(*_both(table.rows), strict=True)}
    return found, len(found) - n_before


def _joined_loads(
    before: Sequence[Mapping[str, str]], tables: Sequence[tuple[Path, MeasurementTable]]
) -> tuple[tuple[Mapping[str, str], ...], int]:
    """Loads of serving engines, each once, and how many are new."""
    found = {repr(sorted(row.items())): row for row in before}
    n_before = len(found)
    for _, table in tables:
        if not table.has(BENCH_COLUMNS):
            found |= {repr(sorted(row.items())): row for row in table.rows}
    return tuple(found.values()), len(found) - n_before


def _digest(read: Sequence[BenchRow], loads: Sequence[Mapping[str, str]]) -> str:
    text = digest(read) + "".join(sorted(repr(sorted(row.items())) for row in loads))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _fitted(
    read: Sequence[BenchRow],
    placed: Sequence[PlacedRow],
    date: str,
    progress: Progress | None,
    *,
    alone: bool,
) -> tuple[tuple[Effect, ...], tuple[Spread, ...]]:
    if alone:
        return _alone(read, date, progress)
    return _taught(packaged_factors().effects, placed), packaged_spreads()


def own_run_files() -> tuple[Path, ...]:
    """Runs of llama.cpp that `planner bench` measured on this machine; raises NotFoundError where there is none."""
    here = machine_fingerprint(inspect_machine())
    runs, _ = stored_runs(bench_folder())
    found = tuple(
        item.path
        for item in runs
        if item.run.machine_fingerprint == here
        and item.run.synthetic is None
        and item.run.engine == "llama.cpp"
    )
    if not found:
        raise NotFoundError(
            f"{bench_folder()} has no run of this machine; `planner bench FILE.gguf` makes one"
        )
    return found


def list_calibrations() -> KeptList:
    """What is kept, oldest first, and which one estimates use."""
    folder = calibrations_folder()
    kept, warnings = kept_calibrations(folder)
    return KeptList(
        folder=folder,
        in_use=name_in_use(folder),
        packaged=packaged_factors(),
        kept=kept,
        outdated=frozenset(one.id for one in kept if is_outdated(one)),
        warnings=warnings,
    )


def choose_calibration(name: str) -> KeptList:
    """Puts a kept calibration, or the packaged one, in use for later estimates."""
    use_calibration(name, calibrations_folder())
    forget_calibration()
    return list_calibrations()


def _in_use() -> KeptCalibration | None:
    folder = calibrations_folder()
    name = name_in_use(folder)
    return None if name == PACKAGED else load_calibration(name, folder)


def _both(
    raw: Sequence[Mapping[str, str]],
) -> tuple[Sequence[Mapping[str, str]], tuple[BenchRow, ...]]:
    return raw, rows_from(raw, "your measurements")


def _all_files(
    before: KeptCalibration | None,
    tables: Sequence[tuple[Path, MeasurementTable]],
    placed: Sequence[PlacedRow],
) -> tuple[MeasuredFile, ...]:
    """Files of before and now, each once."""
    keys = {row_key(row.row) for row in placed}
    found = {(file.name, file.n_rows): file for file in (before.files if before else ())}
    for path, table in tables:
        is_bench = table.has(BENCH_COLUMNS)
        n_placed = (
            sum(row_key(row) in keys for row in rows_from(table.rows, path.name))
            if is_bench
            else len(strays(table.rows)[0])
        )
        found[path.name, len(table.rows)] = MeasuredFile(
            name=path.name, n_rows=len(table.rows), n_placed=n_placed
        )
    return tuple(found.values())


def _alone(
    read: Sequence[BenchRow], date: str, progress: Progress | None
) -> tuple[tuple[Effect, ...], tuple[Spread, ...]]:
    found = calibrate_rows(read, date, stretch(progress, 0.3, 0.8))
    return (*found.factors.effects, *batched_effects()), (*found.spreads, *batched_spreads())


def _taught(effects: tuple[Effect, ...], placed: Sequence[PlacedRow]) -> tuple[Effect, ...]:
    for phase in PHASES:
        of_phase = [row for row in placed if row.case.phase == phase]
        if of_phase:
            effects = updated(effects, samples_of(of_phase))
    return effects


def _each_model_left_out(placed: Sequence[PlacedRow]) -> tuple[SpeedScore, ...]:
    models = sorted({row.case.model_key for row in placed})
    if len(models) < 2:
        return ()
    predictions: list[SpeedPrediction] = []
    for model in models:
        others = [row for row in placed if row.case.model_key != model]
        effects = _taught(packaged_factors().effects, others)
        predictions += _predictions([row for row in placed if row.case.model_key == model], effects)
    return speed_scores(predictions)


def _scored(placed: Sequence[PlacedRow], effects: tuple[Effect, ...]) -> tuple[SpeedScore, ...]:
    return speed_scores(_predictions(placed, effects))


def _predictions(placed: Sequence[PlacedRow], effects: tuple[Effect, ...]) -> list[SpeedPrediction]:
    factors = Factors(effects=effects)
    return [predicted(row, factors, packaged_spreads()) for row in placed]

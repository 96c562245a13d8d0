"""Fitting the efficiencies of llama.cpp to measured speeds, and the packaged fit."""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.api.after_bench_speeds import after_bench
from planner.api.held_out_speeds import held_out_predictions, misses_of, samples_of
from planner.api.llama_cpp_factors import EFFECTS_FILE, NOISE_FILE, SCORES_FILE, SPREADS_FILE
from planner.api.measurement_files import measurement_table
from planner.errors import BenchError, MalformedError
from planner.estimate.speed_score_table import AFTER_BENCH, BEFORE_BENCH, SCORE_COLUMNS, score_rows
from planner.estimate.speed_validation import SpeedPrediction, SpeedScore, class_scores, speed_scores
from planner.progress import Progress, named_stretch
from planner.quoting import quoted
from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.given import NOTHING_GIVEN, Given
from planner.readers.speed_rows.bench_row import COLUMNS as BENCH_COLUMNS
from planner.readers.speed_rows.bench_row import BenchRow, rows_from
from planner.readers.speed_rows.models import UnplacedError
from planner.readers.speed_rows.noise import NoiseFloor, noise_floor
from planner.readers.speed_rows.place import PlacedRow, place_row
from planner.speed.effects import Phase
from planner.speed.factors import Effect, Factors
from planner.speed.fitting import Fit, fit_effects
from planner.speed.held_out import HELD_OUT, HeldOut, Unseen, fits_without, unseen
from planner.speed.intervals import Spread
from planner.speed.table import (
    EFFECT_COLUMNS,
    SPREAD_COLUMNS,
    effect_rows,
    spread_rows,
)

NOISE_COLUMNS = ("id", "n_tests", "median", "p90", "n_placed", "n_in_file", "date", "source")
PHASES: tuple[Phase, ...] = ("decode", "prefill")
_FEWEST_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A row that no prediction can be made for, and why."""

    row: BenchRow
    reason: str


@dataclass(frozen=True, kw_only=True)
class SpeedCalibration:
    """Fitted effects and intervals, with the rows that had no place in the fit."""

    factors: Factors
    spreads: tuple[Spread, ...]
    # Of refits without each cell, device or model; of devices left out also before and after a benchmark of one model
    # there, on the same rows.
    group_scores: Mapping[str, tuple[SpeedScore, ...]]
    noise: tuple[NoiseFloor, ...]
    n_rows: int
    n_placed: int
    unplaced: tuple[tuple[str, int], ...]  # reason, rows

    @property
    def scores(self) -> Mapping[str, tuple[SpeedScore, ...]]:
        """Of each class."""
        return {by: class_scores(groups) for by, groups in self.group_scores.items()}


def place_rows(
    rows: Sequence[BenchRow], progress: Progress | None = None
) -> tuple[tuple[PlacedRow, ...], tuple[Unplaced, ...]]:
    """Rows as cases of the speed model, and those that cannot be."""
    placed, unplaced = [], []
    for index, row in enumerate(rows):
        if progress is not None and index % 50 == 0:
            progress(0.3 * index / len(rows), row.device)
        try:
            placed.append(place_row(row))
        except UnplacedError as reason:
            unplaced.append(Unplaced(row=row, reason=str(reason)))
    return tuple(placed), tuple(unplaced)


def fitted_rows(
    rows: Sequence[BenchRow], progress: Progress | None = None
) -> tuple[tuple[PlacedRow, ...], tuple[Unplaced, ...]]:
    """Rows that effects are fitted to, and those that are not; steps of several sequences are fitted apart."""
    placed, unplaced = place_rows(rows, progress)
    apart = tuple(
        Unplaced(row=row.row, reason="steps of several sequences are fitted apart")
        for row in placed
        if row.row.n_sequences > 1
    )
    return tuple(row for row in placed if row.row.n_sequences == 1), (*unplaced, *apart)


def row_key(row: BenchRow) -> str:
    """What makes a measurement that measurement."""
    return f"{row.device}|{row.model}|{row.quantization}|{row.test}|{row.tokens_per_s}"


def digest(rows: Sequence[BenchRow]) -> str:
    """A short name of exactly these measurements, whatever their order."""
    lines = sorted(row_key(row) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def bench_rows(path: str | Path, given: Given = NOTHING_GIVEN) -> tuple[BenchRow, ...]:
    """The benchmarks of llama.cpp in a file of any format; raises MalformedError for one of serving engines."""
    return rows_from(require_benchmarks(measurement_table(path, given), path), quoted(path))


def require_benchmarks(table: MeasurementTable, path: str | Path) -> tuple[Mapping[str, str], ...]:
    """The rows of a table of benchmarks; raises MalformedError for one of serving engines."""
    if not table.has(BENCH_COLUMNS):
        raise MalformedError(
            f"{quoted(path)} holds latencies of a serving engine, expected benchmarks of llama.cpp; `planner validate "
            "speed` compares such files"
        )
    return table.rows


def calibrate_speed(
    paths: Sequence[str | Path],
    *,
    date: str,
    given: Given = NOTHING_GIVEN,
    progress: Progress | None = None,
) -> SpeedCalibration:
    """Fits effects and intervals to measurement files, all rows of which count alike."""
    return calibrate_rows([row for path in paths for row in bench_rows(path, given)], date, progress)


def calibrate_rows(rows: Sequence[BenchRow], date: str, progress: Progress | None = None) -> SpeedCalibration:
    """Fits effects and intervals to measurements alone; raises MalformedError where too few can be placed."""
    placed, unplaced = fitted_rows(rows, progress)
    if len(placed) < _FEWEST_ROWS:
        raise MalformedError(
            f"{len(placed)} of {len(rows)} rows can be placed, too few to fit; expected {_FEWEST_ROWS} at least"
        )
    effects: list[Effect] = []
    found_spreads: list[Spread] = []
    predictions: dict[str, list[SpeedPrediction]] = defaultdict(list)
    for number, phase in enumerate(PHASES):
        of_phase = [row for row in placed if row.case.phase == phase]
        if not of_phase:
            continue
        samples = samples_of(of_phase)
        whole: Fit = fit_effects(samples)
        effects += whole.effects
        guesses: dict[HeldOut, tuple[Unseen, ...]] = {}
        for step, by in enumerate(HELD_OUT):
            start = 0.3 + 0.35 * number + 0.11 * step
            tell = named_stretch(progress, start, start + 0.11, f"{phase}: leaving out each {by}")
            left_out = fits_without(samples, whole, by, tell)
            guesses[by] = unseen(samples, left_out, by)
            if by == "device":
                taught = after_bench(of_phase, left_out)
                found_spreads += taught.spreads
                predictions[BEFORE_BENCH] += [p.before for p in taught.predictions if p.before]
                predictions[AFTER_BENCH] += taught.predictions
        misses = misses_of(of_phase, guesses)
        found_spreads += misses.spreads()
        for by, several in held_out_predictions(of_phase, guesses, misses).items():
            predictions[by] += several
    reasons = Counter(item.reason for item in unplaced)
    return SpeedCalibration(
        factors=Factors(effects=tuple(effects), date=date, source_digest=digest(rows)),
        spreads=tuple(found_spreads),
        group_scores={by: speed_scores(found, by_group=True) for by, found in predictions.items()},
        noise=noise_floor(placed),
        n_rows=len(rows),
        n_placed=len(placed),
        unplaced=tuple(reasons.most_common()),
    )


def write_speed_calibration(found: SpeedCalibration, folder: Path) -> tuple[Path, ...]:
    """Writes the files of a calibration into a folder, each whole or not at all."""
    factors = found.factors
    tables = (
        (EFFECTS_FILE, EFFECT_COLUMNS, effect_rows(factors)),
        (SPREADS_FILE, SPREAD_COLUMNS, spread_rows(found.spreads, factors.date, factors.source_digest)),
        (
            SCORES_FILE,
            SCORE_COLUMNS,
            score_rows(found.group_scores.items(), factors.date, factors.source_digest),
        ),
        (NOISE_FILE, NOISE_COLUMNS, _noise_rows(found)),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"{folder} cannot be made: {error.strerror or error}") from error
    written = []
    for name, columns, rows in tables:
        path = folder / f"{name}.csv"
        write_table(path, columns, rows)
        written.append(path)
    return tuple(written)


def _noise_rows(found: SpeedCalibration) -> list[dict[str, str]]:
    """What independent sources disagree by, for every class; empty where no test has two of them."""
    noise = {item.speed_class: item for item in found.noise}
    classes = dict.fromkeys(score.speed_class for scores in found.scores.values() for score in scores)
    return [
        {
            "id": name,
            "n_tests": str(noise[name].n_tests) if name in noise else "",
            "median": f"{noise[name].median_fraction:.4f}" if name in noise else "",
            "p90": f"{noise[name].p90_fraction:.4f}" if name in noise else "",
            "n_placed": str(found.n_placed),
            "n_in_file": str(found.n_rows),
            "date": found.factors.date,
            "source": found.factors.source_digest,
        }
        for name in classes
    ]


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Writes rows as CSV, whole or not at all."""
    unfinished = path.with_suffix(".unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        unfinished.replace(path)
    except OSError as error:
        raise BenchError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)

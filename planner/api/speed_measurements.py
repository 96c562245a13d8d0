"""Measured speeds against the planner's: fitting efficiencies to them, and scoring the planner on them."""

import csv
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from statistics import median

from planner.errors import MalformedError
from planner.progress import Progress
from planner.readers.speed_rows.bench_row import BenchRow, read_rows
from planner.readers.speed_rows.models import UnplacedError
from planner.readers.speed_rows.place import PlacedRow, place_row
from planner.speed.effects import Phase
from planner.speed.factors import Effect, Factors
from planner.speed.fitting import Fit, Sample, fit_effects
from planner.speed.held_out import HELD_OUT, HeldOut, HoldOut, Unseen, known, unseen
from planner.speed.intervals import Residual, Spread, choose_spread, spreads
from planner.speed.scoring import ClassScore, Prediction, class_scores
from planner.speed.table import (
    EFFECT_COLUMNS,
    SPREAD_COLUMNS,
    effect_rows,
    factors_from,
    spread_rows,
    spreads_from,
)
from profiles.loader import calibration_rows

EFFECTS_FILE = "llama_cpp_speed"
SPREADS_FILE = "llama_cpp_speed_intervals"
_PHASES: tuple[Phase, ...] = ("decode", "prefill")
_FEWEST_ROWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A row that no prediction can be made for, and why."""

    row: BenchRow
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """How far independent sources lie apart on the same test of the same model on the same device."""

    speed_class: str
    n_tests: int
    median_fraction: float
    p90_fraction: float


@dataclass(frozen=True, kw_only=True)
class SpeedValidation:
    """Every row of a file with its prediction, the scores by class, and what sources disagree by."""

    name: str
    n_rows: int
    held_out: str  # "none" when the packaged calibration predicted, else what each fit had not seen
    placed: tuple[PlacedRow, ...]
    predictions: tuple[Prediction, ...]
    unplaced: tuple[Unplaced, ...]
    scores: tuple[ClassScore, ...]
    noise: tuple[NoiseFloor, ...]


@dataclass(frozen=True, kw_only=True)
class SpeedCalibration:
    """Fitted effects and intervals, with the rows that had no place in the fit."""

    factors: Factors
    spreads: tuple[Spread, ...]
    n_rows: int
    n_placed: int
    unplaced: tuple[tuple[str, int], ...]  # reason, rows


@cache
def speed_factors() -> Factors:
    """The packaged effects."""
    return factors_from(calibration_rows(EFFECTS_FILE))


@cache
def speed_spreads() -> tuple[Spread, ...]:
    """The packaged intervals."""
    return spreads_from(calibration_rows(SPREADS_FILE))


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


def samples_of(placed: Sequence[PlacedRow]) -> tuple[Sample, ...]:
    """What the fit sees of placed rows."""
    return tuple(
        Sample(case=row.case, measured_s=row.measured_s, cell=row.cell, device=row.device) for row in placed
    )


def validate_speed(
    path: str | Path, *, hold_out: HoldOut = "auto", progress: Progress | None = None
) -> SpeedValidation:
    """Predicts every row of a table of llama-bench results and compares.

    "none" predicts with the packaged calibration. The others refit without each row's cell (device, model and
    type), device or model in turn, which is how rows must be scored that the calibration was fitted to; "auto"
    does so by cell for exactly those rows, and predicts everything else with the packaged calibration.
    """
    rows = read_rows(Path(path))
    placed, unplaced = place_rows(rows, progress)
    if hold_out == "auto":
        hold_out = "cell" if digest(rows) == speed_factors().source_digest else "none"
    if hold_out == "none":
        predictions = [_packaged(row) for row in placed]
    else:
        predictions = _held_out(placed, hold_out, progress)
    return SpeedValidation(
        name=Path(path).name,
        n_rows=len(rows),
        held_out=hold_out,
        placed=placed,
        predictions=tuple(predictions),
        unplaced=unplaced,
        scores=class_scores(predictions),
        noise=noise_floor(placed),
    )


def group_of(row: BenchRow) -> str:
    """What counts once in a score: device, architecture, type and backend."""
    return " | ".join((row.device, (row.architecture or row.model)[:24], row.quantization, row.backend))


def digest(rows: Sequence[BenchRow]) -> str:
    """A short name of exactly these measurements, whatever their order."""
    lines = sorted(
        f"{row.device}|{row.model}|{row.quantization}|{row.test}|{row.tokens_per_s}" for row in rows
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _packaged(row: PlacedRow) -> Prediction:
    factors = speed_factors()
    seconds = sum(factors.seconds(row.case))
    sample = samples_of((row,))[0]
    spread = choose_spread(speed_spreads(), row.speed_class, known(factors, sample))
    return _prediction(row, float(seconds), spread)


def _prediction(row: PlacedRow, seconds: float, spread: Spread | None) -> Prediction:
    rate = row.n_tokens / seconds
    low, high = (spread.low_ratio, spread.high_ratio) if spread else (0.1, 10.0)
    return Prediction(
        row=row.row.number,
        speed_class=row.speed_class,
        group=group_of(row.row),
        low=rate * low,
        expected=rate,
        high=rate * high,
        measured=row.row.tokens_per_s,
    )


def _held_out(placed: Sequence[PlacedRow], by: HeldOut, progress: Progress | None) -> list[Prediction]:
    """Each row by a fit without its fold, with an interval from the other folds' residuals."""
    found = []
    for number, phase in enumerate(_PHASES):
        if progress is not None:
            progress(0.3 + 0.35 * number, f"refitting {phase} without each {by}")
        rows = [row for row in placed if row.case.phase == phase]
        if not rows:
            continue
        samples = samples_of(rows)
        guesses = unseen(samples, fit_effects(samples), by)
        residuals = [_residual(row, guess) for row, guess in zip(rows, guesses, strict=True)]
        by_fold = {
            fold: spreads(
                residual for residual, guess in zip(residuals, guesses, strict=True) if guess.fold != fold
            )
            for fold in {guess.fold for guess in guesses}
        }
        for row, guess in zip(rows, guesses, strict=True):
            spread = choose_spread(by_fold[guess.fold], row.speed_class, guess.knowledge)
            found.append(_prediction(row, math.exp(guess.log_s), spread))
    return sorted(found, key=lambda prediction: prediction.row)


def _residual(row: PlacedRow, guess: Unseen) -> Residual:
    return Residual(
        speed_class=row.speed_class,
        knowledge=guess.knowledge,
        group=group_of(row.row),
        log_ratio=guess.log_s - math.log(row.measured_s),
    )


def calibrate_speed(
    paths: Sequence[str | Path], *, date: str, progress: Progress | None = None
) -> SpeedCalibration:
    """Fits effects and intervals to measurement files, all rows of which count alike."""
    rows = [row for path in paths for row in read_rows(Path(path))]
    placed, unplaced = place_rows(rows, progress)
    if len(placed) < _FEWEST_ROWS:
        raise MalformedError(
            f"{len(placed)} of {len(rows)} rows can be placed, too few to fit; expected {_FEWEST_ROWS} at least"
        )
    effects: list[Effect] = []
    residuals: list[Residual] = []
    for number, phase in enumerate(_PHASES):
        of_phase = [row for row in placed if row.case.phase == phase]
        if not of_phase:
            continue
        samples = samples_of(of_phase)
        whole: Fit = fit_effects(samples)
        effects += whole.effects
        for step, by in enumerate(HELD_OUT):
            if progress is not None:
                progress(0.3 + 0.35 * number + 0.11 * step, f"{phase}: leaving out each {by}")
            guesses = unseen(samples, whole, by)
            residuals += [_residual(row, guess) for row, guess in zip(of_phase, guesses, strict=True)]
    reasons = Counter(item.reason for item in unplaced)
    return SpeedCalibration(
        factors=Factors(effects=tuple(effects), date=date, source_digest=digest(rows)),
        spreads=spreads(residuals),
        n_rows=len(rows),
        n_placed=len(placed),
        unplaced=tuple(reasons.most_common()),
    )


def write_speed_calibration(found: SpeedCalibration, folder: Path) -> tuple[Path, Path]:
    """Writes both files of a calibration into a folder."""
    factors = found.factors
    tables = (
        (EFFECTS_FILE, EFFECT_COLUMNS, effect_rows(factors)),
        (SPREADS_FILE, SPREAD_COLUMNS, spread_rows(found.spreads, factors.date, factors.source_digest)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, columns, rows in tables:
        path = folder / f"{name}.csv"
        _write(path, columns, rows)
        written.append(path)
    return written[0], written[1]


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def noise_floor(placed: Sequence[PlacedRow]) -> tuple[NoiseFloor, ...]:
    """What independent sources disagree by, pair by pair, on tests that both ran."""
    tests: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in placed:
        source = row.row
        key: tuple[str, ...] = (
            row.speed_class, row.device, str(len(row.case.layout.gpus)), source.backend.split("/")[0],
            row.case.model_key, row.preset, f"{source.n_prompt_tokens} {source.n_generated_tokens}",
            str(source.n_depth_tokens), source.offload,
        )  # fmt: skip
        tests[key][source.origin].append(source.tokens_per_s)
    gaps: dict[str, list[float]] = defaultdict(list)
    for key, by_origin in tests.items():
        rates = [median(values) for values in by_origin.values()]
        if len(rates) > 1:
            gaps[key[0]].append(median(max(a, b) / min(a, b) - 1 for a, b in combinations(rates, 2)))
    return tuple(
        NoiseFloor(
            speed_class=name,
            n_tests=len(values),
            median_fraction=median(values),
            p90_fraction=sorted(values)[min(len(values) - 1, int(0.9 * len(values)))],
        )
        for name, values in sorted(gaps.items())
    )

"""Benchmark runs on disk, one file each."""

from pathlib import Path

from hardware.units import MIB
from planner.bench.record_files import NEWEST, RecordKind, Stored, find_stored
from planner.errors import NotFoundError
from planner.estimate.measurement import BenchRun

StoredRun = Stored[BenchRun]
RUNS = RecordKind(
    record=BenchRun, kind="planner-bench-run", key="run", noun="benchmark run", version=1, max_bytes=MIB
)


def save_run(run: BenchRun, folder: Path) -> Path:
    """Writes a run into the folder, whole or not at all, and returns the new file's path."""
    return RUNS.save(run, folder, name=run.model_name, measured_at=run.measured_at)


def load_runs(folder: Path) -> tuple[tuple[BenchRun, ...], tuple[str, ...]]:
    """All runs in the folder, oldest first, and one line for each file that could not be used."""
    stored, warnings = stored_runs(folder)
    return tuple(item.run for item in stored), warnings


def stored_runs(folder: Path) -> tuple[tuple[StoredRun, ...], tuple[str, ...]]:
    """The same with their files."""
    runs, warnings = RUNS.stored(folder)
    return tuple(sorted(runs, key=lambda item: item.run.measured_at)), warnings


def find_run(name: str, folder: Path) -> StoredRun:
    """The run that an id (or its beginning), "last" or a file's path names; NotFoundError with what there is."""
    path = Path(name)
    if name != NEWEST and path.suffix == ".json" and path.is_file():
        try:
            return RUNS.read(path)
        except (OSError, ValueError) as error:
            raise NotFoundError(f"{name!r} is not a benchmark run: {error}") from error
    return find_stored(name, stored_runs(folder)[0], folder)


def is_run(content: object) -> bool:
    """Whether JSON calls itself a benchmark run."""
    return RUNS.is_one(content)


def run_from(content: object) -> BenchRun:
    """The run that JSON holds; raises ValueError saying what is wrong with it."""
    return RUNS.of(content)

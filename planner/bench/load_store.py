"""Load tests on disk, one file each, in a folder of their own: estimates of llama.cpp need not read them."""

from dataclasses import replace
from pathlib import Path

from hardware.units import MIB
from planner.bench.record_files import RecordKind, Stored
from planner.load.load_test import LoadTest

StoredLoad = Stored[LoadTest]
LOADS = RecordKind(
    record=LoadTest, kind="planner-load-test", key="test", noun="load test", version=1, max_bytes=16 * MIB
)


def save_load(test: LoadTest, folder: Path) -> Path:
    """Writes a test, its trace aside, which is a file of the user's own."""
    kept = replace(test, question=replace(test.question, trace=()))
    return LOADS.save(kept, folder, name=test.model, measured_at=test.measured_at)


def stored_loads(folder: Path) -> tuple[tuple[StoredLoad, ...], tuple[str, ...]]:
    """All tests in the folder, oldest first, and one line for each file that could not be used."""
    found, warnings = LOADS.stored(folder)
    return tuple(sorted(found, key=lambda item: item.run.measured_at)), warnings

"""The benchmarks that are kept: look at them, take them elsewhere, remove them."""

from collections.abc import Sequence

from hardware.inspect import machine_fingerprint
from planner.api.machines import bench_folder, inspect
from planner.bench.store import StoredRun, find_run, remove_run, stored_runs

__all__ = ["StoredRun", "list_runs", "remove_runs", "stored_run", "this_machine"]


def list_runs() -> tuple[tuple[StoredRun, ...], tuple[str, ...]]:
    """All runs, oldest first, and a line for each file that is none."""
    return stored_runs(bench_folder())


def this_machine() -> str:
    """The fingerprint that runs of this machine carry."""
    return machine_fingerprint(inspect())


def stored_run(name: str) -> StoredRun:
    """The run of an id or its beginning, "last", or a file's path."""
    return find_run(name, bench_folder())


def remove_runs(names: Sequence[str]) -> tuple[StoredRun, ...]:
    """Removes them all, or none when a name is wrong; says which."""
    found = {item.path: item for item in (find_run(name, bench_folder()) for name in names)}
    for item in found.values():
        remove_run(item)
    return tuple(found.values())

"""The benchmarks and load tests that are kept: look at them, take them elsewhere, remove them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hardware.inspect import machine_fingerprint
from planner.api.inspecting import inspect
from planner.api.machines import bench_folder, loads_folder
from planner.bench.load_store import LOADS, StoredLoad, save_load, stored_loads
from planner.bench.record_files import NEWEST, Stored, find_stored, remove_stored
from planner.bench.store import (
    RUNS,
    StoredRun,
    is_run,
    run_from,
    save_run,
    stored_runs,
)
from planner.errors import MalformedError, NotFoundError, ReadError
from planner.estimate.llama_bench_records import Filed, runs_of_records
from planner.quoting import quoted
from planner.readers.gguf.file import read_gguf
from planner.readers.measurements.text import read_text

__all__ = [
    "StoredLoad", "StoredRun", "import_runs", "list_loads", "list_runs", "remove_runs", "stored_run", "this_machine",
]  # fmt: skip


def list_runs() -> tuple[tuple[StoredRun, ...], tuple[str, ...]]:
    """All runs, oldest first, and a line for each file that is none."""
    return stored_runs(bench_folder())


def list_loads() -> tuple[tuple[StoredLoad, ...], tuple[str, ...]]:
    """All load tests, oldest first, and a line for each file that is none."""
    return stored_loads(loads_folder())


def this_machine() -> str:
    """The fingerprint that runs of this machine carry."""
    return machine_fingerprint(inspect())


def stored_run(name: str) -> StoredRun | StoredLoad:
    """The benchmark or load test of an id or its beginning, "last", or a file's path."""
    path = Path(name)
    if name != NEWEST and path.suffix == ".json" and path.is_file():
        return _of_file(path)
    kept: list[Stored[Any]] = [*list_runs()[0], *list_loads()[0]]
    kept.sort(key=lambda item: str(item.run.measured_at))
    return find_stored(name, kept, bench_folder())


def _of_file(path: Path) -> StoredRun | StoredLoad:
    try:
        return RUNS.read(path)
    except (OSError, ValueError) as error:
        reason = error
    try:
        return LOADS.read(path)
    except (OSError, ValueError):
        raise NotFoundError(f"{quoted(str(path))} is no benchmark run or load test: {reason}") from None


def import_runs(path: Path, *, here: bool = False) -> tuple[StoredRun | StoredLoad, ...]:
    """Keeps the runs of a file of llama-bench's (JSON or JSON lines) or of ours, load tests among them; ReadError else.

    `here` files llama-bench's runs under this machine, and under the model's file where it is still there.
    """
    file = read_text(path)
    own = [item for item in file.objects or () if is_run(item)]
    theirs = [item for item in file.objects or () if "model_type" in item and "n_prompt" in item]
    loads = [item for item in file.objects or () if LOADS.is_one(item)]
    if not own and not theirs and not loads:
        raise MalformedError(
            f"{quoted(path.name)} holds neither JSON of llama-bench nor a run of planner bench; "
            "run llama-bench with -o json"
        )
    try:
        runs = [run_from(item) for item in own]
        tests = [LOADS.of(item) for item in loads]
        for model_path in dict.fromkeys(str(item.get("model_filename", "")) for item in theirs):
            records = [item for item in theirs if str(item.get("model_filename", "")) == model_path]
            runs += runs_of_records(records, _filed(model_path, here))
    except ValueError as error:
        raise MalformedError(f"{quoted(path.name)}: {error}") from error
    return (
        *(StoredRun(path=save_run(run, bench_folder()), run=run) for run in runs),
        *(StoredLoad(path=save_load(test, loads_folder()), run=test) for test in tests),
    )


def _filed(model_path: str, here: bool) -> Filed:
    """Under which machine and model file a foreign run is kept."""
    if not here:
        return Filed()
    try:
        fingerprint = read_gguf(model_path).fingerprint if model_path else ""
    except ReadError:  # moved or removed since: the run still counts for other models
        fingerprint = ""
    return Filed(
        model_fingerprint=fingerprint,
        machine_fingerprint=this_machine(),
        model_name=Path(model_path).stem or None,
    )


def remove_runs(names: Sequence[str]) -> tuple[StoredRun | StoredLoad, ...]:
    """Removes them all, or none when a name is wrong; says which."""
    found = {item.path: item for item in (stored_run(name) for name in names)}
    for item in found.values():
        remove_stored(item)
    return tuple(found.values())

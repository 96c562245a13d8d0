"""Which machine, and what is known of its speed."""

from dataclasses import replace
from pathlib import Path

from hardware.described import describe_machine
from hardware.inspect import inspect_machine, machine_fingerprint
from hardware.memory_probe import measure_matrix_throughput, measure_memory_bandwidth
from hardware.spec import Machine
from hardware.store import StoredRates, data_folder, save_rates, with_stored_rates
from planner.bench.store import load_runs
from planner.estimate.calibration import efficiencies_from_rows
from planner.estimate.local import LocalRates, spreads_from_rows
from planner.estimate.speed import SpeedFacts
from planner.progress import Progress, named_stretch
from profiles.loader import calibration_rows


def inspect(*, measure: bool = False, progress: Progress | None = None) -> Machine:
    """Looks at this machine; with `measure`, its memory bandwidth and matrix throughput are measured and kept."""
    machine = inspect_machine()
    folder = data_folder()
    if measure:
        bandwidth = measure_memory_bandwidth(progress=named_stretch(progress, 0.0, 0.7, "reading memory"))
        matrix = measure_matrix_throughput(progress=named_stretch(progress, 0.7, 1.0, "multiplying matrices"))
        rates = StoredRates(memory_bandwidth=bandwidth, matrix_throughput=matrix)
        save_rates(folder, machine_fingerprint(machine), rates)
        return replace(machine, memory_bandwidth=bandwidth, matrix_throughput=matrix)
    return with_stored_rates(machine, folder)


def machine_for(on: str | None) -> Machine:
    """The machine in words, or this one when nothing is said."""
    return inspect() if on is None else describe_machine(on)


def speed_facts(machine: Machine) -> tuple[SpeedFacts, tuple[str, ...]]:
    """Fitted efficiencies, this machine's own benchmarks, and a line for each file that was skipped."""
    rows = (*calibration_rows("llama_cpp"), *calibration_rows("llama_cpp_cpu"))
    efficiencies = efficiencies_from_rows(rows)
    if machine.described:
        return SpeedFacts(efficiencies=efficiencies), ()
    runs, warnings = load_runs(bench_folder())
    fingerprint = machine_fingerprint(machine)
    own = tuple(run for run in runs if run.machine_fingerprint == fingerprint)
    spreads = spreads_from_rows(calibration_rows("transfer"))
    local = LocalRates(runs=own, spreads=spreads) if own else None
    return SpeedFacts(efficiencies=efficiencies, local=local), warnings


def bench_folder() -> Path:
    """Where benchmark runs are kept."""
    return data_folder() / "benchmarks"

"""Which machine, and what is known of its speed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hardware.described import describe_machine
from hardware.errors import DescriptionError
from hardware.fleet import Fleet, like_machines
from hardware.fleet_json import read_fleet_file
from hardware.fleets.folder import folder_fleet
from hardware.inspect import inspect_machine, machine_fingerprint
from hardware.machine_json import read_machine_file
from hardware.spec import Machine
from hardware.store import data_folder, with_stored_rates
from planner.api.llama_cpp_factors import (
    POWER_FILE,
    calibration_notes,
    own_calibration,
    speed_factors,
    speed_spreads,
)
from planner.bench.store import load_runs
from planner.estimate.local import LocalRates
from planner.estimate.measurement import BenchRun
from planner.estimate.own_bench import taught_by_runs
from planner.estimate.speed import SpeedFacts
from planner.speed.power import shares_from
from profiles.loader import calibration_rows

FLEET_PREFIX = "fleet:"
_MAX_NAMED = 5


def machine_for(on: str | Machine | None) -> Machine:
    """The machine in words, of a file that `planner hardware --format json` wrote, or this one for None.

    A fleet stands for its machine where all are alike; otherwise the message names its machines.
    """
    if isinstance(on, Machine):
        return on
    if on is None:
        return with_stored_rates(inspect_machine(), data_folder())
    fleet = fleet_for(on)
    if fleet is not None:
        return _only_machine(fleet)
    if on.strip().casefold().endswith(".json"):
        machine = read_machine_file(Path(on.strip()).expanduser())
        # The same rule as for benchmarks: what was measured on a machine of this fingerprint counts for it.
        return machine if machine.described else with_stored_rates(machine, data_folder())
    return describe_machine(on)


def fleet_for(on: str | None) -> Fleet | None:
    """The fleet that `fleet:PATH` names, a folder of machine files or one fleet file; None for anything else."""
    text = (on or "").strip()
    if not text.startswith(FLEET_PREFIX):
        return None
    path = Path(text.removeprefix(FLEET_PREFIX)).expanduser()
    return folder_fleet(path) if path.is_dir() else read_fleet_file(path)


def _only_machine(fleet: Fleet) -> Machine:
    groups = like_machines(fleet)
    if not groups:
        reasons = "; ".join(f"{member.name}: {member.problem}" for member in fleet.members[:_MAX_NAMED])
        raise DescriptionError(
            f"{fleet.source} holds no machine that can be planned with ({reasons or 'none'})"
        )
    if len(groups) > 1:
        kinds = "; ".join(f"{group.names[0]} ({group.label})" for group in groups[:_MAX_NAMED])
        more = f"; and {len(groups) - _MAX_NAMED} more" if len(groups) > _MAX_NAMED else ""
        raise DescriptionError(
            f"{fleet.source} holds {len(groups)} kinds of machine and this command plans with one; pick one with "
            f"--on FILE: {kinds}{more}"
        )
    return replace(groups[0].machine, name=groups[0].label)


def speed_facts(machine: Machine, engine: str = "llama.cpp") -> tuple[SpeedFacts, tuple[str, ...]]:
    """Fitted effects as this machine's own benchmarks in an engine teach them, and lines on what is one's own or was skipped."""
    factors, ratios = speed_factors(), speed_spreads()
    power = shares_from(calibration_rows(POWER_FILE))
    if machine.described:
        return SpeedFacts(factors=factors, spreads=ratios, power=power), calibration_notes()
    runs, warnings = load_runs(bench_folder())
    fingerprint = machine_fingerprint(machine)
    own = tuple(run for run in runs if run.machine_fingerprint == fingerprint and run.engine == engine)
    factors = taught_by_runs(factors, _not_yet_taught(own, fingerprint), machine)
    facts = SpeedFacts(
        factors=factors, spreads=ratios, local=LocalRates(runs=own) if own else None, power=power
    )
    return facts, (*calibration_notes(), *warnings)


def _not_yet_taught(runs: Sequence[BenchRun], fingerprint: str) -> tuple[BenchRun, ...]:
    """Runs that the user's calibration in use, where it holds runs of this machine, was made before."""
    kept = own_calibration()
    if kept is None or all(row.get("origin") != fingerprint for row in kept.rows):
        return tuple(runs)
    return tuple(run for run in runs if run.measured_at[: len(kept.date)] > kept.date)


def bench_folder() -> Path:
    """Where benchmark runs are kept."""
    return data_folder() / "benchmarks"


def loads_folder() -> Path:
    """Where load tests are kept."""
    return data_folder() / "loads"

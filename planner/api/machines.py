"""Which machine, and what is known of its speed."""

from dataclasses import replace
from pathlib import Path

from hardware.described import describe_machine
from hardware.disk_probe import measure_disk_read
from hardware.errors import DescriptionError, HardwareError
from hardware.fleet import Fleet, like_machines
from hardware.fleet_json import read_fleet_file
from hardware.fleets.folder import folder_fleet
from hardware.fleets.kubernetes import kubernetes_fleet
from hardware.fleets.ray import ray_fleet
from hardware.gpu_copy_session import measure_gpu_copies
from hardware.inspect import inspect_machine, machine_fingerprint
from hardware.machine_json import read_machine_file
from hardware.memory_probe import measure_mapped_read, measure_matrix_throughput, measure_memory_bandwidth
from hardware.spec import Machine
from hardware.store import StoredRates, data_folder, save_rates, stored_copies, with_stored_rates
from planner.api.llama_cpp_factors import POWER_FILE, calibration_notes, speed_factors, speed_spreads
from planner.bench.store import load_runs
from planner.estimate.calibration import efficiencies_from_rows
from planner.estimate.local import LocalRates, spreads_from_rows
from planner.estimate.speed import SpeedFacts
from planner.progress import Progress, named_stretch, stretch
from planner.speed.power import shares_from
from profiles.loader import calibration_rows

FLEET_PREFIX = "fleet:"
_MAX_NAMED = 5
_MAX_SHOWN = 120


def inspect(
    *, measure: bool = False, measure_devices: bool = False, progress: Progress | None = None
) -> Machine:
    """Looks at this machine; with `measure`, its memory bandwidth and matrix throughput are measured and kept.

    `measure_devices` measures beside them the disk under the weights' folder, how fast a mapped file of it is read
    from memory, and what the GPUs copy. What cannot be measured costs one line in `problems`.
    """
    machine = inspect_machine()
    folder = data_folder()
    if measure:
        of_memory, of_matrix = (0.3, 0.45) if measure_devices else (0.7, 1.0)
        bandwidth = measure_memory_bandwidth(
            progress=named_stretch(progress, 0.0, of_memory, "reading memory")
        )
        matrix = measure_matrix_throughput(
            progress=named_stretch(progress, of_memory, of_matrix, "multiplying matrices")
        )
        rates = StoredRates(memory_bandwidth=bandwidth, matrix_throughput=matrix)
        if measure_devices:
            machine, rates = _measure_devices(machine, rates, stretch(progress, of_matrix, 1.0))
        save_rates(folder, machine_fingerprint(machine), rates)
    return with_stored_rates(machine, folder)


def _measure_devices(
    machine: Machine, rates: StoredRates, progress: Progress | None
) -> tuple[Machine, StoredRates]:
    """The machine with what its GPUs copy and lines for what failed, and the rates to keep."""
    problems: tuple[str, ...] = ()
    of_mapped, of_disk = (0.2, 0.5) if machine.gpus else (0.4, 1.0)
    if machine.disk is not None:
        folder = _existing(Path(machine.disk.folder))
        try:
            mapped = measure_mapped_read(
                folder, progress=named_stretch(progress, 0.0, of_mapped, "reading a mapped file")
            )
            rates = replace(rates, mapped_read=mapped)
            disk = measure_disk_read(
                folder, progress=named_stretch(progress, of_mapped, of_disk, "reading the disk")
            )
            rates = replace(rates, disk_read=disk)
        except HardwareError as error:
            problems += (str(error),)
    if machine.gpus:
        gpus, lines = measure_gpu_copies(
            machine.gpus,
            0 if machine.memory is None else machine.memory.available_bytes,
            progress=named_stretch(progress, of_disk, 1.0, "copying on GPUs"),
        )
        rates = replace(rates, gpu_copies=stored_copies(gpus))
        machine, problems = replace(machine, gpus=gpus), problems + lines
    return replace(machine, problems=machine.problems + problems), rates


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next((place for place in (folder, *folder.parents) if place.is_dir()), Path())


def machine_for(on: str | Machine | None) -> Machine:
    """The machine in words, of a file that `planner hardware --format json` wrote, or this one for None.

    A fleet stands for its machine where all are alike; otherwise the message names its machines.
    """
    if isinstance(on, Machine):
        return on
    if on is None:
        return inspect()
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


def gather_fleet(
    source: str, *, nodes_json: str | None = None, timeout_s: float = 120.0, progress: Progress | None = None
) -> Fleet:
    """The machines of "folder:PATH", "ray", "ray:ADDRESS", "kubernetes", or "-" with what kubectl printed."""
    kind, _, rest = source.strip().partition(":")
    if kind == "folder" and rest:
        return folder_fleet(Path(rest).expanduser())
    if kind == "ray":
        return ray_fleet(rest or None, timeout_s=timeout_s, progress=progress)
    if kind == "kubernetes" and not rest:
        return kubernetes_fleet()
    if kind == "-" and not rest and nodes_json is not None:
        return kubernetes_fleet(nodes_json)
    raise DescriptionError(
        f"{source[:_MAX_SHOWN]!r} is no source of a fleet; write folder:PATH, ray, ray:HOST:PORT, kubernetes, or - "
        "with kubectl get nodes -o json piped in"
    )


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
    """Fitted efficiencies, this machine's own benchmarks in an engine, and lines on what is one's own or was skipped."""
    rows = (*calibration_rows("llama_cpp"), *calibration_rows("llama_cpp_cpu"))
    efficiencies = efficiencies_from_rows(rows)
    factors, ratios = speed_factors(), speed_spreads()
    power = shares_from(calibration_rows(POWER_FILE))
    if machine.described:
        facts = SpeedFacts(efficiencies=efficiencies, factors=factors, spreads=ratios, power=power)
        return facts, calibration_notes()
    runs, warnings = load_runs(bench_folder())
    fingerprint = machine_fingerprint(machine)
    own = tuple(run for run in runs if run.machine_fingerprint == fingerprint and run.engine == engine)
    spreads = spreads_from_rows(calibration_rows("transfer"))
    local = LocalRates(runs=own, spreads=spreads) if own else None
    facts = SpeedFacts(efficiencies=efficiencies, local=local, factors=factors, spreads=ratios, power=power)
    return facts, (*calibration_notes(), *warnings)


def bench_folder() -> Path:
    """Where benchmark runs are kept."""
    return data_folder() / "benchmarks"

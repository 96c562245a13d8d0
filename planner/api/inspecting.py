"""Looks at this machine, and measures it where asked to."""

from dataclasses import replace
from pathlib import Path

from hardware.disk_probe import measure_disk_read
from hardware.errors import HardwareError
from hardware.gpu_copy_session import measure_gpu_copies
from hardware.inspect import inspect_machine, machine_fingerprint
from hardware.memory_probe import measure_mapped_read, measure_matrix_throughput, measure_memory_bandwidth
from hardware.spec import Machine
from hardware.store import StoredRates, data_folder, save_rates, stored_copies, with_stored_rates
from planner.progress import Progress, named_stretch, stretch


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

"""What this machine is: every probe once, joined into one record."""

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hardware.accelerators import Row
from hardware.host import host_cpu, host_memory, run_command, system_name
from hardware.probes.amd import read_amd_gpus
from hardware.probes.apple import read_apple_gpu
from hardware.probes.container import ContainerLimits, read_container, read_limits
from hardware.probes.cpu import Runner
from hardware.probes.disk import read_disk, weights_folder
from hardware.probes.gpu_report import GpuReport
from hardware.probes.intel import read_intel_gpus
from hardware.probes.jetson import jetson_accelerator, read_jetson, with_jetson_gpu
from hardware.probes.memory import installed_bytes
from hardware.probes.nvidia import read_nvidia_gpus
from hardware.spec import Basis, Gpu, Machine, Memory

Fact = TypeVar("Fact")

_FINGERPRINT_DIGITS = 16


def inspect_machine(
    root: Path = Path("/"),
    nvml: Any = None,
    *,
    environ: Mapping[str, str] | None = None,
    run: Runner = run_command,
    psutil_module: Any = None,
    system: str | None = None,
    rows: Iterable[Row] | None = None,
    amdsmi: Any = None,
    disk_folder: Path | None = None,
    count_integrated: bool = False,
) -> Machine:
    """The machine this runs on: processors, memory, GPUs, disk, container limits.

    A probe that fails costs one line in `problems`, not the inspection. The arguments stand in for the
    machine in tests: a file tree, NVML and AMD's library, an environment, a command runner. `disk_folder` is
    where weights would lie, by default the cache of huggingface_hub; GPUs that are part of a processor and have
    no profile count only with `count_integrated`.
    """
    environ = os.environ if environ is None else environ
    system = system or platform.system()
    table = None if rows is None else tuple(rows)
    problems: list[str] = []
    left_out: list[str] = []  # details of processors and memory that could not be read
    total_bytes = _probed("memory", lambda: installed_bytes(root), problems)
    unclear: list[str] = []
    limits = _probed("container limits", lambda: read_limits(root, total_bytes, unclear), problems)
    limits = limits or ContainerLimits()
    problems += [f"container limits: {line}" for line in dict.fromkeys(unclear)]
    cpu = _probed("processors", lambda: host_cpu(root, limits, run, system, left_out), problems)
    memory = _probed("memory", lambda: host_memory(root, limits, psutil_module, left_out), problems)
    if left_out:
        problems.append(f"left out, not readable: {'; '.join(dict.fromkeys(left_out))}")
    vendors = _gpu_reports(
        root, nvml, environ, run, system, table, amdsmi, memory, count_integrated, problems
    )
    gpus = _numbered(vendors)
    folder = weights_folder(environ) if disk_folder is None else disk_folder
    rate, basis = _stated_bandwidth(memory, gpus)
    remarks = [line for report in vendors for line in report.problems]
    n_online = None if cpu is None or cpu.details is None else cpu.details.n_online_threads
    return Machine(
        name="this machine",
        cpu=cpu,
        memory=memory,
        gpus=gpus,
        os=_probed("operating system", lambda: system_name(root, system), problems),
        gpu_driver=next((report.driver_version for report in vendors if report.driver_version), None),
        problems=tuple(dict.fromkeys((*problems, *remarks))),  # one cause, one line
        cpu_memory_bytes_per_s=rate,
        cpu_memory_basis=basis,
        container=_probed("container", lambda: read_container(root, limits, environ, n_online), problems),
        disk=_probed("disk", lambda: read_disk(folder, root, left_out), problems),
    )


def _gpu_reports(
    root: Path,
    nvml: Any,
    environ: Mapping[str, str],
    run: Runner,
    system: str,
    rows: tuple[Row, ...] | None,
    amdsmi: Any,
    memory: Memory | None,
    count_integrated: bool,
    problems: list[str],
) -> tuple[GpuReport, ...]:
    """What each vendor's probe found; a probe that fails leaves the others."""
    nvidia = read_nvidia_gpus(nvml, environ, rows, memory)
    reports = [GpuReport(gpus=nvidia.gpus, driver_version=nvidia.driver_version, problems=nvidia.problems)]
    if system == "Darwin":
        apple = _probed("Apple GPU", lambda: read_apple_gpu(run, rows), problems) or ((), ())
        return (*reports, GpuReport(gpus=apple[0], problems=apple[1]))
    total = None if memory is None else memory.total_bytes
    free = None if memory is None else memory.available_bytes
    jetson = _probed("Jetson", lambda: read_jetson(root, total), problems)
    if jetson is not None:
        reports = [with_jetson_gpu(reports[0], jetson, memory, jetson_accelerator(jetson, rows))]
    probes: tuple[tuple[str, Callable[[], GpuReport]], ...] = (
        (
            "AMD GPUs",
            lambda: read_amd_gpus(
                root, environ, rows, amdsmi=amdsmi, installed_bytes=total, available_bytes=free,
                count_integrated=count_integrated,
            ),
        ),
        (
            "Intel GPUs",
            lambda: read_intel_gpus(
                root, environ, rows, run=run, count_integrated=count_integrated, installed_bytes=total
            ),
        ),
    )  # fmt: skip
    reports += [report for what, probe in probes if (report := _probed(what, probe, problems)) is not None]
    return tuple(reports)


def _numbered(reports: Sequence[GpuReport]) -> tuple[Gpu, ...]:
    """All GPUs; those of a second vendor count on, so that no two have one number."""
    gpus: list[Gpu] = []
    for report in reports:
        offset = max((gpu.index + 1 for gpu in gpus), default=0)
        for gpu in report.gpus:
            details = gpu.details
            if details is not None and offset and details.peers:
                moved = tuple(replace(peer, index=peer.index + offset) for peer in details.peers)
                details = replace(details, peers=moved)
            gpus.append(replace(gpu, index=gpu.index + offset, details=details) if offset else gpu)
    return tuple(gpus)


def _stated_bandwidth(memory: Memory | None, gpus: Sequence[Gpu]) -> tuple[float | None, Basis | None]:
    """Main memory's speed as its modules, or the chip whose GPU shares it, promise it."""
    modules = None if memory is None or memory.details is None else memory.details.modules
    if modules is not None and modules.bytes_per_s is not None:
        return modules.bytes_per_s, Basis.DERIVED
    shared = (gpu.accelerator for gpu in gpus if gpu.accelerator is not None)
    unified = next((accelerator for accelerator in shared if accelerator.unified_memory), None)
    return (None, None) if unified is None else (unified.memory_bytes_per_s, Basis.VENDOR)


def machine_fingerprint(machine: Machine) -> str:
    """A short name for this combination of processor, usable threads and GPUs: the same until one changes.

    Measured rates are kept under it. Memory in use, drivers and host names do not enter.
    """
    gpus = Counter((gpu.name, gpu.mig_profile) for gpu in machine.gpus)
    facts = {
        "cpu": None if machine.cpu is None else [machine.cpu.model, machine.cpu.n_usable_threads],
        "gpus": sorted([name, profile or "", count] for (name, profile), count in gpus.items()),
    }
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:_FINGERPRINT_DIGITS]


def _probed(what: str, probe: Callable[[], Fact], problems: list[str]) -> Fact | None:
    """What a probe found, or None and a line in `problems` when the system did not answer as it should."""
    try:
        return probe()
    except (OSError, ValueError) as error:
        problems.append(f"{what}: {' '.join(str(error).split())}")
        return None

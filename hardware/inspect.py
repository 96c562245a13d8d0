"""What this machine is: every probe once, joined into one record."""

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from hardware.accelerators import Row
from hardware.host import host_cpu, host_memory, run_command, system_name
from hardware.probes.apple import read_apple_gpu
from hardware.probes.container import ContainerLimits, read_limits
from hardware.probes.cpu import Runner
from hardware.probes.memory import installed_bytes
from hardware.probes.nvidia import read_nvidia_gpus
from hardware.spec import Machine

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
) -> Machine:
    """The machine this runs on: processors, memory, GPUs, container limits.

    A probe that fails costs one line in `problems`, not the inspection. The arguments stand in for the
    machine in tests: a file tree, an NVML module, an environment, a command runner.
    """
    problems: list[str] = []
    total_bytes = _probed("memory", lambda: installed_bytes(root), problems)
    limits = (
        _probed("container limits", lambda: read_limits(root, total_bytes), problems) or ContainerLimits()
    )
    cpu = _probed("processors", lambda: host_cpu(root, limits, run, system), problems)
    memory = _probed("memory", lambda: host_memory(root, limits, psutil_module), problems)
    nvidia = read_nvidia_gpus(nvml, os.environ if environ is None else environ, rows)
    apple = None
    if (system or platform.system()) == "Darwin":
        apple = _probed("Apple GPU", lambda: read_apple_gpu(run, rows), problems)
    apple_gpus, apple_notes = apple or ((), ())
    return Machine(
        name="this machine",
        cpu=cpu,
        memory=memory,
        gpus=(*nvidia.gpus, *apple_gpus),
        os=_probed("operating system", lambda: system_name(root, system), problems),
        gpu_driver=nvidia.driver_version,
        problems=tuple(dict.fromkeys((*problems, *nvidia.problems, *apple_notes))),  # one cause, one line
    )


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

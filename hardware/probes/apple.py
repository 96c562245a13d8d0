"""The GPU of an Apple chip, which works in main memory: its core count and how much of it macOS allows.

Needs `sysctl` and `system_profiler`, both part of macOS; the answers are parsed by pure functions.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from hardware.accelerators import Row, match_driver_name
from hardware.gpu_details import GpuDetails
from hardware.probes.cpu import Runner, parse_sysctl
from hardware.spec import Gpu
from hardware.unified import mac_gpu_bytes, mac_note

_SYSCTL = ("/usr/sbin/sysctl", "hw.memsize", "machdep.cpu.brand_string")
_SYSCTL_LIMIT = ("/usr/sbin/sysctl", "iogpu")
_PROFILER = ("/usr/sbin/system_profiler", "-json", "SPDisplaysDataType")
Fact = TypeVar("Fact")
_CORES = re.compile(r"\d{1,4}")


def read_apple_gpu(run: Runner, rows: Iterable[Row] | None = None) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The GPU of a Mac with an Apple chip and a line about its memory; nothing on a Mac with an Intel one.

    Raises OSError or ValueError where macOS does not even tell chip and memory.
    """
    values = parse_sysctl(run(_SYSCTL))
    chip = values.get("machdep.cpu.brand_string", "")
    if not chip.startswith("Apple "):
        return (), ()
    size = values.get("hw.memsize", "")
    if not size.isdecimal():
        raise ValueError(f"sysctl says hw.memsize is {size[:80]!r}, not a number of bytes")
    notes: list[str] = []
    limits = _asked("the GPU's memory limit", lambda: parse_sysctl(run(_SYSCTL_LIMIT)), notes) or {}
    n_cores = _asked("the number of GPU cores", lambda: n_gpu_cores(run(_PROFILER)), notes)
    gpus, remarks = apple_gpu(chip, int(size), limits, n_cores, rows)
    return gpus, (*notes, *remarks)


def apple_gpu(
    chip: str,
    total_bytes: int,
    limits: Mapping[str, str],
    n_cores: int | None,
    rows: Iterable[Row] | None = None,
) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The GPU of `chip`; chips of one name come with different numbers of GPU cores, so those are named too."""
    limit = limits.get("iogpu.wired_limit_mb", "")
    gpu_bytes = mac_gpu_bytes(total_bytes, int(limit) if limit.isdecimal() else None)
    name = chip if n_cores is None else f"{chip} ({n_cores}-core GPU)"
    accelerator = match_driver_name(name, gpu_bytes, rows)
    notes = [mac_note(name, total_bytes, gpu_bytes)]
    if accelerator is None:
        notes.append(
            f"GPU 0: no profile for {name!r}, so its speed is unknown; add a row to accelerators.csv"
        )
    gpu = Gpu(
        index=0,
        name=name,
        memory_bytes=gpu_bytes,
        free_bytes=None,
        accelerator=accelerator,
        backend="metal",
        details=GpuDetails(architecture=chip, unified_memory=True, host_visible_bytes=total_bytes),
    )
    return (gpu,), tuple(notes)


def _asked(what: str, ask: Callable[[], Fact], notes: list[str]) -> Fact | None:
    """The answer, or None and a line when one of the two commands fails: the GPU itself is known without it."""
    try:
        return ask()
    except (OSError, ValueError) as error:
        notes.append(f"Apple GPU: {what} is not known: {' '.join(str(error).split())[:200]}")
        return None


def n_gpu_cores(profile: str) -> int | None:
    """GPU cores from `system_profiler -json SPDisplaysDataType`, None where it does not say."""
    document: Any = json.loads(profile)
    displays = document.get("SPDisplaysDataType") if isinstance(document, dict) else None
    for display in displays if isinstance(displays, list) else []:
        cores = display.get("sppci_cores") if isinstance(display, dict) else None
        if isinstance(cores, str) and _CORES.fullmatch(cores):
            return int(cores)
    return None

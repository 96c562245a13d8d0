"""Whether a machine held its speed while something was measured: throttling, clocks, heat, battery, GPU limits."""

import contextlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardware.probes.kernel_files import KernelFolder, numbered
from hardware.units import GIGA, MEGA

_CPUS = Path("/sys/devices/system/cpu")
_NOTICEABLE_S = 0.5
_COUNTS = ("core_throttle_count", "package_throttle_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strain:
    """What the system tells at one moment; None for what it does not."""

    n_throttled: int | None  # times that processors were slowed for heat since the system started
    clock_hz: float | None  # mean over processors
    temperature_c: float | None  # of the hottest sensor
    on_battery: bool | None
    gpu_hot_s: float | None = None  # that GPUs were held back for heat since their driver was loaded
    gpu_capped_s: float | None = None  # and by their power limit


def read_strain(
    cpus: Path = _CPUS, psutil_module: Any = None, *, gpus: bool = False, nvml: Any = None
) -> Strain:
    """The machine now; its NVIDIA GPUs where they do the work."""
    psutil = psutil_module or importlib.import_module("psutil")
    return Strain(
        n_throttled=_throttled(cpus),
        clock_hz=_clock_hz(psutil),
        temperature_c=_temperature_c(psutil),
        on_battery=_on_battery(psutil),
        gpu_hot_s=_held_back_s("THERMAL", nvml) if gpus else None,
        gpu_capped_s=_held_back_s("POWER", nvml) if gpus else None,
    )


def strain_notes(before: Strain, after: Strain) -> tuple[str, ...]:
    """A line for each reason why the machine may have been slower than it can be."""
    notes = []
    if before.n_throttled is not None and after.n_throttled is not None:
        n = after.n_throttled - before.n_throttled
        if n > 0:
            notes.append(
                f"the processors were slowed for heat {n:,} times meanwhile; cool the machine and repeat"
            )
    for what, first, last in (
        ("for heat", before.gpu_hot_s, after.gpu_hot_s),
        ("by their power limit", before.gpu_capped_s, after.gpu_capped_s),
    ):
        if first is not None and last is not None and last - first >= _NOTICEABLE_S:
            notes.append(f"the GPUs were held back {what} for {last - first:.1f} s meanwhile")
    if after.on_battery:
        notes.append("the machine ran on its battery, which slows many; plug it in and repeat")
    return tuple(notes)


def _held_back_s(policy: str, nvml: Any) -> float | None:
    """Seconds over all GPUs, by the driver's own counters of one policy; None where it does not count."""
    total = 0.0
    counted = False
    with contextlib.suppress(Exception):  # no driver or no library
        nvml = nvml or importlib.import_module("pynvml")
        nvml.nvmlInit()
        for index in range(int(nvml.nvmlDeviceGetCount())):
            with contextlib.suppress(Exception):  # a card that does not count, or is lost
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                status = nvml.nvmlDeviceGetViolationStatus(
                    handle, getattr(nvml, f"NVML_PERF_POLICY_{policy}")
                )
                total += float(status.violationTime) / GIGA
                counted = True
    return total if counted else None


def _throttled(cpus: Path) -> int | None:
    counts = [
        count
        for cpu in numbered(cpus, "cpu[0-9]*")
        for name in _COUNTS
        if (count := KernelFolder(cpu / "thermal_throttle").number(name)) is not None
    ]
    return sum(counts) if counts else None


def _clock_hz(psutil: Any) -> float | None:
    try:
        found = psutil.cpu_freq()
    except (OSError, AttributeError, RuntimeError, psutil.Error):  # each system fails in its own way
        return None
    return found.current * MEGA if found is not None and found.current else None


def _temperature_c(psutil: Any) -> float | None:
    try:
        sensors = psutil.sensors_temperatures()
    except (OSError, AttributeError, psutil.Error):
        return None
    readings = [one.current for each in sensors.values() for one in each if one.current]
    return max(readings) if readings else None


def _on_battery(psutil: Any) -> bool | None:
    try:
        battery = psutil.sensors_battery()
    except (OSError, AttributeError, psutil.Error):
        return None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged

"""Energy that processors and GPUs count themselves: RAPL in /sys/class/powercap, and NVML's counters.

A counter tells what its whole package or card has used, so idle power and other programs are in it. RAPL counts
in a register that wraps round; readings must be closer together than that takes (minutes at full load).
"""

import contextlib
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hardware.probes.kernel_files import KernelFolder
from hardware.units import MEGA, MILLI

POWERCAP = Path("/sys/class/powercap")


class EnergyCounter(Protocol):
    """Something that counts joules."""

    name: str

    def joules_since(self) -> float | None:
        """Joules since the last call, or since it was made; None when the counter no longer answers."""


@dataclass(slots=True)
class RaplCounter:
    """One package of processors, or its memory: `energy_uj` wraps at `max_energy_range_uj`."""

    name: str
    folder: KernelFolder
    range_uj: int
    last_uj: int

    def joules_since(self) -> float | None:
        """Joules since the last reading; a smaller reading has wrapped once."""
        now = self.folder.number("energy_uj")
        if now is None:
            return None
        used = now - self.last_uj if now >= self.last_uj else now + self.range_uj - self.last_uj
        self.last_uj = now
        return used / MEGA


@dataclass(slots=True)
class NvmlCounter:
    """One GPU: millijoules since the driver was loaded (Volta and newer)."""

    name: str
    ask_mj: Callable[[], int]
    last_mj: int

    def joules_since(self) -> float | None:
        """Joules since the last reading."""
        try:
            now = int(self.ask_mj())
        except Exception:  # noqa: BLE001 (pynvml's errors; a lost card answers nothing)
            return None
        used, self.last_mj = now - self.last_mj, now
        return used * MILLI if used >= 0 else None  # below zero: the driver was loaded anew


def rapl_counters(root: Path = POWERCAP) -> tuple[list[EnergyCounter], list[str]]:
    """Packages and their memory, and a line for what is there but cannot be read."""
    found: list[EnergyCounter] = []
    problems: list[str] = []
    for pattern in ("intel-rapl:[0-9]*", "amd-rapl:[0-9]*"):
        for folder in KernelFolder(root, problems).folders(pattern):
            name = folder.line("name") or ""
            # Core and uncore are parts of a package, psys holds them all: only what does not overlap counts.
            if not (name.startswith("package") or name == "dram"):
                continue
            wraps_at, now = folder.number("max_energy_range_uj"), folder.number("energy_uj")
            if now is not None and wraps_at:
                found.append(RaplCounter(f"RAPL {name}", folder, wraps_at, now))
    if problems:
        problems = [f"energy: {problems[0]} (the kernel lets only root read RAPL)"]
    return found, problems


def nvml_counters(nvml: Any = None) -> list[EnergyCounter]:
    """GPUs whose driver counts energy; empty without the driver."""
    try:
        nvml = nvml or importlib.import_module("pynvml")
        nvml.nvmlInit()
        count = int(nvml.nvmlDeviceGetCount())
    except Exception:  # noqa: BLE001 (no driver, no library: no counters)
        return []
    found: list[EnergyCounter] = []
    for index in range(count):
        with contextlib.suppress(Exception):  # a card too old, or lost: the others still count
            handle = nvml.nvmlDeviceGetHandleByIndex(index)

            def ask(handle: Any = handle) -> int:
                return int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle))

            found.append(NvmlCounter(f"GPU {index}", ask, ask()))
    return found


class EnergyMeter:
    """All counters of a machine together."""

    def __init__(self, counters: Sequence[EnergyCounter], problems: Sequence[str] = ()) -> None:
        self._counters = list(counters)
        self.problems = tuple(problems)

    @property
    def names(self) -> tuple[str, ...]:
        """What is counted."""
        return tuple(counter.name for counter in self._counters)

    def joules_since(self) -> float | None:
        """Joules of all counters since the last call; None without counters, or when one stopped answering."""
        used = [counter.joules_since() for counter in self._counters]
        if not used or any(value is None for value in used):
            return None
        return sum(value for value in used if value is not None)


def energy_meter(*, gpus: bool, root: Path = POWERCAP, nvml: Any = None) -> EnergyMeter:
    """The machine's counters: processors always, GPUs when they do the work."""
    counters, problems = rapl_counters(root)
    return EnergyMeter([*counters, *(nvml_counters(nvml) if gpus else [])], problems)

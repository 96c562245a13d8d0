"""Main memory: installed, free now, and what a container allows of it."""

import importlib
from pathlib import Path
from typing import Any

from hardware.host_details import MemoryDetails
from hardware.probes.container import ContainerLimits
from hardware.probes.huge_pages import lock_limit, read_huge_pages, transparent_huge_pages
from hardware.probes.memory_modules import read_memory_modules
from hardware.spec import Memory
from hardware.units import KIB


def read_memory(
    root: Path = Path("/"),
    limits: ContainerLimits | None = None,
    psutil_module: Any = None,
    failures: list[str] | None = None,
) -> Memory:
    """Main memory as Linux tells it in /proc/meminfo, or psutil elsewhere, within the container's `limits`.

    A detail that cannot be read is left out and named in `failures`. Raises OSError or ValueError where the system's answer cannot be read.
    """
    limits = limits or ContainerLimits()
    file = root / "proc/meminfo"
    if psutil_module is None and file.exists():
        sizes = parse_meminfo(file.read_text(encoding="utf-8", errors="replace"))
        total, available, swap = _linux_sizes(sizes)
    else:
        total, available, swap = _psutil_sizes(psutil_module)
    if limits.memory_headroom_bytes is not None:
        available = min(available, limits.memory_headroom_bytes)
    return Memory(
        total_bytes=total,
        available_bytes=available,
        limit_bytes=limits.memory_limit_bytes,
        limit_source=limits.memory_limit_source,
        swap_total_bytes=swap,
        details=_details(root, failures) if file.exists() else None,
    )


def _details(root: Path, failures: list[str] | None) -> MemoryDetails:
    unlimited, limit_bytes = lock_limit(root, failures)
    return MemoryDetails(
        huge_pages=read_huge_pages(root, failures),
        transparent_huge_pages=transparent_huge_pages(root, failures),
        lock_is_unlimited=unlimited,
        lock_limit_bytes=limit_bytes,
        modules=read_memory_modules(root, failures),
    )


def installed_bytes(root: Path = Path("/")) -> int | None:
    """Installed memory on Linux, None where /proc/meminfo does not say."""
    file = root / "proc/meminfo"
    if not file.exists():
        return None
    return parse_meminfo(file.read_text(encoding="utf-8", errors="replace")).get("MemTotal")


def parse_meminfo(text: str) -> dict[str, int]:
    """Bytes per line of /proc/meminfo ("MemTotal:  24684084 kB"; its kB are 1,024 bytes)."""
    sizes = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        fields = rest.split()
        if len(fields) == 2 and fields[1] == "kB" and fields[0].isdecimal():
            sizes[name.strip()] = int(fields[0]) * KIB
    return sizes


def _linux_sizes(sizes: dict[str, int]) -> tuple[int, int, int]:
    total = sizes.get("MemTotal")
    if not total:
        raise ValueError("/proc/meminfo states no MemTotal")
    available = sizes.get("MemAvailable")
    if available is None:  # kernels before 3.14: free memory and what the page cache would give back
        available = sum(sizes.get(name, 0) for name in ("MemFree", "Buffers", "Cached"))
    return total, min(available, total), sizes.get("SwapTotal", 0)


def _psutil_sizes(psutil_module: Any) -> tuple[int, int, int]:
    # 0.1 s to load, and Linux does not need it.
    psutil = psutil_module if psutil_module is not None else importlib.import_module("psutil")
    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available), int(psutil.swap_memory().total)

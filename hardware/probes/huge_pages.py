"""Huge pages, and how much memory a process may lock in place.

https://docs.kernel.org/admin-guide/mm/hugetlbpage.html, https://docs.kernel.org/admin-guide/mm/transhuge.html
"""

import re
from pathlib import Path

from hardware.host_details import HugePages
from hardware.probes.kernel_files import KernelFolder
from hardware.units import KIB

_SIZE = re.compile(r"hugepages-(\d{1,12})kB")
_CHOSEN = re.compile(r"\[(\w+)\]")
_LOCKED = re.compile(r"^Max locked memory\s+(\S+)\s+(\S+)\s+(\w+)", re.MULTILINE)


def read_huge_pages(root: Path = Path("/"), failures: list[str] | None = None) -> tuple[HugePages, ...]:
    """Page sizes that the kernel can set aside, smallest first, with how many there are."""
    parent = KernelFolder(root / "sys/kernel/mm/hugepages", failures)
    if not parent.path.is_dir():
        return ()
    found = []
    for path in parent.path.iterdir():
        match = _SIZE.fullmatch(path.name)
        if match is None:
            continue
        folder = parent.folder(path.name)
        total, free = folder.number("nr_hugepages"), folder.number("free_hugepages")
        if total is not None and free is not None:
            found.append(HugePages(page_bytes=int(match.group(1)) * KIB, n_total=total, n_free=free))
    return tuple(sorted(found, key=lambda pages: pages.page_bytes))


def transparent_huge_pages(root: Path = Path("/"), failures: list[str] | None = None) -> str | None:
    """When the kernel uses huge pages by itself: "always", "madvise" (when asked) or "never"."""
    line = KernelFolder(root / "sys/kernel/mm/transparent_hugepage", failures).line("enabled") or ""
    match = _CHOSEN.search(line)
    return None if match is None else match.group(1)


def lock_limit(root: Path = Path("/"), failures: list[str] | None = None) -> tuple[bool | None, int | None]:
    """Whether this process may lock all memory, and how many bytes it may lock otherwise (RLIMIT_MEMLOCK)."""
    match = _LOCKED.search(KernelFolder(root / "proc/self", failures).text("limits") or "")
    if match is None:
        return None, None
    soft = match.group(1)
    if soft == "unlimited":
        return True, None
    return (False, int(soft)) if soft.isdecimal() and len(soft) < 19 else (None, None)

"""How much of a shared main memory the GPU may use.

macOS caps what the GPU may hold ("recommendedMaxWorkingSetSize"): reports show about 2/3 on Macs of up to 36 GB
(10.7 of 16 GiB: https://github.com/exo-explore/exo/pull/1672) and 3/4 above (96 of 128 GiB:
https://github.com/gpustack/gpustack/issues/1375). Newer systems allow more (107.5 of 128 GiB:
https://github.com/antirez/ds4/pull/893), so this is the careful side. `sysctl iogpu.wired_limit_mb` raises it.
"""

from hardware.units import GIB, MIB, format_bytes

_SMALL_MAC_BYTES = 36 * GIB
_SMALL_MAC_FRACTION = 2 / 3
_LARGE_MAC_FRACTION = 3 / 4


def mac_gpu_bytes(total_bytes: int, wired_limit_mb: int | None = None) -> int:
    """Memory that macOS lets the GPU use by default, or the limit that the owner set (0 means the default)."""
    if wired_limit_mb:
        return min(total_bytes, wired_limit_mb * MIB)
    fraction = _SMALL_MAC_FRACTION if total_bytes <= _SMALL_MAC_BYTES else _LARGE_MAC_FRACTION
    return int(total_bytes * fraction)


def mac_note(name: str, total_bytes: int, gpu_bytes: int) -> str:
    """One line that says how much of a Mac's memory its GPU gets, and how to raise it."""
    return (
        f"{name}: the GPU shares {format_bytes(total_bytes)} of main memory; macOS lets it use about "
        f"{format_bytes(gpu_bytes)}; the limit is set with sudo sysctl iogpu.wired_limit_mb=…"
    )


def shared_note(name: str, total_bytes: int) -> str:
    """One line for other chips whose GPU shares main memory: firmware or driver settings decide how much."""
    return (
        f"{name}: the GPU shares {format_bytes(total_bytes)} of main memory with the system; counted whole, "
        "though firmware or driver settings may give it less"
    )

"""How much of a shared main memory the GPU may use: Macs, AMD chips with a large GPU, Jetson and DGX Spark.

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


def apu_gpu_bytes(
    carve_out_bytes: int | None,
    gtt_bytes: int | None,
    installed_bytes: int | None,
    stated_bytes: int | None = None,
) -> int | None:
    """Memory that a ROCm program can allocate on an AMD chip whose GPU shares main memory, such as Strix Halo.

    There are two pools: what firmware carved out for the GPU (main memory no longer counts it), and what the
    driver may map of the rest (GTT; half of main memory unless ttm.pages_limit says otherwise). ROCm takes the
    larger, not the sum: with 4 GiB carved out and 96 GiB of GTT, llama.cpp's HIP backend has 96 GiB
    (https://github.com/noamsto/nix-amd-ai/issues/42), and adding the two counts memory that is not there
    (https://github.com/ROCm/legacy-rocm-build/issues/6004). A limit above what is installed limits nothing. `stated_bytes` is
    what the compute driver itself says.
    """
    if gtt_bytes is not None and installed_bytes is not None:
        gtt_bytes = min(gtt_bytes, installed_bytes)
    pools = [size for size in (carve_out_bytes, gtt_bytes) if size]
    if not stated_bytes:
        return max(pools, default=None)
    physical = None if installed_bytes is None else installed_bytes + (carve_out_bytes or 0)
    return stated_bytes if physical is None else min(stated_bytes, physical)


def apu_note(
    name: str, gpu_bytes: int, carve_out_bytes: int | None, gtt_bytes: int | None, installed_bytes: int | None
) -> str:
    """One line that says what an AMD chip's GPU may use of main memory, and how to raise it."""
    parts = [
        f"{format_bytes(size)} {what}"
        for size, what in ((carve_out_bytes, "carved out by firmware"), (gtt_bytes, "of GTT"))
        if size is not None
    ]
    of = "" if installed_bytes is None else f" of {format_bytes(installed_bytes)} of main memory"
    return (
        f"{name}: ROCm can use {format_bytes(gpu_bytes)}{of} ({', '.join(parts) or 'as the driver says'}); "
        "ttm.pages_limit=… on the kernel's command line raises it"
    )

"""What NVML says about one GPU beyond its memory: clocks, power, PCI Express, error correction, users.

Constants are those of nvml.h; they are written out because releases of the Python module lack some of them.
https://docs.nvidia.com/deploy/nvml-api/
"""

import ctypes
from dataclasses import dataclass
from typing import Any

from hardware.gpu_details import Clocks, ConfidentialComputing, GpuProcess, PcieLink, Power
from hardware.probes.nvidia_query import Asker
from hardware.units import KIB, MEGA, MILLI

_SM_CLOCK, _MEMORY_CLOCK = 1, 2
_DIE_TEMPERATURE = 0
_NODE_SCOPE = 0
_N_AFFINITY_WORDS = 16  # 64 NUMA nodes each
_MAX_PROCESSES = 256
_NO_VALUE = 2**64 - 1

IDLE = "idle"
# In the order of their bits. The second name of a bit is the older of the two that NVML has used.
_REASONS = {
    0x001: IDLE,
    0x002: "clocks set by the user",
    0x004: "power limit",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "too hot (software)",
    0x040: "too hot (hardware)",
    0x080: "power brake (external power)",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability limit",
}
HARMFUL_REASONS = frozenset(_REASONS[bit] for bit in (0x008, 0x020, 0x040, 0x080, 0x200, 0x400))

_ARCHITECTURES = {
    2: "Kepler", 3: "Maxwell", 4: "Pascal", 5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada", 9: "Hopper",
    10: "Blackwell", 13: "Rubin",
}  # fmt: skip
_VIRTUAL = {1: "passthrough", 2: "vGPU", 3: "host of vGPUs", 4: "host of shared GPUs"}
_ENVIRONMENTS = {0: None, 1: "simulation", 2: "production"}
_MULTI_GPU = {0: None, 1: "protected PCIe", 2: "NVLink encryption"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFacts:
    """What the driver says once for the whole machine."""

    version: str | None = None
    cuda_version: str | None = None
    confidential: bool | None = None
    environment: str | None = None
    multi_gpu: str | None = None
    accepts_work: bool | None = None  # with confidential computing: whether the GPUs were declared ready
    refused: tuple[str, ...] = ()


def read_driver(nvml: Any) -> DriverFacts:
    """Driver and CUDA version, and whether confidential computing is on."""
    asker = Asker(nvml)
    version = asker.text("nvmlSystemGetDriverVersion", topic="driver version")
    cuda = asker.count("nvmlSystemGetCudaDriverVersion_v2", topic="CUDA version")
    state = asker.ask("nvmlSystemGetConfComputeState", topic="confidential computing")
    multi_gpu = _multi_gpu_mode(asker)
    enabled = None if state is None else bool(state.ccFeature) or multi_gpu is not None
    ready = None
    if enabled:
        ready = asker.count("nvmlSystemGetConfComputeGpusReadyState", topic="confidential computing")
    return DriverFacts(
        version=version,
        cuda_version=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        confidential=enabled,
        environment=None if state is None else _ENVIRONMENTS.get(int(state.environment)),
        multi_gpu=multi_gpu,
        accepts_work=None if ready is None else bool(ready),
        refused=tuple(asker.refused),
    )


def _multi_gpu_mode(asker: Asker) -> str | None:
    """How confidential GPUs reach each other; this call hands its error code back instead of raising it."""
    make = getattr(asker.nvml, "c_nvmlSystemConfComputeSettings_v1_t", None)
    if make is None:
        return None
    settings = make()
    code = asker.ask("nvmlSystemGetConfComputeSettings", ctypes.byref(settings), quiet=True)
    return _MULTI_GPU.get(int(settings.multiGpuMode)) if code == 0 else None


def read_clocks(asker: Asker, handle: Any) -> Clocks | None:
    """Core and memory clock, now and at most."""
    topic = "clocks"
    clocks = Clocks(
        core_hz=asker.scaled("nvmlDeviceGetClockInfo", handle, _SM_CLOCK, topic=topic, unit=MEGA),
        core_max_hz=asker.scaled("nvmlDeviceGetMaxClockInfo", handle, _SM_CLOCK, topic=topic, unit=MEGA),
        memory_hz=asker.scaled("nvmlDeviceGetClockInfo", handle, _MEMORY_CLOCK, topic=topic, unit=MEGA),
        memory_max_hz=asker.scaled(
            "nvmlDeviceGetMaxClockInfo", handle, _MEMORY_CLOCK, topic=topic, unit=MEGA
        ),
    )
    return None if clocks == Clocks() else clocks


def read_throttle_reasons(asker: Asker, handle: Any) -> tuple[str, ...] | None:
    """What holds the clocks back, in words; () when nothing does. Drivers before R535 know the old name only."""
    bits = asker.ask("nvmlDeviceGetCurrentClocksEventReasons", handle, topic="clock event reasons")
    if bits is None:
        bits = asker.ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle, topic="clock event reasons")
    if bits is None:
        return None
    named = [words for bit, words in _REASONS.items() if int(bits) & bit]
    rest = int(bits) & ~sum(_REASONS)
    return (*named, *([f"reason {rest:#x}"] if rest else []))


def read_utilization(asker: Asker, handle: Any) -> float | None:
    """The fraction of the last moments in which the GPU was at work."""
    rates = asker.ask("nvmlDeviceGetUtilizationRates", handle, topic="utilization")
    return None if rates is None else min(int(rates.gpu), 100) / 100


def read_temperature(asker: Asker, handle: Any) -> float | None:
    """Temperature of the die in °C; the call that replaces the older one is only asked where that is gone."""
    topic = "temperature"
    value = asker.ask("nvmlDeviceGetTemperature", handle, _DIE_TEMPERATURE, topic=topic)
    if value is None:
        value = asker.ask("nvmlDeviceGetTemperatureV", handle, _DIE_TEMPERATURE, topic=topic)
    return None if value is None else float(value)


def read_power(asker: Asker, handle: Any) -> Power | None:
    """Draw, limit in force, limit by default and the highest that can be set."""
    topic = "power"
    bounds = asker.ask("nvmlDeviceGetPowerManagementLimitConstraints", handle, topic=topic)
    power = Power(
        draw_w=asker.scaled("nvmlDeviceGetPowerUsage", handle, topic=topic, unit=MILLI),
        limit_w=asker.scaled("nvmlDeviceGetEnforcedPowerLimit", handle, topic=topic, unit=MILLI),
        default_limit_w=asker.scaled(
            "nvmlDeviceGetPowerManagementDefaultLimit", handle, topic=topic, unit=MILLI
        ),
        max_limit_w=None if bounds is None else float(bounds[1]) * MILLI,
    )
    return None if power == Power() else power


def read_pcie(asker: Asker, handle: Any, address: str | None) -> PcieLink | None:
    """The link to the host now and at the best that card and slot can do together."""
    topic = "PCIe link"
    link = PcieLink(
        address=address,
        generation=asker.count("nvmlDeviceGetCurrPcieLinkGeneration", handle, topic=topic),
        max_generation=asker.count("nvmlDeviceGetMaxPcieLinkGeneration", handle, topic=topic),
        width=asker.count("nvmlDeviceGetCurrPcieLinkWidth", handle, topic=topic),
        max_width=asker.count("nvmlDeviceGetMaxPcieLinkWidth", handle, topic=topic),
    )
    return None if link == PcieLink() else link


def pci_address(bus_id: Any) -> str | None:
    """NVML's "00000000:3B:00.0" the way Linux writes it: "0000:3b:00.0"."""
    text = bus_id.decode("ascii", errors="replace") if isinstance(bus_id, bytes) else str(bus_id)
    domain, separator, rest = text.strip().lower().partition(":")
    try:
        return f"{int(domain, 16):04x}:{rest}" if separator else None
    except ValueError:
        return None


def read_ecc(asker: Asker, handle: Any) -> tuple[bool | None, bool | None]:
    """Whether error correction is on now, and whether it would be after a restart."""
    mode = asker.ask("nvmlDeviceGetEccMode", handle, topic="error correction")
    return (None, None) if mode is None else (bool(mode[0]), bool(mode[1]))


def read_numa_node(asker: Asker, handle: Any) -> int | None:
    """The host's NUMA node next to the GPU; None when it is not a single one."""
    words = asker.ask(
        "nvmlDeviceGetMemoryAffinity", handle, _N_AFFINITY_WORDS, _NODE_SCOPE, topic="NUMA node"
    )
    if words is None:
        return None
    nodes = [64 * at + bit for at, word in enumerate(words) for bit in range(64) if int(word) >> bit & 1]
    return nodes[0] if len(nodes) == 1 else None


def read_architecture(asker: Asker, handle: Any) -> str | None:
    """The name of the chip's generation."""
    value = asker.ask("nvmlDeviceGetArchitecture", handle, topic="architecture")
    return None if value is None else _ARCHITECTURES.get(int(value))


def read_virtualization(asker: Asker, handle: Any) -> str | None:
    """How the GPU reaches this system, when it is not bare metal."""
    value = asker.ask("nvmlDeviceGetVirtualizationMode", handle, topic="virtualization")
    return None if value is None else _VIRTUAL.get(int(value))


def read_confidential(asker: Asker, handle: Any, driver: DriverFacts) -> ConfidentialComputing | None:
    """Whether memory is kept from the host, and how much of it; None when the driver knows no such mode."""
    if driver.confidential is None:
        return None
    if not driver.confidential:
        return ConfidentialComputing(enabled=False)
    topic = "confidential memory"
    sizes = asker.ask("nvmlDeviceGetConfComputeMemSizeInfo", handle, topic=topic)
    usage = asker.ask("nvmlDeviceGetConfComputeProtectedMemoryUsage", handle, topic=topic)
    return ConfidentialComputing(
        enabled=True,
        environment=driver.environment,
        multi_gpu=driver.multi_gpu,
        protected_bytes=None if sizes is None else int(sizes.protectedMemSizeKib) * KIB,
        protected_free_bytes=None if usage is None else int(usage.free),
        unprotected_bytes=None if sizes is None else int(sizes.unprotectedMemSizeKib) * KIB,
    )


def read_processes(asker: Asker, handle: Any) -> tuple[GpuProcess, ...] | None:
    """Who holds memory of the GPU, largest first; None when that is not known."""
    n_refused = len(asker.refused)
    lists = {
        kind: [
            _listed(asker, f"nvmlDeviceGet{word}RunningProcesses", handle)
            for word in (("Compute", "MPSCompute") if kind == "compute" else ("Graphics",))
        ]
        for kind in ("compute", "graphics")
    }
    if all(found is None for several in lists.values() for found in several):
        return None
    used: dict[int, int | None] = {}
    kinds: dict[int, list[str]] = {}
    for kind, several in lists.items():
        for entry in (entry for found in several for entry in found or ()):
            pid, held = int(entry.pid), _held(entry.usedGpuMemory)
            known = used.get(pid)
            # A process that draws and computes is in both lists with the same figure.
            used[pid] = held if known is None else max(known, held or 0)
            if kind not in kinds.setdefault(pid, []):
                kinds[pid].append(kind)
    if not used and len(asker.refused) > n_refused:  # nobody in sight, but one list was not shown
        return None
    largest = sorted(used, key=lambda pid: (-(used[pid] or 0), pid))[:_MAX_PROCESSES]
    return tuple(
        GpuProcess(
            pid=pid,
            # A process of another container or user has no name that can be seen from here.
            name=_process_name(asker, pid),
            used_bytes=used[pid],
            kind=" and ".join(kinds[pid]),
        )
        for pid in largest
    )


def _process_name(asker: Asker, pid: int) -> str | None:
    value = asker.ask("nvmlSystemGetProcessName", pid, quiet=True)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return " ".join(str(value).split()) or None if value is not None else None


def _listed(asker: Asker, function: str, handle: Any) -> Any:
    """One of the driver's lists; its versions differ in what an entry holds besides process and bytes."""
    for version in ("_v3", "_v2"):
        found = asker.ask(f"{function}{version}", handle, topic="processes")
        if found is not None:
            return found
    return None


def _held(value: Any) -> int | None:
    """Bytes of one process; the driver cannot tell under WDDM and in some containers."""
    return None if value is None or int(value) == _NO_VALUE else int(value)

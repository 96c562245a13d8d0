"""GPUs in the tables of `planner hardware`: one row each for what changes, one table for what they share."""

from collections.abc import Callable, Sequence

from hardware.gpu_details import GpuDetails, GpuLinks, GpuPeer
from hardware.spec import Gpu
from hardware.units import MEGA, format_bytes, format_rate_bytes_per_s
from planner.report.document import Table
from planner.report.quantities import size

_MAX_PROCESSES = 3
_MAX_NAME = 30


def gpu_rows(gpus: Sequence[Gpu]) -> list[tuple[str, str, str]]:
    """One row per GPU: what it is, and how it is just now."""
    return [(f"GPU {gpu.index}", f"{_name(gpu)}, {size(gpu.memory_bytes)}", _now(gpu)) for gpu in gpus]


def gpu_table(gpus: Sequence[Gpu]) -> Table | None:
    """What the drivers say beyond memory, GPUs of the same answer in one row; None when they say nothing."""
    rows: list[tuple[str, str, str]] = []
    for topic, text in _TOPICS:
        said: dict[str, list[Gpu]] = {}
        for gpu in gpus:
            if gpu.details is not None and (line := text(gpu, gpu.details)):
                said.setdefault(line, []).append(gpu)
        rows += [(topic, _which(who, gpus), line) for line, who in said.items()]
    if not rows:
        return None
    return Table(
        title="GPUs, as their driver describes them", headers=("what", "GPU", "is"), rows=tuple(rows)
    )


def _name(gpu: Gpu) -> str:
    # A slice's own name ends in its profile already.
    if gpu.mig_profile is None or gpu.name.endswith(gpu.mig_profile):
        return gpu.name
    return f"{gpu.name} ({gpu.mig_profile})"


def _now(gpu: Gpu) -> str:
    """Free memory, load, power and heat, as far as they are told."""
    parts = [f"{size(gpu.free_bytes)} free"] if gpu.free_bytes is not None else []
    details = gpu.details
    if details is not None:
        if details.utilization_fraction is not None:
            parts.append(f"{details.utilization_fraction:.0%} busy")
        if details.power is not None and details.power.draw_w is not None:
            parts.append(f"{details.power.draw_w:.0f} W")
        if details.temperature_c is not None:
            parts.append(f"{details.temperature_c:.0f} °C")
    return ", ".join(parts)


def _which(who: Sequence[Gpu], everyone: Sequence[Gpu]) -> str:
    """The GPUs of a row: "all", or their numbers with runs drawn together ("0–3, 6")."""
    if len(who) == len(everyone) > 1:
        return "all"
    if any(gpu.mig_profile is not None for gpu in who):
        return ", ".join(dict.fromkeys(f"{gpu.index} {gpu.mig_profile or ''}".strip() for gpu in who))
    runs: list[list[int]] = []
    for index in sorted(dict.fromkeys(gpu.index for gpu in who)):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)


def _chip(gpu: Gpu, details: GpuDetails) -> str:
    parts = [details.architecture or ""]
    if gpu.compute_capability is not None:
        parts.append(f"compute capability {gpu.compute_capability}")
    if details.ecc is not None:
        parts.append(f"ECC {'on' if details.ecc else 'off'}")
    if details.ecc_pending is not None and details.ecc_pending != details.ecc:
        parts.append(f"{'on' if details.ecc_pending else 'off'} after a restart")
    if details.mig_enabled and details.mig_slice is None:
        parts.append("MIG on")
    if details.virtualization is not None:
        parts.append(details.virtualization)
    return ", ".join(part for part in parts if part)


def _software(gpu: Gpu, details: GpuDetails) -> str:
    runtime = {"cuda": "CUDA", "rocm": "ROCm"}.get(gpu.backend, "runtime")
    parts = [
        f"driver {details.driver_version}" if details.driver_version else "",
        f"{runtime} up to {details.runtime_version}" if details.runtime_version else "",
    ]
    return ", ".join(part for part in parts if part)


def _memory(gpu: Gpu, details: GpuDetails) -> str:
    parts = []
    if details.unified_memory:
        parts.append("shares main memory")
    if gpu.reserved_bytes:
        parts.append(f"{format_bytes(gpu.reserved_bytes)} kept by the driver")
    if details.host_visible_bytes is not None:
        parts.append(f"may map {format_bytes(details.host_visible_bytes)} of main memory")
    return ", ".join(parts)


def _clocks(details: GpuDetails) -> str:
    clocks = details.clocks
    if clocks is None:
        return ""
    core = _clock("core", clocks.core_hz, clocks.core_max_hz)
    memory = _clock("memory", clocks.memory_hz, clocks.memory_max_hz)
    return ", ".join(part for part in (core, memory) if part)


def _clock(what: str, now_hz: float | None, max_hz: float | None) -> str:
    if now_hz is None and max_hz is None:
        return ""
    now = "–" if now_hz is None else f"{now_hz / MEGA:,.0f}"
    return f"{what} {now} MHz" if max_hz is None else f"{what} {now} of {max_hz / MEGA:,.0f} MHz"


def _held_back(details: GpuDetails) -> str:
    # An idle GPU lowers its clocks by itself; the load says that already.
    return ", ".join(reason for reason in details.throttle_reasons or () if reason != "idle")


def _power(details: GpuDetails) -> str:
    power = details.power
    if power is None or power.limit_w is None:
        return ""
    default = power.default_limit_w
    changed = default is not None and round(default) != round(power.limit_w)
    return f"{power.limit_w:.0f} W" + (f" ({default:.0f} W by default)" if changed else "")


def _pcie(details: GpuDetails) -> str:
    link = details.pcie
    if link is None:
        return ""
    now = f"{link.generation or '?'} x{link.width or '?'}" if link.generation or link.width else ""
    best = (
        f"{link.max_generation or '?'} x{link.max_width or '?'}"
        if link.max_generation or link.max_width
        else ""
    )
    rate = link.max_bytes_per_s if best else link.bytes_per_s
    speed = f", {format_rate_bytes_per_s(rate)} one way" if rate is not None else ""
    parts = [f"{best or now}{speed}"] if best or now else []
    if best and now and now != best:
        parts.append(f"now {now}")
    if details.numa_node is not None:
        parts.append(f"NUMA node {details.numa_node}")
    return ", ".join(parts)


def _links(details: GpuDetails) -> str:
    return "; ".join(_link(links) for links in details.links)


def _link(links: GpuLinks) -> str:
    version = f" {links.version}" if links.version else ""
    up = "" if links.n_active == links.n_links else f", {links.n_active} up"
    rate = links.bytes_per_s
    speed = f", {format_rate_bytes_per_s(rate)} one way" if rate else ""
    end = ", to switches" if links.to_switch else ""
    return f"{links.n_links} × {links.kind}{version}{up}{speed}{end}"


def _peers(details: GpuDetails) -> str:
    alike: dict[str, int] = {}
    for peer in details.peers:
        way = _way(peer)
        alike[way] = alike.get(way, 0) + 1
    return "; ".join(f"{way} ({n} GPU{'s' if n > 1 else ''})" for way, n in alike.items())


def _way(peer: GpuPeer) -> str:
    """How one GPU reaches another; distance only where the way is the bus."""
    if peer.peer_access is False:
        return "no peer access" + (f": {peer.why_not}" if peer.why_not else "")
    if peer.peer_access is None and peer.link is None:
        return "unknown"
    links = f"{peer.n_links} × " if peer.n_links else ""
    over = f"{links}{peer.link or 'PCIe'}"
    return f"{over}, {peer.distance}" if peer.link == "PCIe" and peer.distance else over


def _fabric(details: GpuDetails) -> str:
    fabric = details.fabric
    if fabric is None:
        return ""
    parts = [fabric.state, fabric.error or "", *fabric.health]
    if fabric.cluster is not None:
        parts.append(f"domain {fabric.cluster[:8]}…, clique {fabric.clique}")
    return ", ".join(part for part in parts if part)


def _slice(details: GpuDetails) -> str:
    parts = details.mig_slice
    if parts is None:
        return ""
    shown = [f"GPU instance {parts.gpu_instance}"] if parts.gpu_instance is not None else []
    if parts.n_multiprocessors is not None:
        shown.append(f"{parts.n_multiprocessors} multiprocessors")
    if parts.shares_memory:
        shown.append("memory shared with another slice")
    return ", ".join(shown)


def _confidential(details: GpuDetails) -> str:
    found = details.confidential
    if found is None or not found.enabled:
        return ""
    protected = "" if found.protected_bytes is None else f"{format_bytes(found.protected_bytes)} protected"
    parts = ["on", found.multi_gpu or "", found.environment or "", protected]
    return ", ".join(part for part in parts if part)


def _users(details: GpuDetails) -> str:
    processes = details.processes or ()
    shown = [
        f"{(process.name or 'process').rpartition('/')[2][:_MAX_NAME]} ({process.pid}) {size(process.used_bytes)}"
        for process in processes[:_MAX_PROCESSES]
    ]
    more = len(processes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


_TOPICS: tuple[tuple[str, Callable[[Gpu, GpuDetails], str]], ...] = (
    ("chip", _chip),
    ("software", _software),
    ("memory", _memory),
    ("slice", lambda _, details: _slice(details)),
    ("clocks", lambda _, details: _clocks(details)),
    ("held back", lambda _, details: _held_back(details)),
    ("power limit", lambda _, details: _power(details)),
    ("PCIe", lambda _, details: _pcie(details)),
    ("links", lambda _, details: _links(details)),
    ("peers", lambda _, details: _peers(details)),
    ("fabric", lambda _, details: _fabric(details)),
    ("confidential", lambda _, details: _confidential(details)),
    ("used by", lambda _, details: _users(details)),
)

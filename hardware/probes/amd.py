"""AMD GPUs from the files of the Linux driver, the compute driver's list, and `amdsmi` where it is installed.

https://docs.kernel.org/gpu/amdgpu/driver-misc.html (memory, product name), .../amdgpu/thermal.html (clocks, power).
A card that answers only in part is listed with what it did say.
"""

import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from hardware.accelerators import Row, match_driver_name
from hardware.gpu_details import Clocks, GpuDetails, GpuLinks, GpuPeer, Power
from hardware.probes.drm import AMD, DrmCard, pcie_link, read_drm_cards
from hardware.probes.gpu_report import GpuReport
from hardware.probes.kernel_files import KernelFolder
from hardware.probes.kfd import KfdNode, read_kfd_nodes, read_kfd_processes
from hardware.probes.rocm_visible import rocm_positions
from hardware.spec import Accelerator, Gpu
from hardware.unified import apu_gpu_bytes, apu_note
from hardware.units import MEGA, MILLI, format_bytes

_LEVEL = re.compile(r"^\s*\S+:\s*(\d{1,6})\s*Mhz\s*(\*?)", re.IGNORECASE | re.MULTILINE)
_MICRO = 1e-6
_PARTED = ("DPX", "TPX", "QPX", "CPX")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    card: DrmCard
    node: KfdNode | None


def read_amd_gpus(
    root: Path = Path("/"),
    environ: Mapping[str, str] | None = None,
    rows: Iterable[Row] | None = None,
    *,
    amdsmi: Any = None,
    installed_bytes: int | None = None,
    available_bytes: int | None = None,
    count_integrated: bool = False,
) -> GpuReport:
    """The AMD GPUs that a program with this environment may use.

    `amdsmi` is that module or one that answers like it; `installed_bytes` and `available_bytes` are of main
    memory, for chips whose GPU works in it. Integrated GPUs without a profile count when `count_integrated` is set.
    """
    cards = read_drm_cards(root, (AMD,))
    if not cards:
        return GpuReport()
    failures: list[str] = []
    nodes = read_kfd_nodes(root, failures)
    found = _in_rocm_order(cards, nodes)
    problems = [f"AMD compute driver: {line}" for line in failures]
    names, driver_version, why = _ask_amdsmi(amdsmi)
    problems += why
    usable = [one for one in found if one.card.has_node is not False]
    if len(usable) < len(found):
        problems.append(
            f"{len(found) - len(usable)} of {len(found)} AMD GPUs have no file in /dev/dri here, so a program "
            "cannot use them; give them to the container (--device /dev/kfd --device /dev/dri)"
        )
    has_kfd = not (root / "dev").is_dir() or (root / "dev/kfd").exists()
    if usable and not has_kfd and any(one.node is not None for one in usable):
        problems.append(
            "no /dev/kfd here, so ROCm cannot use the AMD GPUs (Vulkan can); pass --device /dev/kfd"
        )
    table = None if rows is None else tuple(rows)
    gpus: list[Gpu] = []
    kept: list[_Found] = []
    for one in usable:
        gpu, notes = _read_card(root, one, len(gpus), table, names, has_kfd, installed_bytes, available_bytes)
        unnamed = one.card.known is not None and one.card.known.is_integrated and gpu.accelerator is None
        if unnamed and "Instinct" not in gpu.name and not count_integrated:
            problems.append(
                f"{gpu.name} is part of the processor and shares main memory; not counted as a GPU"
            )
            continue
        problems += notes
        gpus.append(gpu)
        kept.append(one)
    positions, hidden = rocm_positions([gpu.uuid for gpu in gpus], environ or {})
    version = driver_version or KernelFolder(root / "sys/module/amdgpu").line("version")
    return GpuReport(
        gpus=tuple(_with_links(gpus[position], kept, position, positions) for position in positions),
        driver_version=version,
        problems=(*problems, *hidden),
    )


def _in_rocm_order(cards: Sequence[DrmCard], nodes: Sequence[KfdNode]) -> list[_Found]:
    """Cards with a compute node in the nodes' order, then the others."""
    place = {node.node: position for position, node in enumerate(nodes)}
    found = [_Found(card=card, node=_node_of(card, nodes)) for card in cards]
    return sorted(found, key=lambda one: len(nodes) if one.node is None else place[one.node.node])


def _node_of(card: DrmCard, nodes: Sequence[KfdNode]) -> KfdNode | None:
    for node in nodes:
        same_minor = card.render_minor is not None and node.render_minor == card.render_minor
        if same_minor or (card.address is not None and node.address == card.address):
            return node
    return None


def _read_card(
    root: Path,
    one: _Found,
    index: int,
    rows: Sequence[Row] | None,
    names: Mapping[str, str],
    has_kfd: bool,
    installed_bytes: int | None,
    available_bytes: int | None,
) -> tuple[Gpu, list[str]]:
    """One card and the lines that a person should know about it."""
    card, node, device = one.card, one.node, one.card.device
    integrated = card.known is not None and card.known.is_integrated
    vram, vram_used = device.number("mem_info_vram_total"), device.number("mem_info_vram_used")
    gtt, gtt_used = device.number("mem_info_gtt_total"), device.number("mem_info_gtt_used")
    notes = []
    if integrated:
        stated = None if node is None else node.memory_bytes
        total = apu_gpu_bytes(vram, gtt, installed_bytes, stated)
        used = gtt_used if vram is None or total is None or total > vram else vram_used
        free = None if total is None or used is None else max(0, total - used)
        if free is not None and available_bytes is not None and (vram is None or (total or 0) > vram):
            free = min(free, available_bytes)
    else:
        total = vram
        free = None if vram is None or vram_used is None else max(0, vram - vram_used)
    name, accelerator = _named(card, total, rows, names)
    problem = device.failures[0] if device.failures and total is None else None
    if problem is None and total is None:
        problem = "its driver reports no memory size"
    if problem is not None:
        notes.append(f"GPU {index} ({name}): {problem}")
    elif accelerator is None:
        notes.append(
            f"GPU {index}: no profile for {name!r} with {format_bytes(total or 0)}, so its speed is unknown; "
            "add a row to accelerators.csv, or describe the machine with --on"
        )
    if integrated and total is not None and accelerator is not None:
        notes.append(apu_note(name, total, vram, gtt, installed_bytes))
    if node is None and not integrated and problem is None:
        notes.append(
            f"GPU {index} ({name}): the compute driver (KFD) does not list it, so ROCm cannot use it; Vulkan can"
        )
    partition = device.line("current_compute_partition")
    if partition in _PARTED:
        memory = device.line("current_memory_partition") or "unknown memory mode"
        notes.append(
            f"GPU {index} ({name}) is partitioned ({partition}, {memory}); counted here as one whole device"
        )
    return Gpu(
        index=index,
        name=name,
        memory_bytes=total,
        free_bytes=free,
        accelerator=accelerator,
        uuid=_uuid(device, node),
        backend="rocm" if node is not None and has_kfd else "vulkan",
        compute_capability=None if node is None else node.gfx,
        power_limit_w=_power(device).limit_w,
        problem=problem,
        details=_details(root, card, node, gtt, integrated),
    ), notes


def _named(
    card: DrmCard, total: int | None, rows: Sequence[Row] | None, names: Mapping[str, str]
) -> tuple[str, Accelerator | None]:
    """The card's name and profile: of the names it goes by, the first that a profile knows."""
    told = [
        name
        for name in (
            card.device.line("product_name"),
            None if card.known is None else card.known.name,
            names.get(card.address or ""),
        )
        if name
    ]
    for name in told:
        accelerator = match_driver_name(name, total, rows)
        if accelerator is not None:
            return name, accelerator
    return (told[0] if told else f"AMD GPU {card.ids}"), None


def _uuid(device: KernelFolder, node: KfdNode | None) -> str | None:
    if node is not None and node.uuid is not None:
        return node.uuid
    unique = device.line("unique_id")
    return f"GPU-{unique}" if unique and re.fullmatch(r"[0-9a-f]{16}", unique) else None


def _details(
    root: Path, card: DrmCard, node: KfdNode | None, gtt: int | None, integrated: bool
) -> GpuDetails:
    device = card.device
    busy = device.number("gpu_busy_percent")
    millidegrees = _sensor(device, "temp1_input")
    return GpuDetails(
        architecture=None if node is None else node.gfx,
        clocks=_clocks(device, node),
        utilization_fraction=None if busy is None or busy > 100 else busy / 100,
        temperature_c=None if millidegrees is None else millidegrees * MILLI,
        power=_power(device),
        pcie=None if integrated else pcie_link(card),
        numa_node=card.numa_node,
        processes=None if node is None or node.gpu_id is None else read_kfd_processes(root, node),
        unified_memory=integrated if card.known is not None else None,
        host_visible_bytes=gtt,
        not_answered=tuple(device.failures),
    )


def _clocks(device: KernelFolder, node: KfdNode | None) -> Clocks:
    core, core_max = _levels(device.text("pp_dpm_sclk"))
    memory, memory_max = _levels(device.text("pp_dpm_mclk"))
    return Clocks(
        core_hz=core,
        core_max_hz=core_max or (None if node is None else node.max_hz),
        memory_hz=memory,
        memory_max_hz=memory_max,
    )


def _levels(text: str | None) -> tuple[float | None, float | None]:
    """The level marked with a star, and the highest: "0: 500Mhz", "1: 2124Mhz *"."""
    levels = [(int(match.group(1)) * MEGA, match.group(2)) for match in _LEVEL.finditer(text or "")]
    now = next((float(rate) for rate, star in levels if star), None)
    return now, max((float(rate) for rate, _ in levels), default=None)


def _sensor(device: KernelFolder, name: str) -> int | None:
    """A value of the card's sensors, which stand in a folder whose number changes from start to start."""
    for folder in device.folders("hwmon/hwmon[0-9]*"):
        value = folder.number(name)
        if value is not None:
            return value
    return None


def _power(device: KernelFolder) -> Power:
    """Watts; the driver tells millionths."""
    values = [
        _sensor(device, name)
        for name in ("power1_cap", "power1_cap_default", "power1_cap_max", "power1_average")
    ]
    if values[3] is None:
        values[3] = _sensor(device, "power1_input")
    limit, default, highest, draw = (None if value is None else value * _MICRO for value in values)
    return Power(draw_w=draw, limit_w=limit, default_limit_w=default, max_limit_w=highest)


def _with_links(gpu: Gpu, found: Sequence[_Found], position: int, positions: Sequence[int]) -> Gpu:
    """The GPU with its number in the visible order and its ways to the other visible GPUs."""
    from_node = found[position].node
    links = () if from_node is None else from_node.links
    place = {
        node.node: positions.index(other) for other in positions if (node := found[other].node) is not None
    }
    peers: dict[int, GpuPeer] = {}
    for link in sorted(links, key=lambda one: not one.is_xgmi):
        if link.node not in place or place[link.node] in peers:
            continue
        peers[place[link.node]] = GpuPeer(
            index=place[link.node],
            link="xGMI" if link.is_xgmi else "PCIe",
            n_links=link.n_links if link.n_hops in (None, 1) else None,
            peer_access=True,
            distance=None if link.n_hops is None else f"{link.n_hops} hop{'s' if link.n_hops > 1 else ''}",
        )
    direct = [link for link in links if link.is_xgmi and link.n_hops in (None, 1)]
    each = {link.bytes_per_s_each for link in direct}
    n_links = sum(link.n_links or 1 for link in direct)
    xgmi = GpuLinks(
        kind="xGMI",
        n_links=n_links,
        n_active=n_links,
        bytes_per_s_each=each.pop() if len(each) == 1 else None,
    )
    details = gpu.details or GpuDetails()
    return replace(
        gpu,
        index=positions.index(position),
        details=replace(
            details,
            peers=tuple(peers[index] for index in sorted(peers)),
            links=(xgmi,) if direct else (),
        ),
    )


def _ask_amdsmi(amdsmi: Any) -> tuple[dict[str, str], str | None, list[str]]:
    """Names by PCI address and the driver's version, as AMD's own library tells them; nothing without it."""
    if amdsmi is None:
        amdsmi = _load_amdsmi()
    if amdsmi is None:
        return {}, None, []
    names: dict[str, str] = {}
    version = None
    try:
        amdsmi.amdsmi_init()
        try:
            for handle in amdsmi.amdsmi_get_processor_handles():
                asic, driver = (
                    amdsmi.amdsmi_get_gpu_asic_info(handle),
                    amdsmi.amdsmi_get_gpu_driver_info(handle),
                )
                name = str(asic.get("market_name") or "").strip()
                if name and name != "N/A":
                    names[str(amdsmi.amdsmi_get_gpu_device_bdf(handle)).lower()] = " ".join(name.split())
                told = str(driver.get("driver_version") or "").strip()
                version = version or (told if told not in ("", "N/A") else None)
        finally:
            amdsmi.amdsmi_shut_down()
    except amdsmi.AmdSmiException as error:
        return names, version, [f"amdsmi: {' '.join(str(error).split())}; its answers are left out"]
    return names, version, []


def _load_amdsmi() -> ModuleType | None:
    try:
        return importlib.import_module("amdsmi")
    except (ImportError, OSError, KeyError, RuntimeError):
        return None  # not installed, or installed without its library, which it reports in all these ways

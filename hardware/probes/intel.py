"""Intel GPUs from the files of the Linux drivers (i915, xe), and `xpu-smi` where it is installed.

The processor's own GPU sits at 0000:00:02.0 and shares main memory; everything else is a card. The mainline
drivers tell the size of a card's memory to root only, so the ways to learn it are tried in turn: a file that Intel's
own builds add, xpu-smi, root's debug files, and at last the profile of the card's name.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hardware.accelerators import Row, find_accelerator, match_driver_name
from hardware.errors import UnknownDeviceError
from hardware.gpu_details import Clocks, GpuDetails, PcieLink, Power
from hardware.probes.cpu import Runner
from hardware.probes.drm import INTEL, DrmCard, pcie_link, read_drm_cards
from hardware.probes.gpu_report import GpuReport
from hardware.probes.kernel_files import KernelFolder
from hardware.spec import Accelerator, Gpu
from hardware.units import MEGA, MILLI, format_bytes

_INTEGRATED_SLOT = "0000:00:02.0"
_DISCOVERY = ("xpu-smi", "discovery", "-j")
_MEMORY_FILES = ("lmem_total_bytes", "prelim_lmem_total_bytes")
_FREE_FILES = ("lmem_avail_bytes", "prelim_lmem_avail_bytes")
_DEBUG_SIZE = re.compile(r"^\s*size:\s*(\d{1,15})\s*$", re.MULTILINE)
_DEBUG_USED = re.compile(r"^\s*usage:\s*(\d{1,15})\s*$", re.MULTILINE)
_DECORATION = re.compile(r"\((?:R|TM)\)|^Intel|\bGraphics$", re.IGNORECASE)
_MICRO = 1e-6
_MAX_DEVICES = 64
_MAX_SHOWN = 80


def read_intel_gpus(
    root: Path = Path("/"),
    environ: Mapping[str, str] | None = None,
    rows: Iterable[Row] | None = None,
    *,
    run: Runner | None = None,
    count_integrated: bool = False,
    installed_bytes: int | None = None,
) -> GpuReport:
    """The Intel GPUs that a program with this environment may use; `run` runs xpu-smi, None leaves it out.

    The processor's own GPU is named, and counted only with `count_integrated`: it has main memory's bandwidth.
    """
    cards = read_drm_cards(root, (INTEL,))
    discrete = [card for card in cards if not _is_integrated(card)]
    problems = [
        f"{_name(card, {})} is part of the processor and shares main memory; not counted as a GPU"
        for card in cards
        if _is_integrated(card) and not count_integrated
    ]
    told: dict[str, dict[str, Any]] = {}
    if discrete and run is not None:
        told, why = _ask_xpu_smi(run)
        problems += why
    usable = [card for card in discrete if card.has_node is not False]
    if len(usable) < len(discrete):
        problems.append(
            f"{len(discrete) - len(usable)} of {len(discrete)} Intel GPUs have no file in /dev/dri here, so a "
            "program cannot use them; give them to the container (--device /dev/dri)"
        )
    table = None if rows is None else tuple(rows)
    gpus: list[Gpu] = []
    for card in usable:
        gpu, notes = _read_card(root, card, len(gpus), table, told.get(card.address or "", {}))
        gpus.append(gpu)
        problems += notes
    if count_integrated:
        gpus += [_integrated(card, len(gpus), installed_bytes) for card in cards if _is_integrated(card)]
    visible, notes = _by_affinity(gpus, (environ or {}).get("ZE_AFFINITY_MASK"))
    versions = (str(device["driver_version"]) for device in told.values() if device.get("driver_version"))
    return GpuReport(gpus=visible, driver_version=next(versions, None), problems=(*problems, *notes))


def _is_integrated(card: DrmCard) -> bool:
    return card.address == _INTEGRATED_SLOT or (card.known is not None and card.known.is_integrated)


def _name(card: DrmCard, told: Mapping[str, Any]) -> str:
    if card.known is not None:
        return card.known.name
    name = told.get("device_name")
    if (
        isinstance(name, str) and name.strip() and "[0x" not in name
    ):  # "Intel(R) Graphics [0xe211]" names nothing
        return " ".join(name.split())[:_MAX_SHOWN]
    return f"Intel GPU {card.ids}"


def _integrated(card: DrmCard, index: int, installed_bytes: int | None) -> Gpu:
    return Gpu(
        index=index,
        name=_name(card, {}),
        memory_bytes=installed_bytes,
        free_bytes=None,
        accelerator=None,
        backend="sycl",
        details=_details(card, {}),
    )


def _read_card(
    root: Path, card: DrmCard, index: int, rows: Sequence[Row] | None, told: Mapping[str, Any]
) -> tuple[Gpu, list[str]]:
    """One card and the lines that a person should know about it."""
    name = _name(card, told)
    total, used, free = _memory(root, card, told)
    accelerator = None if total is None else match_driver_name(name, total, rows)
    accelerator = accelerator or _by_label(name, total, rows)
    notes = []
    problem = None
    if total is None and accelerator is not None:
        total = accelerator.memory_bytes
        notes.append(
            f"GPU {index} ({name}): its driver tells the size of its memory to root only; "
            f"{format_bytes(total)} is taken from its profile; xpu-smi would tell"
        )
    elif total is None:
        problem = (card.device.failures or ["its driver tells the size of its memory to root only"])[0]
        notes.append(f"GPU {index} ({name}): {problem}; install xpu-smi, or describe the machine with --on")
    elif accelerator is None:
        notes.append(
            f"GPU {index}: no profile for {name!r} with {format_bytes(total)}, so its speed is unknown; "
            "add a row to accelerators.csv, or describe the machine with --on"
        )
    if free is None and total is not None and used is not None:
        free = max(0, total - used)
    gpu = Gpu(
        index=index,
        name=name,
        memory_bytes=total,
        free_bytes=free,
        accelerator=accelerator,
        uuid=_text(told.get("uuid")),
        backend="sycl",
        problem=problem,
        details=_details(card, told),
    )
    return replace(gpu, power_limit_w=None if gpu.details is None or gpu.details.power is None
                   else gpu.details.power.limit_w), notes  # fmt: skip


def _by_label(name: str, total: int | None, rows: Sequence[Row] | None) -> Accelerator | None:
    """The profile of the name on the box, "Arc B580": settled by the memory, or alone without it.

    A name that comes with several sizes (Arc A770) is no answer while the size is unknown.
    """
    label = _DECORATION.sub("", name).strip()
    try:
        return find_accelerator(label, rows, memory_bytes=total)
    except UnknownDeviceError:
        return None


def _memory(root: Path, card: DrmCard, told: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Total, used and free bytes, from whoever tells."""
    total = next((size for name in _MEMORY_FILES if (size := card.folder.number(name))), None)
    free = next((size for name in _FREE_FILES if (size := card.folder.number(name)) is not None), None)
    if total is not None:
        return total, None, free
    total = _whole(told.get("memory_physical_size_byte"))
    if total:
        return total, None, _whole(told.get("memory_free_size_byte"))
    # debugfs is root's; a refusal is normal and no failure of the card
    debug = KernelFolder(root / "sys/kernel/debug/dri" / (card.address or "none"))
    texts = [text for name in ("vram0_mm", "tile0/vram_mm", "tile1/vram_mm") if (text := debug.text(name))]
    sizes = [int(match.group(1)) for text in texts if (match := _DEBUG_SIZE.search(text))]
    used = [int(match.group(1)) for text in texts if (match := _DEBUG_USED.search(text))]
    return (sum(sizes), sum(used) if len(used) == len(sizes) else None, None) if sizes else (None, None, None)


def _details(card: DrmCard, told: Mapping[str, Any]) -> GpuDetails:
    link = pcie_link(card)
    if (link.max_generation, link.max_width) == (1, 1) or _is_integrated(card):
        # What an Arc says of itself while the switch above it cannot be seen; it is nothing like the slot's link.
        link = PcieLink(address=link.address)
    # xpu-smi reads the link from the card's capabilities and knows its place in the slot.
    generation, width = _whole(told.get("pcie_generation")), _whole(told.get("pcie_max_link_width"))
    if generation and width:
        link = PcieLink(
            address=link.address,
            generation=link.generation,
            max_generation=generation,
            width=link.width,
            max_width=width,
        )
    clock = _whole(told.get("core_clock_rate_mhz"))
    values = {name: _sensor(card.device, name) for name in ("power1_cap", "power1_max", "power1_rated_max")}
    cap, rated = values["power1_cap"] or values["power1_max"], values["power1_rated_max"]
    millidegrees = _sensor(card.device, "temp1_input")
    if millidegrees is None:
        millidegrees = _sensor(card.device, "temp2_input")
    now = card.device.number("tile0/gt0/freq0/cur_freq")  # xe; i915 keeps it with the card
    highest = card.device.number("tile0/gt0/freq0/rp0_freq")
    if now is None and highest is None:
        now, highest = card.folder.number("gt_act_freq_mhz"), card.folder.number("gt_RP0_freq_mhz")
    return GpuDetails(
        driver_version=_text(told.get("driver_version")),
        clocks=Clocks(
            core_hz=None if now is None else float(now * MEGA),
            core_max_hz=float((highest or clock or 0) * MEGA) or None,
        ),
        temperature_c=None if millidegrees is None else millidegrees * MILLI,
        power=Power(
            limit_w=None if not cap else cap * _MICRO, max_limit_w=None if not rated else rated * _MICRO
        ),
        pcie=link,
        numa_node=card.numa_node,
        unified_memory=_is_integrated(card),
        not_answered=tuple(card.device.failures),
    )


def _sensor(device: KernelFolder, name: str) -> int | None:
    for folder in device.folders("hwmon/hwmon[0-9]*"):
        value = folder.number(name)
        if value is not None:
            return value
    return None


def _ask_xpu_smi(run: Runner) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What xpu-smi says of each device, by PCI address; nothing where it is not installed."""
    try:
        devices = _list(_json(run(_DISCOVERY)).get("device_list"))
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError) as error:
        return {}, [f"xpu-smi: {' '.join(str(error).split())[:200]}; its answers are left out"]
    told: dict[str, dict[str, Any]] = {}
    problems = []
    for device in devices[:_MAX_DEVICES]:
        address, number = _text(device.get("pci_bdf_address")), _whole(device.get("device_id"))
        if address is None or number is None:
            continue
        known = dict(device)
        try:
            known |= _json(run(("xpu-smi", "discovery", "-d", str(number), "-j")))
        except (OSError, ValueError) as error:
            problems.append(f"xpu-smi, device {number}: {' '.join(str(error).split())[:200]}")
        told[address.lower()] = known
    return told, problems


def _json(text: str) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("its answer is not a JSON object")
    if isinstance(document.get("error"), str):
        raise ValueError(document["error"])
    return document


def _list(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _whole(value: Any) -> int | None:
    """A whole number that xpu-smi writes as a number or as text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    return int(text) if text.isdecimal() and len(text) <= 18 else None


def _text(value: Any) -> str | None:
    return " ".join(value.split())[:_MAX_SHOWN] or None if isinstance(value, str) else None


def _by_affinity(gpus: Sequence[Gpu], setting: str | None) -> tuple[tuple[Gpu, ...], list[str]]:
    """The GPUs that ZE_AFFINITY_MASK leaves ("0,2" or tiles as in "0.1"), numbered anew.

    https://oneapi-src.github.io/level-zero-spec/level-zero/latest/core/PROG.html#affinity-mask
    """
    if setting is None or not setting.strip():
        return tuple(gpus), []
    wanted = {part.strip().partition(".")[0] for part in setting.split(",")}
    kept = [gpu for gpu in gpus if str(gpu.index) in wanted]
    if len(kept) == len(gpus):
        return tuple(gpus), []
    note = (
        f"ZE_AFFINITY_MASK={setting[:_MAX_SHOWN]!r} hides {len(gpus) - len(kept)} of {len(gpus)} Intel GPUs"
    )
    return tuple(replace(gpu, index=index) for index, gpu in enumerate(kept)), [note]

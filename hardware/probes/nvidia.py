"""NVIDIA GPUs as their driver describes them, through NVML.

A machine without NVIDIA hardware is normal and costs no remark. A device that answers only in part is
listed with what it did say: one lost GPU of three leaves the other two intact.
"""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hardware.accelerators import Row, match_driver_name
from hardware.gpu_details import GpuDetails
from hardware.probes import nvidia_details as ask_about
from hardware.probes.cuda_visible import DeviceIdentity, visible_devices
from hardware.probes.nvidia_details import DriverFacts, read_driver
from hardware.probes.nvidia_links import Card, read_c2c, read_fabric, read_links, read_peers
from hardware.probes.nvidia_mig import CutCard, read_slices
from hardware.probes.nvidia_query import Asker
from hardware.probes.nvidia_remarks import (
    broken_driver,
    gpu_remarks,
    missing_driver,
    no_devices,
    visibility_remarks,
)
from hardware.spec import Gpu, Memory

_UNKNOWN_NAME = "NVIDIA GPU of unknown name"


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaReport:
    """What NVML said: the GPUs this process may use, the driver, and one line per thing that went wrong."""

    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    gpu: Gpu
    identity: DeviceIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What reading any device needs besides the device."""

    nvml: Any
    driver: DriverFacts
    rows: tuple[Row, ...] | None
    main_memory: Memory | None


def read_nvidia_gpus(
    nvml: Any = None,
    environ: Mapping[str, str] | None = None,
    rows: Iterable[Row] | None = None,
    main_memory: Memory | None = None,
) -> NvidiaReport:
    """The NVIDIA GPUs, or their MIG slices, that a program with this environment would see.

    `nvml` is the `pynvml` module or one that answers like it; `environ` may hold CUDA_VISIBLE_DEVICES.
    `main_memory` is what chips without memory of their own share.
    """
    environ = environ or {}
    if nvml is None:
        try:
            # Loading it takes 0.2 s, so only a machine that is really inspected pays for it.
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return NvidiaReport()
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        line = missing_driver(environ)
        return NvidiaReport(problems=() if line is None else (line,))
    except nvml.NVMLError as error:
        return NvidiaReport(problems=(broken_driver(error),))
    try:
        try:
            context = _Context(
                nvml=nvml,
                driver=read_driver(nvml),
                rows=None if rows is None else tuple(rows),
                main_memory=main_memory,
            )
            return _read_all(context, environ)
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        return NvidiaReport(problems=(broken_driver(error),))


def _read_all(context: _Context, environ: Mapping[str, str]) -> NvidiaReport:
    cards = [_open(context.nvml, index) for index in range(context.nvml.nvmlDeviceGetCount())]
    found: list[_Found] = []
    problems: list[str] = []
    for card in cards:
        devices = _read_device(context, card, cards)
        if not devices:
            problems.append(
                f"GPU {card.index}: MIG mode is on but it has no slice; create one with nvidia-smi mig"
            )
        found += devices
    found = _without_lost_peers(
        found, {card.index for card in cards if card.handle is None or card.asker.lost}
    )
    nothing = None if cards else no_devices(environ)
    visible = visible_devices([device.identity for device in found], environ.get("CUDA_VISIBLE_DEVICES"))
    gpus = tuple(found[position].gpu for position in visible.positions)
    problems += [] if nothing is None else [nothing]
    problems += gpu_remarks(gpus, context.driver)
    problems += visibility_remarks(visible, [device.gpu for device in found], environ)
    return NvidiaReport(gpus=gpus, driver_version=context.driver.version, problems=tuple(problems))


def _open(nvml: Any, index: int) -> Card:
    """The device at `index`, ready to be asked; its handle is None when the driver gives no access to it."""
    asker = Asker(nvml)
    handle = asker.ask("nvmlDeviceGetHandleByIndex", index)
    pci = None if handle is None else asker.ask("nvmlDeviceGetPciInfo", handle, topic="PCIe link")
    address = None if pci is None else ask_about.pci_address(pci.busId)
    return Card(index=index, handle=handle, address=address, asker=asker)


def _read_device(context: _Context, card: Card, cards: Sequence[Card]) -> list[_Found]:
    """The device, or the slices it is cut into; empty for a card in MIG mode without slices."""
    asker, handle = card.asker, card.handle
    if handle is None:
        return [_silent(card.index, asker.failure or "the driver gives no access to it")]
    name = asker.text("nvmlDeviceGetName", handle) or _UNKNOWN_NAME
    uuid = asker.text("nvmlDeviceGetUUID", handle, topic="UUID")
    mode = asker.ask("nvmlDeviceGetMigMode", handle, topic="MIG mode")
    mig_enabled = None if mode is None else int(mode[0]) == 1  # NVML_DEVICE_MIG_ENABLE
    total, free, reserved = asker.memory(handle)
    details = _read_details(context, card, mig_enabled)
    if mig_enabled:
        cut = CutCard(
            index=card.index, handle=handle, name=name, uuid=uuid, memory_bytes=total, details=details
        )
        return [
            _Found(gpu=each.gpu, identity=each.identity) for each in read_slices(asker, cut, context.rows)
        ]
    capability = asker.capability(handle)
    links = read_links(card)
    c2c = read_c2c(asker, handle)
    peers = read_peers(card, links, [other for other in cards if other.handle is not None])
    details = replace(
        details,
        links=tuple(each for each in (links.links, c2c) if each is not None),
        peers=peers,
        not_answered=tuple(asker.refused),
    )
    gpu = Gpu(
        index=card.index,
        name=name,
        memory_bytes=total,
        free_bytes=free,
        reserved_bytes=reserved,
        accelerator=None if asker.failure else match_driver_name(name, total, context.rows),
        uuid=uuid,
        compute_capability=capability,
        power_limit_w=None if details.power is None else details.power.limit_w,
        problem=asker.failure,
        details=details,
    )
    gpu = _without_memory_if_lost(gpu, asker) if asker.lost else _with_shared_memory(gpu, context)
    return [_Found(gpu=gpu, identity=DeviceIdentity(index=card.index, uuid=uuid))]


def _without_lost_peers(found: Sequence[_Found], lost: set[int]) -> list[_Found]:
    """The devices without their ways to cards that went away, whichever was asked first."""
    return [
        each
        if each.gpu.details is None
        else replace(each, gpu=replace(each.gpu, details=_with_peers_but(each.gpu.details, lost)))
        for each in found
    ]


def _with_peers_but(details: GpuDetails, lost: set[int]) -> GpuDetails:
    return replace(details, peers=tuple(peer for peer in details.peers if peer.index not in lost))


def _silent(index: int, problem: str) -> _Found:
    gpu = Gpu(
        index=index,
        name=_UNKNOWN_NAME,
        memory_bytes=None,
        free_bytes=None,
        accelerator=None,
        problem=problem,
    )
    return _Found(gpu=gpu, identity=DeviceIdentity(index=index, uuid=None))


def _without_memory_if_lost(gpu: Gpu, asker: Asker) -> Gpu:
    """A GPU that went away keeps what it said of itself, but nothing can be placed on it any more."""
    return replace(gpu, memory_bytes=None, free_bytes=None, accelerator=None, problem=asker.lost)


def _with_shared_memory(gpu: Gpu, context: _Context) -> Gpu:
    """For a chip without memory of its own (GB10, Jetson): main memory, as far as that is known.

    Only such chips answer "not supported" when asked for their memory; on some drivers they give the size
    of main memory instead, and then their profile tells.
    """
    shared = gpu.problem is None and gpu.memory_bytes is None
    if not shared and not (gpu.accelerator is not None and gpu.accelerator.unified_memory):
        return replace(gpu, details=_marked(gpu.details, unified=False if gpu.memory_bytes else None))
    # Such a chip has no slot: some drivers fill in a PCIe link of generation 1 and one lane.
    details = _marked(gpu.details, unified=True)
    main = context.main_memory
    if gpu.memory_bytes is not None:
        return replace(gpu, details=details)
    if main is None:
        return replace(
            gpu,
            details=details,
            problem="it shares main memory and its driver reports no size of its own",
        )
    return replace(
        gpu,
        details=details,
        memory_bytes=main.usable_bytes,
        free_bytes=min(main.available_bytes, main.usable_bytes),
        accelerator=match_driver_name(gpu.name, main.usable_bytes, context.rows),
    )


def _marked(details: GpuDetails | None, *, unified: bool | None) -> GpuDetails | None:
    if details is None:
        return None
    return replace(details, unified_memory=unified, pcie=None if unified else details.pcie)


def _read_details(context: _Context, card: Card, mig_enabled: bool | None) -> GpuDetails:
    """Everything about the card itself; links and peers are asked for whole cards only."""
    asker, handle, driver = card.asker, card.handle, context.driver
    clocks = ask_about.read_clocks(asker, handle)
    reasons = ask_about.read_throttle_reasons(asker, handle)
    ecc, ecc_pending = ask_about.read_ecc(asker, handle)
    return GpuDetails(
        architecture=ask_about.read_architecture(asker, handle),
        driver_version=driver.version,
        runtime_version=driver.cuda_version,
        clocks=clocks,
        throttle_reasons=reasons,
        utilization_fraction=ask_about.read_utilization(asker, handle),
        temperature_c=ask_about.read_temperature(asker, handle),
        power=ask_about.read_power(asker, handle),
        pcie=ask_about.read_pcie(asker, handle, card.address),
        fabric=read_fabric(asker, handle),
        numa_node=ask_about.read_numa_node(asker, handle),
        ecc=ecc,
        ecc_pending=ecc_pending,
        confidential=ask_about.read_confidential(asker, handle, driver),
        mig_enabled=mig_enabled,
        virtualization=ask_about.read_virtualization(asker, handle),
        # In MIG mode each slice knows its own users, and the card's list needs privileges.
        processes=None if mig_enabled else ask_about.read_processes(asker, handle),
        not_answered=tuple(asker.refused),
    )

"""MIG slices: the parts an NVIDIA card is cut into, each with its own share of memory and processors."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hardware.accelerators import Row, match_driver_name, mig_slice
from hardware.gpu_details import GpuDetails, MigSlice
from hardware.probes.cuda_visible import DeviceIdentity
from hardware.probes.nvidia_details import read_processes
from hardware.probes.nvidia_query import Asker
from hardware.spec import Accelerator, Gpu
from hardware.units import MIB

_MIG_PROFILE = re.compile(r"\bMIG (\S+)$")
_SMALLEST_PROFILE = 0  # NVML_GPU_INSTANCE_PROFILE_1_SLICE


@dataclass(frozen=True, slots=True, kw_only=True)
class CutCard:
    """A card in MIG mode: its handle, its names, and what was read of it as a whole."""

    index: int
    handle: Any
    name: str
    uuid: str | None
    memory_bytes: int | None
    details: GpuDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSlice:
    """A slice and what can name it in CUDA_VISIBLE_DEVICES."""

    gpu: Gpu
    identity: DeviceIdentity


def read_slices(asker: Asker, card: CutCard, rows: Sequence[Row] | None) -> list[FoundSlice]:
    """The slices of one card in the driver's order; empty when it is not cut yet."""
    profile = match_driver_name(card.name, card.memory_bytes, rows)
    n_slices_total = _count_slices(asker, card.handle)
    n_places = asker.ask("nvmlDeviceGetMaxMigDeviceCount", card.handle)
    if n_places is None:
        gpu = _silent_slice(card, f"its MIG slices cannot be listed: {asker.failure or 'not supported'}")
        return [
            FoundSlice(gpu=gpu, identity=DeviceIdentity(index=card.index, uuid=None, card_uuid=card.uuid))
        ]
    found = []
    for position in range(int(n_places)):
        slice_asker = Asker(asker.nvml)
        handle = slice_asker.ask("nvmlDeviceGetMigDeviceHandleByIndex", card.handle, position)
        if handle is None and slice_asker.failure is None:
            continue  # places are numbered to the largest possible count; empty ones answer "not found"
        if handle is None:
            gpu = _silent_slice(card, slice_asker.failure or "")
        else:
            gpu = _read_slice(slice_asker, handle, card, profile, n_slices_total)
        parts = None if gpu.details is None else gpu.details.mig_slice
        identity = DeviceIdentity(
            index=card.index,
            uuid=gpu.uuid,
            card_uuid=card.uuid,
            gpu_instance=None if parts is None else parts.gpu_instance,
            compute_instance=None if parts is None else parts.compute_instance,
        )
        found.append(FoundSlice(gpu=gpu, identity=identity))
    return _with_sharing(found)


def _silent_slice(card: CutCard, problem: str) -> Gpu:
    return Gpu(
        index=card.index,
        name=f"{card.name} MIG",
        memory_bytes=None,
        free_bytes=None,
        accelerator=None,
        problem=problem,
    )


def _count_slices(asker: Asker, card: Any) -> int | None:
    """How many slices the card can be cut into: 7 for an A100 or H100, 4 for an A30 or RTX PRO 6000."""
    function = "nvmlDeviceGetGpuInstanceProfileInfo"
    info = asker.ask(function, card, _SMALLEST_PROFILE, quiet=True)
    if info is None:  # drivers before R510 know only the first version of the call
        info = asker.ask(function, card, _SMALLEST_PROFILE, version=1, topic="MIG profiles")
    return None if info is None else int(info.instanceCount)


def _read_slice(
    asker: Asker, handle: Any, card: CutCard, profile: Accelerator | None, n_slices_total: int | None
) -> Gpu:
    attributes = asker.ask("nvmlDeviceGetAttributes_v2", handle, topic="MIG attributes")
    name = asker.text("nvmlDeviceGetName", handle) or f"{card.name} MIG"
    total, free, reserved = asker.memory(handle)
    instance_bytes = None if attributes is None else int(attributes.memorySizeMB) * MIB  # its "MB" are 2**20
    total = instance_bytes if total is None else total
    match = _MIG_PROFILE.search(name)
    n_slices = None if attributes is None else int(attributes.computeInstanceSliceCount)
    accelerator = None
    if profile is not None and total is not None and n_slices is not None and n_slices_total is not None:
        accelerator = mig_slice(profile, memory_bytes=total, n_slices=n_slices, n_slices_total=n_slices_total)
    parts = MigSlice(
        gpu_instance=asker.count("nvmlDeviceGetGpuInstanceId", handle, topic="MIG instance"),
        compute_instance=asker.count("nvmlDeviceGetComputeInstanceId", handle, topic="MIG instance"),
        n_gpu_slices=None if attributes is None else int(attributes.gpuInstanceSliceCount),
        n_compute_slices=n_slices,
        n_multiprocessors=None if attributes is None else int(attributes.multiprocessorCount),
        instance_memory_bytes=instance_bytes,
    )
    uuid = asker.text("nvmlDeviceGetUUID", handle, topic="UUID")
    capability = asker.capability(handle)
    processes = read_processes(asker, handle)
    details = replace(
        card.details,
        mig_slice=parts,
        processes=processes,
        links=(),  # slices reach each other over neither NVLink nor PCIe
        peers=(),
        not_answered=(*card.details.not_answered, *asker.refused),
    )
    return Gpu(
        index=card.index,
        name=name,
        memory_bytes=total,
        free_bytes=free,
        reserved_bytes=reserved,
        accelerator=accelerator,
        uuid=uuid,
        compute_capability=capability,
        mig_profile=match.group(1) if match else "unknown",
        problem=asker.failure,
        details=details,
    )


def _with_sharing(found: list[FoundSlice]) -> list[FoundSlice]:
    """The slices, marked where several compute instances live in the memory of one GPU instance."""
    users = Counter(each.identity.gpu_instance for each in found)
    return [
        replace(each, gpu=replace(each.gpu, details=_shared(each.gpu.details)))
        if each.identity.gpu_instance is not None and users[each.identity.gpu_instance] > 1
        else each
        for each in found
    ]


def _shared(details: GpuDetails | None) -> GpuDetails | None:
    if details is None or details.mig_slice is None:
        return details
    return replace(details, mig_slice=replace(details.mig_slice, shares_memory=True))

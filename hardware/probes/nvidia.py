"""NVIDIA GPUs as their driver describes them, through NVML.

A machine without NVIDIA hardware is normal and costs no remark. A device that answers only in part is
listed with what it did say: one lost GPU of three leaves the other two intact.
"""

import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardware.accelerators import Row, match_driver_name, mig_slice
from hardware.probes.cuda_visible import DeviceIdentity, visible_devices
from hardware.spec import Accelerator, Gpu
from hardware.units import MIB, format_bytes

_UNKNOWN_NAME = "NVIDIA GPU of unknown name"
_MIG_PROFILE = re.compile(r"\bMIG (\S+)$")
_MAX_SHOWN = 80


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


def read_nvidia_gpus(
    nvml: Any = None,
    environ: Mapping[str, str] | None = None,
    rows: Iterable[Row] | None = None,
) -> NvidiaReport:
    """The NVIDIA GPUs, or their MIG slices, that a program with this environment would see.

    `nvml` is the `pynvml` module or one that answers like it; `environ` may hold CUDA_VISIBLE_DEVICES.
    """
    if nvml is None:
        try:
            # Loading it takes 0.2 s, so only a machine that is really inspected pays for it.
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return NvidiaReport()
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        return NvidiaReport()
    except nvml.NVMLError as error:
        return _broken(error)
    try:
        try:
            return _read_all(nvml, environ or {}, None if rows is None else tuple(rows))
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        return _broken(error)


def _broken(error: Exception) -> NvidiaReport:
    line = (
        f"NVIDIA driver: {error}; its GPUs are left out; run nvidia-smi, then restart or reinstall the driver"
    )
    return NvidiaReport(problems=(line,))


def _read_all(nvml: Any, environ: Mapping[str, str], rows: Sequence[Row] | None) -> NvidiaReport:
    version = _Asker(nvml).text("nvmlSystemGetDriverVersion")
    found: list[_Found] = []
    problems: list[str] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        devices = _read_device(nvml, index, rows)
        if not devices:
            problems.append(
                f"GPU {index}: MIG mode is on but it has no slice; create one with nvidia-smi mig"
            )
        found += devices
    visible = visible_devices([device.identity for device in found], environ.get("CUDA_VISIBLE_DEVICES"))
    gpus = tuple(found[position].gpu for position in visible.positions)
    problems += [_trouble(gpu) for gpu in gpus if gpu.problem is not None]
    problems += [
        f"GPU {gpu.index}: no profile for {gpu.name!r}"
        f"{'' if gpu.memory_bytes is None else f' with {format_bytes(gpu.memory_bytes)}'}, so its speed is "
        "unknown; add a row to accelerators.csv"
        for gpu in gpus
        if gpu.accelerator is None and gpu.problem is None
    ]
    hidden = [device.gpu for at, device in enumerate(found) if at not in visible.positions]
    setting = repr(environ.get("CUDA_VISIBLE_DEVICES", "")[:_MAX_SHOWN])
    if hidden:
        names = ", ".join(f"GPU {gpu.index} ({gpu.name})" for gpu in hidden)
        problems.append(f"CUDA_VISIBLE_DEVICES={setting} hides {names}")
    if visible.stopped_at is not None:
        problems.append(
            f"CUDA_VISIBLE_DEVICES={setting}: {visible.stopped_at[:_MAX_SHOWN]!r} names no device here, "
            "so CUDA ends the list before it"
        )
    mixed = len({device.gpu.name for device in found}) > 1
    if hidden and visible.by_index and mixed and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        problems.append(
            "CUDA_VISIBLE_DEVICES is read in the order of nvidia-smi, but CUDA may count unlike GPUs fastest "
            "first; set CUDA_DEVICE_ORDER=PCI_BUS_ID to be sure"
        )
    return NvidiaReport(gpus=gpus, driver_version=version, problems=tuple(problems))


def _trouble(gpu: Gpu) -> str:
    return f"GPU {gpu.index} ({gpu.name}): {gpu.problem}"


class _Asker:
    """Asks one device: what it does not support is None, and the first real failure is remembered."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.failure: str | None = None

    def ask(self, function: str, *arguments: Any, **options: Any) -> Any:
        nvml = self.nvml
        try:
            return getattr(nvml, function)(*arguments, **options)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NotFound):
            return None
        except nvml.NVMLError as error:
            self.failure = self.failure or str(error)
            return None

    def text(self, function: str, *arguments: Any) -> str | None:
        value = self.ask(function, *arguments)
        if isinstance(value, bytes):  # releases of the module before 11.5 return bytes
            value = value.decode("utf-8", errors="replace")
        return None if value is None else " ".join(str(value).split())

    def memory(self, handle: Any) -> tuple[int | None, int | None, int | None]:
        """Total, free and driver-reserved bytes; the second version of the call tells the reserve apart."""
        info = self.ask("nvmlDeviceGetMemoryInfo", handle, version=self.nvml.nvmlMemory_v2)
        if info is not None:
            return int(info.total), int(info.free), int(info.reserved)
        if self.failure is None:
            info = self.ask("nvmlDeviceGetMemoryInfo", handle)
        return (None, None, None) if info is None else (int(info.total), int(info.free), None)

    def capability(self, handle: Any) -> str | None:
        value = self.ask("nvmlDeviceGetCudaComputeCapability", handle)
        return None if value is None else f"{value[0]}.{value[1]}"


def _read_device(nvml: Any, index: int, rows: Sequence[Row] | None) -> list[_Found]:
    """The device at `index`, or the slices it is cut into; empty for a card in MIG mode without slices."""
    asker = _Asker(nvml)
    handle = asker.ask("nvmlDeviceGetHandleByIndex", index)
    if handle is None:
        gpu = _silent(index, _UNKNOWN_NAME, None, asker.failure or "the driver gives no access to it")
        return [_Found(gpu=gpu, identity=DeviceIdentity(index=index, uuid=None))]
    name = asker.text("nvmlDeviceGetName", handle) or _UNKNOWN_NAME
    uuid = asker.text("nvmlDeviceGetUUID", handle)
    mode = asker.ask("nvmlDeviceGetMigMode", handle)
    if mode is not None and mode[0] == nvml.NVML_DEVICE_MIG_ENABLE:
        return _read_slices(nvml, index, handle, name, uuid, rows)
    total, free, reserved = asker.memory(handle)
    accelerator = None if asker.failure else match_driver_name(name, total, rows)
    capability = asker.capability(handle)
    power_mw = asker.ask("nvmlDeviceGetEnforcedPowerLimit", handle)
    problem = asker.failure
    if problem is None and total is None:
        shares = accelerator is not None and accelerator.unified_memory
        problem = (
            "it shares main memory and its driver reports no size of its own"
            if shares
            else "its driver reports no memory size"
        )
    gpu = Gpu(
        index=index,
        name=name,
        memory_bytes=total,
        free_bytes=free,
        reserved_bytes=reserved,
        accelerator=accelerator,
        uuid=uuid,
        compute_capability=capability,
        power_limit_w=None if power_mw is None else power_mw / 1000,
        problem=problem,
    )
    return [_Found(gpu=gpu, identity=DeviceIdentity(index=index, uuid=uuid))]


def _silent(index: int, name: str, uuid: str | None, problem: str) -> Gpu:
    return Gpu(
        index=index,
        name=name,
        memory_bytes=None,
        free_bytes=None,
        accelerator=None,
        uuid=uuid,
        problem=problem,
    )


def _read_slices(
    nvml: Any, index: int, card: Any, card_name: str, card_uuid: str | None, rows: Sequence[Row] | None
) -> list[_Found]:
    """The MIG slices of one card, each with its own share of memory, bandwidth and compute."""
    about_card = _Asker(nvml)
    card_memory_bytes, _, _ = about_card.memory(card)
    profile = match_driver_name(card_name, card_memory_bytes, rows)
    n_slices_total = _count_slices(about_card, card)
    found = []
    for position in range(about_card.ask("nvmlDeviceGetMaxMigDeviceCount", card) or 0):
        asker = _Asker(nvml)
        handle = asker.ask("nvmlDeviceGetMigDeviceHandleByIndex", card, position)
        if handle is None and asker.failure is None:
            continue  # places are numbered to the largest possible count; empty ones answer "not found"
        if handle is None:
            gpu = _silent(index, f"{card_name} MIG", None, asker.failure or "")
            found.append(
                _Found(gpu=gpu, identity=DeviceIdentity(index=index, uuid=None, card_uuid=card_uuid))
            )
            continue
        gpu = _read_slice(asker, handle, index, card_name, profile, n_slices_total)
        identity = DeviceIdentity(
            index=index,
            uuid=gpu.uuid,
            card_uuid=card_uuid,
            gpu_instance=asker.ask("nvmlDeviceGetGpuInstanceId", handle),
            compute_instance=asker.ask("nvmlDeviceGetComputeInstanceId", handle),
        )
        found.append(_Found(gpu=gpu, identity=identity))
    return found


def _count_slices(asker: _Asker, card: Any) -> int | None:
    """How many slices the card can be cut into: 7 for an A100 or H100, 4 for an A30."""
    smallest = asker.nvml.NVML_GPU_INSTANCE_PROFILE_1_SLICE
    info = asker.ask("nvmlDeviceGetGpuInstanceProfileInfo", card, smallest)
    if info is None:  # drivers before R510 know only the first version of the call
        info = asker.ask("nvmlDeviceGetGpuInstanceProfileInfo", card, smallest, version=1)
    return None if info is None else int(info.instanceCount)


def _read_slice(
    asker: _Asker,
    handle: Any,
    index: int,
    card_name: str,
    card: Accelerator | None,
    n_slices_total: int | None,
) -> Gpu:
    attributes = asker.ask("nvmlDeviceGetAttributes_v2", handle)
    name = asker.text("nvmlDeviceGetName", handle) or f"{card_name} MIG"
    total, free, reserved = asker.memory(handle)
    if total is None and attributes is not None:
        total = int(attributes.memorySizeMB) * MIB  # NVML's "MB" are 2**20 bytes
    match = _MIG_PROFILE.search(name)
    mig_profile = match.group(1) if match else "unknown"
    n_slices = None if attributes is None else int(attributes.computeInstanceSliceCount)
    accelerator = None
    if card is not None and total is not None and n_slices is not None and n_slices_total is not None:
        accelerator = mig_slice(card, memory_bytes=total, n_slices=n_slices, n_slices_total=n_slices_total)
    return Gpu(
        index=index,
        name=name,
        memory_bytes=total,
        free_bytes=free,
        reserved_bytes=reserved,
        accelerator=accelerator,
        uuid=asker.text("nvmlDeviceGetUUID", handle),
        compute_capability=asker.capability(handle),
        mig_profile=mig_profile,
        problem=asker.failure,
    )

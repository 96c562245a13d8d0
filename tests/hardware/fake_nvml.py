"""A stand-in for the `pynvml` module: devices described as data, real NVML error classes, failures on demand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml

from hardware.units import GIB


@dataclass(kw_only=True)
class FakeSlice:
    """A MIG slice of a fake card."""

    uuid: str
    profile: str
    memory_bytes: int
    n_slices: int
    gpu_instance: int = 1


@dataclass(kw_only=True)
class FakeCard:
    """A fake card; `failures` maps a call's name to the error that it raises ("*" for every call)."""

    name: str
    uuid: str
    memory_bytes: int = 24 * GIB
    free_bytes: int = 20 * GIB
    reserved_bytes: int = GIB // 2
    capability: tuple[int, int] = (8, 9)
    power_mw: int = 450_000
    mig: bool = False
    slices: Sequence[FakeSlice] = ()
    n_slices_total: int = 7
    failures: Mapping[str, Exception] = field(default_factory=dict)


class FakeNvml:
    """Answers like `pynvml` for the calls that the probe makes."""

    NVMLError = pynvml.NVMLError
    NVMLError_LibraryNotFound = pynvml.NVMLError_LibraryNotFound
    NVMLError_DriverNotLoaded = pynvml.NVMLError_DriverNotLoaded
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    NVMLError_FunctionNotFound = pynvml.NVMLError_FunctionNotFound
    NVMLError_NotFound = pynvml.NVMLError_NotFound
    NVML_DEVICE_MIG_ENABLE = pynvml.NVML_DEVICE_MIG_ENABLE
    NVML_GPU_INSTANCE_PROFILE_1_SLICE = pynvml.NVML_GPU_INSTANCE_PROFILE_1_SLICE
    nvmlMemory_v2 = pynvml.nvmlMemory_v2

    def __init__(self, cards: Sequence[FakeCard] = (), init_error: Exception | None = None) -> None:
        self.cards = cards
        self.init_error = init_error
        self.n_open = 0

    def nvmlInit(self) -> None:
        if self.init_error is not None:
            raise self.init_error
        self.n_open += 1

    def nvmlShutdown(self) -> None:
        self.n_open -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.65.06"

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeCard:
        self._checked(self.cards[index], "nvmlDeviceGetHandleByIndex")
        return self.cards[index]

    def nvmlDeviceGetName(self, device: FakeCard | FakeSlice) -> str:
        if isinstance(device, FakeSlice):
            card = next(card for card in self.cards if device in card.slices)
            return f"{card.name} MIG {device.profile}"
        return str(self._checked(device, "nvmlDeviceGetName").name)

    def nvmlDeviceGetUUID(self, device: FakeCard | FakeSlice) -> str:
        return str(self._checked(device, "nvmlDeviceGetUUID").uuid)

    def nvmlDeviceGetMigMode(self, card: FakeCard) -> list[int]:
        card = self._checked(card, "nvmlDeviceGetMigMode")
        return [int(card.mig), int(card.mig)]

    def nvmlDeviceGetMemoryInfo(self, device: FakeCard | FakeSlice, version: int | None = None) -> Any:
        device = self._checked(device, "nvmlDeviceGetMemoryInfo")
        if version is not None:
            device = self._checked(device, "nvmlDeviceGetMemoryInfo_v2")
        total = device.memory_bytes
        if isinstance(device, FakeSlice):
            return SimpleNamespace(total=total, free=total, used=0, reserved=0)
        return SimpleNamespace(total=total, free=device.free_bytes, used=0, reserved=device.reserved_bytes)

    def nvmlDeviceGetCudaComputeCapability(self, device: FakeCard | FakeSlice) -> tuple[int, int]:
        device = self._checked(device, "nvmlDeviceGetCudaComputeCapability")
        return (8, 0) if isinstance(device, FakeSlice) else device.capability

    def nvmlDeviceGetEnforcedPowerLimit(self, card: FakeCard) -> int:
        return int(self._checked(card, "nvmlDeviceGetEnforcedPowerLimit").power_mw)

    def nvmlDeviceGetMaxMigDeviceCount(self, card: FakeCard) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: FakeCard, index: int) -> FakeSlice:
        if index >= len(card.slices):
            raise pynvml.NVMLError_NotFound()
        return card.slices[index]

    def nvmlDeviceGetAttributes_v2(self, part: FakeSlice) -> Any:
        return SimpleNamespace(computeInstanceSliceCount=part.n_slices, memorySizeMB=part.memory_bytes >> 20)

    def nvmlDeviceGetGpuInstanceProfileInfo(self, card: FakeCard, profile: int, version: int = 2) -> Any:
        return SimpleNamespace(instanceCount=card.n_slices_total)

    def nvmlDeviceGetGpuInstanceId(self, part: FakeSlice) -> int:
        return part.gpu_instance

    def nvmlDeviceGetComputeInstanceId(self, part: FakeSlice) -> int:
        return 0

    @staticmethod
    def _checked(device: Any, call: str) -> Any:
        failures = device.failures if isinstance(device, FakeCard) else {}
        error = failures.get(call) or failures.get("*")
        if error is not None:
            raise error
        return device

"""Copies through NVIDIA's driver library itself, so that no framework has to be installed.

CUDA Driver API, as libcuda.so.1 has exported it since CUDA 7; names and types are those of cuda.h
(https://docs.nvidia.com/cuda/cuda-driver-api/). A device's primary context is used, the one that a framework
would use too; it lives as long as the process.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any

from hardware.copiers.shared_library import SharedLibrary
from hardware.gpu_copies import Copies, CopyDevice, CopyError

LIBRARY = "libcuda.so.1"

_Pointer = ctypes.c_void_p
_DevicePointer = ctypes.c_ulonglong  # CUdeviceptr
_Size = ctypes.c_size_t
_Int = ctypes.c_int
_Uuid = ctypes.c_ubyte * 16
_TEXT_BYTES = 128

_FUNCTIONS = MappingProxyType(
    {
        "cuInit": (ctypes.c_uint,),
        "cuDriverGetVersion": (ctypes.POINTER(_Int),),
        "cuGetErrorName": (_Int, ctypes.POINTER(ctypes.c_char_p)),
        "cuDeviceGetCount": (ctypes.POINTER(_Int),),
        "cuDeviceGet": (ctypes.POINTER(_Int), _Int),
        "cuDeviceGetName": (ctypes.c_char_p, _Int, _Int),
        "cuDeviceGetUuid_v2": (ctypes.POINTER(_Uuid), _Int),  # of the slice where MIG is on
        "cuDeviceGetUuid": (ctypes.POINTER(_Uuid), _Int),
        "cuDeviceGetPCIBusId": (ctypes.c_char_p, _Int, _Int),
        "cuDevicePrimaryCtxRetain": (ctypes.POINTER(_Pointer), _Int),
        "cuCtxSetCurrent": (_Pointer,),
        "cuCtxSynchronize": (),
        "cuMemGetInfo_v2": (ctypes.POINTER(_Size), ctypes.POINTER(_Size)),
        "cuMemAlloc_v2": (ctypes.POINTER(_DevicePointer), _Size),
        "cuMemFree_v2": (_DevicePointer,),
        "cuMemAllocHost_v2": (ctypes.POINTER(_Pointer), _Size),
        "cuMemFreeHost": (_Pointer,),
        "cuMemcpyDtoDAsync_v2": (_DevicePointer, _DevicePointer, _Size, _Pointer),
        "cuMemcpyHtoDAsync_v2": (_DevicePointer, _Pointer, _Size, _Pointer),
        "cuMemcpyDtoHAsync_v2": (_Pointer, _DevicePointer, _Size, _Pointer),
    }
)


class CudaDriver(SharedLibrary):
    """The driver library and the GPUs that it shows to this process (CUDA_VISIBLE_DEVICES applies)."""

    host_memory = "page-locked"

    def __init__(self, library: str = LIBRARY) -> None:
        super().__init__(library, _FUNCTIONS)

    @property
    def label(self) -> str:
        """Such as "CUDA driver 12.8": the CUDA version that the driver supports."""
        version = _Int()
        self.call("cuDriverGetVersion", ctypes.byref(version))
        return f"CUDA driver {version.value // 1000}.{version.value % 1000 // 10}"

    def devices(self) -> Sequence[CopyDevice]:
        """The GPUs in CUDA's order."""
        self.call("cuInit", 0)
        count = _Int()
        self.call("cuDeviceGetCount", ctypes.byref(count))
        return tuple(_Device(self, ordinal) for ordinal in range(count.value))

    def error_name(self, code: int) -> str:
        """Such as "CUDA_ERROR_OUT_OF_MEMORY"."""
        name = ctypes.c_char_p()
        answered = self._function("cuGetErrorName")(code, ctypes.byref(name)) == 0
        return name.value.decode("ascii", "replace") if answered and name.value else f"error {code}"


class _Device:
    """One GPU of the driver."""

    def __init__(self, driver: CudaDriver, ordinal: int) -> None:
        self._driver = driver
        self._context: Any = None
        device = _Int()
        driver.call("cuDeviceGet", ctypes.byref(device), ordinal)
        self._device = device.value
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        driver.call("cuDeviceGetName", text, _TEXT_BYTES, self._device)
        self.name = text.value.decode("utf-8", "replace")
        self.uuid = self._read_uuid()
        self.pci_address = self._read_pci_address()

    def free_bytes(self) -> int | None:
        """Free memory of the GPU, beside what this process's context takes."""
        self._enter()
        free, total = _Size(), _Size()
        self._driver.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return int(free.value)

    @contextmanager
    def buffers(self, device_bytes: int, host_bytes: int) -> Iterator[Copies]:
        """Buffers of these sizes, freed again; with none in main memory there is a second one on the GPU."""
        self._enter()
        driver = self._driver
        with ExitStack() as stack:
            places = []
            for _ in range(1 if host_bytes else 2):
                place = _DevicePointer()
                driver.call("cuMemAlloc_v2", ctypes.byref(place), device_bytes)
                stack.callback(_free, driver, "cuMemFree_v2", place)
                places.append(place)
            host = _Pointer()
            if host_bytes:
                driver.call("cuMemAllocHost_v2", ctypes.byref(host), host_bytes)
                stack.callback(_free, driver, "cuMemFreeHost", host)
            yield _Copies(driver, places, host, device_bytes, host_bytes)

    def _enter(self) -> None:
        """Makes the GPU's context the current one; the driver makes it on first use."""
        if self._context is None:
            context = _Pointer()
            self._driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
            self._context = context
        self._driver.call("cuCtxSetCurrent", self._context)

    def _read_uuid(self) -> str | None:
        uuid = _Uuid()
        for function in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid"):  # the first came with CUDA 11.4
            try:
                self._driver.call(function, ctypes.byref(uuid), self._device)
            except CopyError:
                continue
            return bytes(uuid).hex()
        return None

    def _read_pci_address(self) -> str | None:
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        try:
            self._driver.call("cuDeviceGetPCIBusId", text, _TEXT_BYTES, self._device)
        except CopyError:
            return None  # a chip that has no slot
        return text.value.decode("ascii", "replace").casefold()


class _Copies:
    """Buffers of one GPU, and copies between them on its default stream."""

    def __init__(
        self, driver: CudaDriver, places: Sequence[Any], host: Any, device_bytes: int, host_bytes: int
    ) -> None:
        self._driver, self._places, self._host = driver, places, host
        self._device_bytes, self._host_bytes = device_bytes, host_bytes

    def within(self) -> None:
        self._driver.call("cuMemcpyDtoDAsync_v2", self._places[1], self._places[0], self._device_bytes, None)

    def from_host(self) -> None:
        self._driver.call("cuMemcpyHtoDAsync_v2", self._places[0], self._host, self._host_bytes, None)

    def to_host(self) -> None:
        self._driver.call("cuMemcpyDtoHAsync_v2", self._host, self._places[0], self._host_bytes, None)

    def wait(self) -> None:
        self._driver.call("cuCtxSynchronize")


def _free(driver: SharedLibrary, function: str, place: Any) -> None:
    """Gives a buffer back; a lost GPU cannot take it, and the process that asks is about to end anyway."""
    try:
        driver.call(function, place)
    except CopyError:
        return

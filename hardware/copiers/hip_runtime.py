"""Copies through AMD's HIP runtime, for machines with ROCm and without a framework.

HIP runtime API as libamdhip64 exports it since ROCm 5; names and types are those of hip_runtime_api.h
(https://rocm.docs.amd.com/projects/HIP/en/latest/doxygen/html/group___global_defs.html).
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any

from hardware.copiers.shared_library import SharedLibrary
from hardware.gpu_copies import Copies, CopyDevice, CopyError

LIBRARY = "libamdhip64.so"

_Pointer = ctypes.c_void_p
_Size = ctypes.c_size_t
_Int = ctypes.c_int
_TEXT_BYTES = 256
_TO_DEVICE, _TO_HOST, _WITHIN = 1, 2, 3  # hipMemcpyKind

_FUNCTIONS = MappingProxyType(
    {
        "hipInit": (ctypes.c_uint,),
        "hipRuntimeGetVersion": (ctypes.POINTER(_Int),),
        "hipGetErrorName": (_Int,),
        "hipGetDeviceCount": (ctypes.POINTER(_Int),),
        "hipDeviceGetName": (ctypes.c_char_p, _Int, _Int),
        "hipDeviceGetPCIBusId": (ctypes.c_char_p, _Int, _Int),
        "hipSetDevice": (_Int,),
        "hipDeviceSynchronize": (),
        "hipMemGetInfo": (ctypes.POINTER(_Size), ctypes.POINTER(_Size)),
        "hipMalloc": (ctypes.POINTER(_Pointer), _Size),
        "hipFree": (_Pointer,),
        "hipHostMalloc": (ctypes.POINTER(_Pointer), _Size, ctypes.c_uint),
        "hipHostFree": (_Pointer,),
        "hipMemcpyAsync": (_Pointer, _Pointer, _Size, _Int, _Pointer),
    }
)


class HipRuntime(SharedLibrary):
    """The runtime library and the GPUs that it shows to this process (HIP_VISIBLE_DEVICES applies)."""

    host_memory = "page-locked"

    def __init__(self, library: str = LIBRARY) -> None:
        super().__init__(library, _FUNCTIONS)

    @property
    def label(self) -> str:
        """Such as "HIP runtime 6.3"."""
        version = _Int()
        self.call("hipRuntimeGetVersion", ctypes.byref(version))  # major · 10⁷ + minor · 10⁵ + patch
        return f"HIP runtime {version.value // 10_000_000}.{version.value // 100_000 % 100}"

    def devices(self) -> Sequence[CopyDevice]:
        """The GPUs in HIP's order."""
        self.call("hipInit", 0)
        count = _Int()
        self.call("hipGetDeviceCount", ctypes.byref(count))
        return tuple(_Device(self, ordinal) for ordinal in range(count.value))

    def error_name(self, code: int) -> str:
        """Such as "hipErrorOutOfMemory"."""
        function = self._function("hipGetErrorName")
        function.restype = ctypes.c_char_p
        name = function(code)
        return name.decode("ascii", "replace") if name else f"error {code}"


class _Device:
    """One GPU of the runtime."""

    uuid = None  # HIP's differs from the kernel's in form; the address names a GPU just as well

    def __init__(self, runtime: HipRuntime, ordinal: int) -> None:
        self._runtime, self._ordinal = runtime, ordinal
        self.name = self._text("hipDeviceGetName") or "AMD GPU"
        address = self._text("hipDeviceGetPCIBusId")
        self.pci_address = None if address is None else address.casefold()

    def free_bytes(self) -> int | None:
        """Free memory of the GPU."""
        self._runtime.call("hipSetDevice", self._ordinal)
        free, total = _Size(), _Size()
        self._runtime.call("hipMemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return int(free.value)

    @contextmanager
    def buffers(self, device_bytes: int, host_bytes: int) -> Iterator[Copies]:
        """Buffers of these sizes, freed again; with none in main memory there is a second one on the GPU."""
        runtime = self._runtime
        runtime.call("hipSetDevice", self._ordinal)
        with ExitStack() as stack:
            places = []
            for _ in range(1 if host_bytes else 2):
                place = _Pointer()
                runtime.call("hipMalloc", ctypes.byref(place), device_bytes)
                stack.callback(_free, runtime, "hipFree", place)
                places.append(place)
            host = _Pointer()
            if host_bytes:
                runtime.call("hipHostMalloc", ctypes.byref(host), host_bytes, 0)
                stack.callback(_free, runtime, "hipHostFree", host)
            yield _Copies(runtime, places, host, device_bytes, host_bytes)

    def _text(self, function: str) -> str | None:
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        try:
            self._runtime.call(function, text, _TEXT_BYTES, self._ordinal)
        except CopyError:
            return None
        return text.value.decode("utf-8", "replace")


class _Copies:
    """Buffers of one GPU, and copies between them on its default stream."""

    def __init__(
        self, runtime: HipRuntime, places: Sequence[Any], host: Any, device_bytes: int, host_bytes: int
    ) -> None:
        self._runtime, self._places, self._host = runtime, places, host
        self._device_bytes, self._host_bytes = device_bytes, host_bytes

    def within(self) -> None:
        self._copy(self._places[1], self._places[0], self._device_bytes, _WITHIN)

    def from_host(self) -> None:
        self._copy(self._places[0], self._host, self._host_bytes, _TO_DEVICE)

    def to_host(self) -> None:
        self._copy(self._host, self._places[0], self._host_bytes, _TO_HOST)

    def wait(self) -> None:
        self._runtime.call("hipDeviceSynchronize")

    def _copy(self, to: Any, source: Any, n_bytes: int, kind: int) -> None:
        self._runtime.call("hipMemcpyAsync", to, source, n_bytes, kind, None)


def _free(runtime: SharedLibrary, function: str, place: Any) -> None:
    """Gives a buffer back; a lost GPU cannot take it, and the process that asks is about to end anyway."""
    try:
        runtime.call(function, place)
    except CopyError:
        return

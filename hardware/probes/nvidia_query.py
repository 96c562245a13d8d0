"""Asking NVML: what a device does not support is None, what it refuses is remembered, and nothing is raised.

NVML answers each question by itself, so one refusal says nothing about the next question. Only a device that
is gone is not asked again.
"""

from typing import Any

# pynvml has words for the oldest error codes only (nvml.h, nvmlReturn_t).
_WORDS = {
    "NVMLError_InUse": "in use by another program",
    "NVMLError_NoData": "no data",
    "NVMLError_VgpuEccNotSupported": "not while a vGPU with error correction runs",
    "NVMLError_InsufficientResources": "insufficient resources",
    "NVMLError_ArgumentVersionMismatch": "the driver knows another version of this question",
    "NVMLError_Deprecated": "no longer supported",
    "NVMLError_NotReady": "the GPU is not ready",
    "NVMLError_GpuNotFound": "the GPU was not found",
    "NVMLError_InvalidState": "not in this state",
}


def error_words(error: Exception) -> str:
    """What an NVML error says, on one line and without a bare number where words are known."""
    return _WORDS.get(type(error).__name__) or " ".join(str(error).split()) or type(error).__name__


class Asker:
    """Asks one device, or the driver itself.

    `failure` is the first refusal of an essential question, `refused` one line per other question that was
    refused, and `lost` is set once the device has gone: it is not asked anything more.
    """

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.failure: str | None = None
        self.lost: str | None = None
        self.refused: list[str] = []

    def ask(
        self, function: str, *arguments: Any, topic: str | None = None, quiet: bool = False, **options: Any
    ) -> Any:
        """The answer, or None. `topic` names a question that is not essential; `quiet` one with a fallback."""
        nvml = self.nvml
        call = getattr(nvml, function, None)  # older releases of the module lack the newer questions
        if call is None or self.lost is not None:
            return None
        try:
            return call(*arguments, **options)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NotFound):
            return None
        except (nvml.NVMLError_GpuIsLost, nvml.NVMLError_ResetRequired) as error:
            self.lost = self.failure = error_words(error)
        except nvml.NVMLError as error:
            if quiet:
                return None
            if topic is None:
                self.failure = self.failure or error_words(error)
            else:
                line = f"{topic}: {error_words(error)}"
                self.refused += [] if line in self.refused else [line]
        return None

    def text(self, function: str, *arguments: Any, topic: str | None = None) -> str | None:
        """An answer in words, on one line."""
        value = self.ask(function, *arguments, topic=topic)
        if isinstance(value, bytes):  # releases of the module before 11.5 return bytes
            value = value.decode("utf-8", errors="replace")
        return None if value is None else " ".join(str(value).split())

    def scaled(self, function: str, *arguments: Any, topic: str, unit: float) -> float | None:
        """A number in base units: the answer times `unit`."""
        value = self.ask(function, *arguments, topic=topic)
        return None if value is None else float(value) * unit

    def count(self, function: str, *arguments: Any, topic: str) -> int | None:
        """A whole number."""
        value = self.ask(function, *arguments, topic=topic)
        return None if value is None else int(value)

    def memory(self, handle: Any) -> tuple[int | None, int | None, int | None]:
        """Total, free and driver-reserved bytes; the second version of the call tells the reserve apart.

        Drivers under WSL answered the second version with "unknown error" and the first one well.
        """
        version = getattr(self.nvml, "nvmlMemory_v2", None)
        if version is not None:
            info = self.ask("nvmlDeviceGetMemoryInfo", handle, version=version, quiet=True)
            if info is not None:
                return int(info.total), int(info.free), int(info.reserved)
        info = self.ask("nvmlDeviceGetMemoryInfo", handle)
        return (None, None, None) if info is None else (int(info.total), int(info.free), None)

    def capability(self, handle: Any) -> str | None:
        """The compute capability, such as "9.0"."""
        value = self.ask("nvmlDeviceGetCudaComputeCapability", handle, topic="compute capability")
        return None if value is None else f"{value[0]}.{value[1]}"

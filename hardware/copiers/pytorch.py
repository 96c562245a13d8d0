"""Copies through PyTorch, for what has no runtime library of its own here: Intel's GPUs, Apple's, and old drivers.

The module answers for one kind of GPU at a time: "cuda" (which is also ROCm), "xpu" or "mps", the names of
https://docs.pytorch.org/docs/stable/accelerator.html.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hardware.gpu_copies import Copies, CopyDevice, CopyError

LIBRARY = "torch"
_KINDS = ("cuda", "xpu", "mps")
_MAX_LINE = 200


class PyTorch:
    """PyTorch and the GPUs of the kind that it was built for; raises ImportError without it."""

    def __init__(self, library: str = LIBRARY) -> None:
        self._torch = importlib.import_module(library)
        self._kind = next((kind for kind in _KINDS if _is_available(self._torch, kind)), None)

    @property
    def label(self) -> str:
        """Such as "PyTorch 2.9.1+rocm6.4"."""
        return f"PyTorch {self._torch.__version__}"

    @property
    def host_memory(self) -> str:
        """Apple's GPUs share main memory, so there is nothing to lock."""
        return "ordinary" if self._kind == "mps" else "page-locked"

    def devices(self) -> Sequence[CopyDevice]:
        """The GPUs in PyTorch's order."""
        if self._kind is None:
            raise CopyError(
                f"{self.label} can use no GPU here; it is built for another kind, or for processors only"
            )
        count = 1 if self._kind == "mps" else getattr(self._torch, self._kind).device_count()
        return tuple(_Device(self._torch, self._kind, ordinal) for ordinal in range(count))


def _is_available(torch: Any, kind: str) -> bool:
    if kind == "mps":
        backend = getattr(torch.backends, "mps", None)
        return backend is not None and bool(backend.is_available())
    module = getattr(torch, kind, None)  # PyTorch before 2.4 has no xpu
    return module is not None and bool(module.is_available())


class _Device:
    """One GPU of PyTorch."""

    def __init__(self, torch: Any, kind: str, ordinal: int) -> None:
        self._torch, self._kind, self._ordinal = torch, kind, ordinal
        self._module = getattr(torch, kind)
        self.name, self.uuid, self.pci_address = "Apple GPU", None, None
        if kind != "mps":
            properties = self._module.get_device_properties(ordinal)
            self.name = str(properties.name)
            self.uuid, self.pci_address = _uuid(properties), _pci_address(properties)

    def free_bytes(self) -> int | None:
        """Free memory of the GPU; None where PyTorch does not tell."""
        if not hasattr(self._module, "mem_get_info"):
            return None
        try:
            return int(self._module.mem_get_info(self._ordinal)[0])
        except RuntimeError as error:
            raise _copy_error(self._torch, error) from error

    @contextmanager
    def buffers(self, device_bytes: int, host_bytes: int) -> Iterator[Copies]:
        """Buffers of these sizes, which go back to the system afterwards."""
        torch = self._torch
        where = self._kind if self._kind == "mps" else f"{self._kind}:{self._ordinal}"
        places: list[Any] = []
        host = None
        try:
            for _ in range(1 if host_bytes else 2):
                places.append(torch.empty(device_bytes, dtype=torch.uint8, device=where))  # noqa: PERF401
            if host_bytes:
                host = torch.empty(host_bytes, dtype=torch.uint8, pin_memory=self._kind != "mps")
                host.fill_(1)  # ordinary memory is there only once it is written
        except RuntimeError as error:
            raise _copy_error(torch, error) from error
        try:
            yield _Copies(torch, self._module, None if self._kind == "mps" else self._ordinal, places, host)
        finally:
            places.clear()
            self._give_back()

    def _give_back(self) -> None:
        """PyTorch keeps freed memory for itself; a lost GPU cannot take it, and its process is about to end."""
        try:
            self._module.empty_cache()
        except RuntimeError:
            return


class _Copies:
    """Tensors of one GPU, and copies between them."""

    def __init__(self, torch: Any, module: Any, ordinal: int | None, places: list[Any], host: Any) -> None:
        self._torch, self._module, self._ordinal = torch, module, ordinal
        self._places, self._host = places, host

    def within(self) -> None:
        self._copy(self._places[1], self._places[0])

    def from_host(self) -> None:
        self._copy(self._places[0], self._host)

    def to_host(self) -> None:
        self._copy(self._host, self._places[0])

    def wait(self) -> None:
        try:
            self._module.synchronize(*(() if self._ordinal is None else (self._ordinal,)))
        except RuntimeError as error:
            raise _copy_error(self._torch, error) from error

    def _copy(self, to: Any, source: Any) -> None:
        try:
            to.copy_(source, non_blocking=True)
        except RuntimeError as error:
            raise _copy_error(self._torch, error) from error


def _uuid(properties: Any) -> str | None:
    uuid = getattr(properties, "uuid", None)  # since PyTorch 2.5
    return None if uuid is None else str(uuid)


def _pci_address(properties: Any) -> str | None:
    parts = [getattr(properties, f"pci_{part}_id", None) for part in ("domain", "bus", "device")]
    if not all(isinstance(part, int) for part in parts):  # since PyTorch 2.8
        return None
    domain, bus, device = parts
    return f"{domain:04x}:{bus:02x}:{device:02x}.0"


def _copy_error(torch: Any, error: RuntimeError) -> CopyError:
    """The first line of what PyTorch says; the rest of it is advice to programmers."""
    out_of_memory = getattr(torch, "OutOfMemoryError", None) or torch.cuda.OutOfMemoryError  # since 2.5
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CopyError(line[:_MAX_LINE], no_memory=isinstance(error, out_of_memory))

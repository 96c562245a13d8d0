"""A stand-in for PyTorch built for CUDA with two GPUs; `fake_torch_processors` is one without.

Names, arguments and errors are those of PyTorch 2.8. FAKE_TORCH_FAULT: no_memory, lost:N, odd:N (an error that is no
RuntimeError).
"""

import os
import time
from types import SimpleNamespace
from typing import Any

__version__ = "2.8.0+cu128"
uint8 = "uint8"
_FREE_BYTES = 4 * 2**30
_COPY_S_PER_BYTE = 1 / 100e9


class OutOfMemoryError(RuntimeError):
    """As torch.OutOfMemoryError."""


def _strikes(fault: str, device: str | None) -> bool:
    return device is not None and os.environ.get("FAKE_TORCH_FAULT") == f"{fault}:{device.rpartition(':')[2]}"


class _Tensor:
    def __init__(self, n_bytes: int, device: str | None) -> None:
        self.n_bytes, self.device = n_bytes, device

    def fill_(self, value: int) -> None:
        assert self.device is None and value in range(256)

    def copy_(self, source: "_Tensor", non_blocking: bool = False) -> None:
        assert non_blocking, "a copy that blocks cannot be queued"
        assert self.n_bytes == source.n_bytes and self is not source
        assert self.device is not None or source.device is not None
        for device in (self.device, source.device):
            if _strikes("lost", device):
                raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be …")
            if _strikes("odd", device):
                raise LookupError("no such device any more")
        cuda.queued_s += self.n_bytes * _COPY_S_PER_BYTE


def empty(n_bytes: int, *, dtype: str, device: str | None = None, pin_memory: bool = False) -> _Tensor:
    assert dtype == uint8
    assert (device is None) == pin_memory
    if device is not None and os.environ.get("FAKE_TORCH_FAULT") == "no_memory":
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 512.00 MiB.\nSee documentation …")
    return _Tensor(n_bytes, device)


class _Cuda:
    queued_s = 0.0

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def get_device_properties(self, device: int) -> Any:
        return SimpleNamespace(
            name="NVIDIA Example",
            uuid=f"00000000-0000-0000-0000-00000000000{device}",
            pci_domain_id=0,
            pci_bus_id=(0x17, 0xB1)[device],
            pci_device_id=0,
        )

    def mem_get_info(self, device: int) -> tuple[int, int]:
        return _FREE_BYTES, 2 * _FREE_BYTES

    def synchronize(self, device: int) -> None:
        time.sleep(self.queued_s)
        self.queued_s = 0.0

    def empty_cache(self) -> None:
        pass


cuda = _Cuda()
backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False))

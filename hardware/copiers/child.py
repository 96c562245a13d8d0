"""Measures the GPUs of one driver or framework in a process of its own: python -m hardware.copiers.child

A vendor's library can crash, hang or keep memory; here that costs one process. Arguments: a name of `COPIERS`, the
libraries to try (comma between them), free main memory in bytes, seconds for each GPU, GPUs to leave out. What it
finds is printed line by line as JSON as it comes, so that what was measured before a crash is not lost.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from hardware.copiers.cuda_driver import CudaDriver
from hardware.copiers.hip_runtime import HipRuntime
from hardware.copiers.pytorch import PyTorch
from hardware.gpu_copies import Copied, Copier, CopyDevice, CopyError, measure_copies
from hardware.spec import GpuCopies

COPIERS: Mapping[str, Callable[[str], Copier]] = MappingProxyType(
    {"cuda_driver": CudaDriver, "hip_runtime": HipRuntime, "pytorch": PyTorch}
)

Tell = Callable[[Mapping[str, Any]], None]


def main(arguments: list[str]) -> int:
    """Opens the copier, says which GPUs it has, and measures one after the other."""
    name, libraries, host_free_bytes, budget_s, skipped = arguments
    tell = _private_output()
    try:
        copier = _opened(COPIERS[name], libraries.split(","))
    except (ImportError, OSError) as error:
        tell({"absent": _line(error)})
        return 0
    try:
        devices = copier.devices()
        label = copier.label
    except CopyError as error:
        tell({"refused": _line(error)})
        return 0
    tell(
        {
            "label": label,
            "devices": [
                {"name": device.name, "uuid": device.uuid, "pci_address": device.pci_address}
                for device in devices
            ],
        }
    )
    left_out = {int(part) for part in skipped.split(",") if part}
    for ordinal, device in enumerate(devices):
        if ordinal in left_out:
            continue
        tell({"begun": ordinal})
        copied = _measured(device, copier, int(host_free_bytes), float(budget_s))
        tell({"device": ordinal, **asdict(copied)})
    return 0


def _opened(copier: Callable[[str], Copier], libraries: list[str]) -> Copier:
    """The copier with the first library that loads; raises what the first one said."""
    failures: list[ImportError | OSError] = []
    for library in libraries:
        try:
            return copier(library)
        except (ImportError, OSError) as error:
            failures.append(error)
    raise failures[0]


def _measured(device: CopyDevice, copier: Copier, host_free_bytes: int, budget_s: float) -> Copied:
    """What one GPU gives; a fault that the copier did not foresee is that GPU's, not the others'."""
    try:
        return measure_copies(device, copier, host_free_bytes=host_free_bytes, budget_s=budget_s)
    except Exception as error:  # noqa: BLE001 - a framework may raise anything; its GPUs are asked one by one
        return Copied(copies=GpuCopies(), problems=(f"{type(error).__name__}: {_line(error)}",))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _private_output() -> Tell:
    """Prints JSON lines where standard output went; what a library prints there itself is dropped."""
    stream = os.fdopen(os.dup(1), "w", encoding="ascii")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)

    def tell(facts: Mapping[str, Any]) -> None:
        stream.write(json.dumps(facts) + "\n")
        stream.flush()

    return tell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

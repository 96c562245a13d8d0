"""NVIDIA Jetson modules by their device tree, since their GPU works in main memory and may answer no NVML query.

Part numbers as in NVIDIA's Jetson Linux developer guide, "Module and carrier board" tables
(https://docs.nvidia.com/jetson/archives/), and as collected by https://github.com/rbonghi/jetson_stats.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hardware.accelerators import Row, find_accelerator
from hardware.errors import UnknownDeviceError
from hardware.gpu_details import GpuDetails
from hardware.probes.gpu_report import GpuReport
from hardware.probes.kernel_files import KernelFolder
from hardware.spec import Accelerator, Gpu, Memory
from hardware.unified import shared_note
from hardware.units import GIB

# Module part number -> family, and the memory on the label where the part has one size only.
_MODULES = {
    "p3701-0000": ("Jetson AGX Orin", None),  # the developer kit came with 32 and with 64 GB
    "p3701-0004": ("Jetson AGX Orin", 32),
    "p3701-0005": ("Jetson AGX Orin", 64),
    "p3701-0008": ("Jetson AGX Orin", 64),  # Industrial
    "p3767-0000": ("Jetson Orin NX", 16),
    "p3767-0001": ("Jetson Orin NX", 8),
    "p3767-0003": ("Jetson Orin Nano", 8),
    "p3767-0004": ("Jetson Orin Nano", 4),
    "p3767-0005": ("Jetson Orin Nano", 8),
    "p3834-0008": ("Jetson AGX Thor", 128),
    "p2888-0004": ("Jetson AGX Xavier", 32),
    "p2888-0005": ("Jetson AGX Xavier", 64),
    "p3668-0000": ("Jetson Xavier NX", 8),
    "p3668-0001": ("Jetson Xavier NX", 8),
}
_FAMILIES = {"AGX Thor": "Jetson AGX Thor", "AGX Orin": "Jetson AGX Orin", "Orin NX": "Jetson Orin NX",
             "Orin Nano": "Jetson Orin Nano", "AGX Xavier": "Jetson AGX Xavier"}  # fmt: skip
_PART = re.compile(r"p\d{4}-\d{4}")
_RELEASE = re.compile(r"# R(\d{1,3}) \(release\), REVISION: (\d{1,3}(?:\.\d{1,3})*)")
_LABELS_GIB = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jetson:
    """A Jetson board: what it is called, the memory on its label, and the release of Jetson Linux."""

    board: str
    family: str
    label_bytes: int | None
    release: str | None

    @property
    def name(self) -> str:
        """Family and memory, as its profile is called: "Jetson AGX Orin 64GB"."""
        family = f"{self.family} Super" if "Super" in self.board else self.family
        return family if self.label_bytes is None else f"{family} {self.label_bytes // GIB}GB"


def read_jetson(root: Path = Path("/"), installed_bytes: int | None = None) -> Jetson | None:
    """The Jetson that this machine is, or None; `installed_bytes` settles modules sold with several sizes."""
    tree = KernelFolder(root / "proc/device-tree")
    board = tree.line("model")
    if board is None:
        tree = KernelFolder(root / "sys/firmware/devicetree/base")
        board = tree.line("model")
    parts = _PART.findall(tree.line("compatible") or "")
    module = next((_MODULES[part] for part in parts if part in _MODULES), None)
    if module is None:
        family = next((name for mark, name in _FAMILIES.items() if mark in (board or "")), None)
        if family is None:
            return None
        module = (family, None)
    family, label_gib = module
    label_bytes = None if label_gib is None else label_gib * GIB
    if label_bytes is None and installed_bytes is not None:
        # The kernel and firmware keep some, so the label is the next size that is sold.
        label_bytes = next((size * GIB for size in _LABELS_GIB if size * GIB >= installed_bytes), None)
    match = _RELEASE.search(KernelFolder(root / "etc").text("nv_tegra_release") or "")
    return Jetson(
        board=board or family,
        family=family,
        label_bytes=label_bytes,
        release=None if match is None else f"Jetson Linux {match.group(1)}.{match.group(2)}",
    )


def jetson_accelerator(jetson: Jetson, rows: Iterable[Row] | None = None) -> Accelerator | None:
    """The profile of a Jetson, None where there is none for its family and memory."""
    table = None if rows is None else tuple(rows)
    for name in (jetson.name, jetson.family):
        try:
            return find_accelerator(name, table, memory_bytes=jetson.label_bytes)
        except UnknownDeviceError:
            continue
    return None


def with_jetson_gpu(
    nvidia: GpuReport, jetson: Jetson, memory: Memory | None, accelerator: Accelerator | None
) -> GpuReport:
    """What NVML found on a Jetson, completed by the device tree: NVML calls the GPU "Orin (nvgpu)", or is absent."""
    total, free = (None, None) if memory is None else (memory.total_bytes, memory.available_bytes)
    if not nvidia.gpus:
        gpu = Gpu(
            index=0,
            name=jetson.name,
            memory_bytes=total,
            free_bytes=free,
            accelerator=accelerator,
            compute_capability=None if accelerator is None else accelerator.compute_capability,
            details=GpuDetails(driver_version=jetson.release, unified_memory=True),
        )
        # What NVML lacks here is the normal state of a Jetson, so its own remarks are dropped.
        lines = [shared_note(jetson.name, total)] if total is not None else []
        if accelerator is None:
            lines.append(
                f"no profile for {jetson.name!r}, so its speed is unknown; add a row to accelerators.csv"
            )
        return GpuReport(gpus=(gpu,), driver_version=jetson.release, problems=tuple(lines))
    gpus = tuple(
        replace(
            gpu,
            name=jetson.name,
            accelerator=gpu.accelerator or accelerator,
            memory_bytes=gpu.memory_bytes or total,
            free_bytes=free if gpu.free_bytes is None else gpu.free_bytes,
            problem=gpu.problem if gpu.memory_bytes or total is None else None,
        )
        if index == 0 and gpu.accelerator is None
        else gpu
        for index, gpu in enumerate(nvidia.gpus)
    )
    completed = gpus[0].accelerator is not None and nvidia.gpus[0].accelerator is None
    kept = [line for line in nvidia.problems if not (completed and "no profile for" in line)]
    return replace(nvidia, gpus=gpus, problems=tuple(kept))

"""The disk under a folder: which file system, how much is free, and what kind of device it is.

`disk_probe` measures how fast it reads. https://docs.kernel.org/filesystems/proc.html (mountinfo),
https://docs.kernel.org/block/queue-sysfs.html (rotational)
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hardware.host_details import Disk
from hardware.probes.kernel_files import KernelFolder, unescaped_path

Usage = Callable[[Path], tuple[int, int]]  # total and free bytes of the file system under a folder

_MAX_MOUNTS = 10_000
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "beegfs", "glusterfs", "gpfs", "virtiofs", "afs"}
)
_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
# What a hypervisor hands out; the kernel calls such disks rotating whatever they stand on.
_VIRTUAL = re.compile(r"(?:vd[a-z]+|xvd[a-z]+)\d*")
_VIRTUAL_VENDORS = re.compile(r"QEMU|VMware|Msft|Google|Amazon|VBOX", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mount:
    number: str  # major:minor of the device
    point: PurePosixPath
    kind: str
    device: str
    is_read_only: bool


def weights_folder(environ: Mapping[str, str], home: Path | None = None) -> Path:
    """Where large downloads go: the cache of huggingface_hub, which every engine of this planner can read.

    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    if environ.get("HF_HUB_CACHE"):
        return Path(environ["HF_HUB_CACHE"]).expanduser()
    if environ.get("HF_HOME"):
        return Path(environ["HF_HOME"]).expanduser() / "hub"
    cache = environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else (home or Path.home()) / ".cache") / "huggingface" / "hub"


def file_system_usage(folder: Path) -> tuple[int, int]:
    """Total bytes of the file system under `folder`, and what this user may still write."""
    usage = os.statvfs(folder)
    return usage.f_blocks * usage.f_frsize, usage.f_bavail * usage.f_frsize


def read_disk(
    folder: Path,
    root: Path = Path("/"),
    failures: list[str] | None = None,
    usage: Usage = file_system_usage,
) -> Disk:
    """The disk that `folder` lies on or would lie on; raises OSError where the system does not say."""
    existing = folder if folder.is_absolute() else Path.cwd() / folder
    while not (root / existing.relative_to("/")).exists() and existing != existing.parent:
        existing = existing.parent
    total, free = usage(root / existing.relative_to("/"))
    mount = _mount_of(root, PurePosixPath(os.path.realpath(existing) if root == Path("/") else existing))
    if mount is None:
        return Disk(folder=str(folder), mount_point=str(existing), total_bytes=total, free_bytes=free)
    device, kind = _device(root, mount, failures)
    return Disk(
        folder=str(folder),
        mount_point=str(mount.point),
        file_system=mount.kind,
        total_bytes=total,
        free_bytes=free,
        device=device,
        kind=kind,
        is_read_only=mount.is_read_only,
    )


def _mount_of(root: Path, folder: PurePosixPath) -> _Mount | None:
    """The mount that holds a folder: the longest path, and of equal ones the last mounted."""
    text = KernelFolder(root / "proc/self").text("mountinfo") or ""
    best: _Mount | None = None
    for line in text.splitlines()[:_MAX_MOUNTS]:
        before, separator, after = line.partition(" - ")
        fields, tail = before.split(), after.split()
        if not separator or len(fields) < 6 or len(tail) < 2:
            continue
        point = PurePosixPath(unescaped_path(fields[4]))
        if not folder.is_relative_to(point):
            continue
        if best is None or len(point.parts) >= len(best.point.parts):
            best = _Mount(
                number=fields[2],
                point=point,
                kind=tail[0],
                device=unescaped_path(tail[1]),
                is_read_only="ro" in fields[5].split(","),
            )
    return best


def _device(root: Path, mount: _Mount, failures: list[str] | None) -> tuple[str | None, str | None]:
    """Name and kind of the device under a mount."""
    if mount.kind in _NETWORK or mount.kind.startswith("fuse.sshfs"):
        return mount.device, "network"
    if mount.kind in _MEMORY:
        return None, "memory"
    folder = KernelFolder(root / "sys/dev/block" / mount.number, failures)
    if not folder.path.exists():  # ZFS, btrfs and overlays have a number of their own
        return (mount.device if mount.device.startswith("/dev/") else None), None
    name = folder.path.resolve().name if folder.path.is_symlink() else Path(mount.device).name
    whole = (
        folder if (folder.path / "queue").is_dir() else KernelFolder(folder.path.resolve().parent, failures)
    )
    return name, _kind(name, whole)


def _kind(name: str, disk: KernelFolder) -> str | None:
    if name.startswith("nvme"):
        # Cloud machines show network storage as NVMe too; the model then says so.
        model = disk.line("device/model") or ""
        return "virtual" if "Elastic Block Store" in model or "nvme_card-pd" in model else "NVMe"
    if _VIRTUAL.fullmatch(name) or _VIRTUAL_VENDORS.search(disk.line("device/vendor") or ""):
        return "virtual"
    rotational = disk.number("queue/rotational")
    return None if rotational is None else "rotating" if rotational else "solid state"

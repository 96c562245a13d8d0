"""Limits that a container or a service manager puts on this process: memory, processor time, processors.

Linux keeps them in control groups ("cgroups"), version 1, version 2, or both at once. A limit may sit on any
level between the process's own group and the root, so all levels are read and the tightest counts. Inside a
container the path that the kernel reports may not exist; then the mount itself is the container's own group.
https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TypeVar

from hardware.host_details import Container
from hardware.probes.kernel_files import unescaped_path
from hardware.units import MIB

Fact = TypeVar("Fact")

_MAX_CPUS = 65_536  # far beyond any machine; a larger number is a broken file
_MAX_FILE_BYTES = MIB  # these files hold a few lines; more is not one of them
_MAX_LEVELS = 64
_UNLIMITED_BYTES = 1 << 60  # version 1 writes a number near 2**63 where there is no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerLimits:
    """The tightest limits on this process, None where there is none, and the file that states each."""

    memory_limit_bytes: int | None = None
    memory_limit_source: str | None = None
    memory_headroom_bytes: int | None = None  # what may still be taken within the limits
    n_cpus_quota: float | None = None
    cpu_quota_source: str | None = None
    n_cpuset_cpus: int | None = None
    cpuset_cpus: str | None = None  # the same as the kernel lists them, "0-3,8"
    swap_limit_bytes: int | None = None  # swap on top of memory; 0 where swapping is off
    cgroup_version: int | None = None  # of the hierarchy that holds the memory limits


@dataclass(frozen=True, slots=True)
class _Mount:
    """One mounted hierarchy: where it is, which part of it is mounted there, what it controls."""

    point: PurePosixPath
    shown: PurePosixPath  # the group that appears at the mount point, "/" for the whole hierarchy
    version: int
    controllers: frozenset[str]


def read_limits(
    root: Path = Path("/"), total_bytes: int | None = None, failures: list[str] | None = None
) -> ContainerLimits:
    """The limits on this process; `total_bytes` is installed memory, above which a limit limits nothing.

    Raises OSError where a file cannot be read, and ValueError where one holds something else than it should;
    with `failures`, that costs a line there and the other files still count.
    """
    own_paths = _own_paths(root)
    mounts = _mounts(root)
    unlimited_bytes = total_bytes if total_bytes is not None else _UNLIMITED_BYTES
    limits: list[tuple[int, str]] = []
    headrooms: list[int] = []
    quotas: list[tuple[float, str]] = []
    cpusets: list[tuple[int, str]] = []
    swaps: list[int] = []
    versions: list[int] = []
    for mount in mounts:
        groups = list(_groups(root, mount, own_paths))
        if mount.version == 2 or "memory" in mount.controllers:
            read = _memory_v2 if mount.version == 2 else _memory_v1
            for group in groups:
                stated = _told(lambda: read(group, unlimited_bytes), failures) or []  # noqa: B023
                limits += [(bound, _shown(root, file)) for bound, file in stated]
                used = _told(lambda: _used_bytes(group, mount.version), failures)  # noqa: B023
                if used is not None:
                    versions.append(mount.version)
                    headrooms += [max(0, bound - used) for bound, _ in stated]
                swap = _told(lambda: _swap(group, mount.version), failures)  # noqa: B023
                if swap is not None and swap < unlimited_bytes:
                    swaps.append(swap)
        if mount.version == 2 or "cpu" in mount.controllers:
            quota_of = _quota_v2 if mount.version == 2 else _quota_v1
            for group in groups:
                found = _told(lambda: quota_of(group), failures)  # noqa: B023
                if found is not None:
                    quotas.append((found[0], _shown(root, found[1])))
        if mount.version == 2 or "cpuset" in mount.controllers:
            sets = (_told(lambda: _cpuset(group), failures) for group in groups)  # noqa: B023
            cpusets += islice((known for known in sets if known is not None), 1)
            # Only the innermost: an effective set already lies within its parents'.
    limit = min(limits, default=(None, None), key=lambda pair: pair[0])
    quota = min(quotas, default=(None, None), key=lambda pair: pair[0])
    cpuset = min(cpusets, default=(None, None), key=lambda pair: pair[0])
    return ContainerLimits(
        memory_limit_bytes=limit[0],
        memory_limit_source=limit[1],
        memory_headroom_bytes=min(headrooms, default=None),
        n_cpus_quota=quota[0],
        cpu_quota_source=quota[1],
        n_cpuset_cpus=cpuset[0],
        cpuset_cpus=cpuset[1],
        swap_limit_bytes=min(swaps, default=None),
        cgroup_version=min(versions, default=None),
    )


def _told(read: Callable[[], Fact], failures: list[str] | None) -> Fact | None:
    """What a file states; a file that cannot be understood is raised, or noted where somebody collects."""
    try:
        return read()
    except (OSError, ValueError) as error:
        if failures is None:
            raise
        failures.append(" ".join(str(error).split()))
        return None


def parse_cpu_list(text: str) -> frozenset[int]:
    """Processor numbers of a kernel list such as "0-3,8"; raises ValueError for anything else."""
    numbers: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.strip().split(","))):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{text[:80]!r} is not a list of processors such as 0-3,8")
        start, end = int(first), int(last) if dash else int(first)
        if end < start or end > _MAX_CPUS:
            raise ValueError(f"{text[:80]!r} is not a list of processors such as 0-3,8")
        numbers.update(range(start, end + 1))
    return frozenset(numbers)


def _own_paths(root: Path) -> dict[str, PurePosixPath]:
    """The group of this process per controller; "" stands for version 2. Lines read "4:memory:/some/group"."""
    text = _text(root / "proc/self/cgroup")
    paths: dict[str, PurePosixPath] = {}
    for line in (text or "").splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            for controller in fields[1].split(","):
                paths[controller] = PurePosixPath(fields[2])
    return paths


def _mounts(root: Path) -> list[_Mount]:
    """The mounted hierarchies; the usual place of version 2 where the kernel's list is absent."""
    text = _text(root / "proc/self/mountinfo")
    if text is None:
        usual = PurePosixPath("/sys/fs/cgroup")
        if not (root / "sys/fs/cgroup/cgroup.controllers").exists():
            return []
        return [_Mount(usual, PurePosixPath("/"), 2, frozenset())]
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if not separator or len(fields) < 5 or not kind or kind[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = frozenset(kind[2].split(",")) if len(kind) > 2 else frozenset[str]()
        shown, point = (PurePosixPath(unescaped_path(field)) for field in fields[3:5])
        mounts.append(_Mount(point, shown, 2 if kind[0] == "cgroup2" else 1, controllers))
    return mounts


def _groups(root: Path, mount: _Mount, own_paths: dict[str, PurePosixPath]) -> Iterator[Path]:
    """The folders from this process's own group up to the mount point; some may not be visible from here."""
    top = root / mount.point.relative_to("/")
    names = [""] if mount.version == 2 else sorted(mount.controllers & own_paths.keys())
    own = next((own_paths[name] for name in names if name in own_paths), None)
    levels: tuple[str, ...] = ()
    if own is not None and ".." not in own.parts and own.is_relative_to(mount.shown):
        # Inside a container this may be a path of the host: those folders are then absent and state nothing.
        levels = own.relative_to(mount.shown).parts[:_MAX_LEVELS]
    for depth in range(len(levels), -1, -1):
        yield top.joinpath(*levels[:depth])


def _memory_v2(group: Path, unlimited_bytes: int) -> list[tuple[int, Path]]:
    # Above memory.high a program is slowed down until it gives memory back: for planning that is a limit too.
    found = []
    for name in ("memory.max", "memory.high"):
        value = _whole(group / name, unlimited_word="max")
        if value is not None and value < unlimited_bytes:
            found.append((value, group / name))
    return found


def _memory_v1(group: Path, unlimited_bytes: int) -> list[tuple[int, Path]]:
    found = []
    value = _whole(group / "memory.limit_in_bytes")
    if value is not None and value < unlimited_bytes:  # "unlimited" is a number near 2**63 here
        found.append((value, group / "memory.limit_in_bytes"))
    # The tightest limit of all ancestors, also of those that cannot be seen from inside a container.
    value = _statistic(group / "memory.stat", "hierarchical_memory_limit")
    if value is not None and value < unlimited_bytes and not any(value == known for known, _ in found):
        found.append((value, group / "memory.stat"))
    return found


def _used_bytes(group: Path, version: int) -> int | None:
    """Memory that cannot be taken back at once: all of it but the file cache that nobody touched lately."""
    current, cache = (
        ("memory.current", "inactive_file")
        if version == 2
        else ("memory.usage_in_bytes", "total_inactive_file")
    )
    used = _whole(group / current)
    if used is None:
        return None
    return max(0, used - (_statistic(group / "memory.stat", cache) or 0))


def _quota_v2(group: Path) -> tuple[float, Path] | None:
    """Processors' worth of time per period: "150000 100000" is 1.5; "max 100000" is no quota."""
    file = group / "cpu.max"
    text = _text(file)
    if text is None:
        return None
    fields = text.split()
    if fields and fields[0] == "max":
        return None
    if len(fields) != 2 or not all(field.isdecimal() and int(field) > 0 for field in fields):
        raise ValueError(f"{file} holds {text[:80]!r}, not a quota and a period")
    return int(fields[0]) / int(fields[1]), file


def _quota_v1(group: Path) -> tuple[float, Path] | None:
    file = group / "cpu.cfs_quota_us"
    quota, period = _whole(file, unlimited_word="-1"), _whole(group / "cpu.cfs_period_us")
    return None if not quota or not period else (quota / period, file)


def _swap(group: Path, version: int) -> int | None:
    """Swap that may be used on top of memory: version 2 says so, version 1 limits the sum of both."""
    if version == 2:
        return _whole(group / "memory.swap.max", unlimited_word="max")
    both, memory = _whole(group / "memory.memsw.limit_in_bytes"), _whole(group / "memory.limit_in_bytes")
    if both is None or memory is None or both >= _UNLIMITED_BYTES:
        return None
    return max(0, both - memory)


def _cpuset(group: Path) -> tuple[int, str] | None:
    for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
        text = _text(group / name)
        if text is not None and text.strip():
            return len(parse_cpu_list(text)), text.strip()
    return None


def _whole(file: Path, unlimited_word: str | None = None) -> int | None:
    """The whole number in a file; None without the file or where it says that there is no limit."""
    text = _text(file)
    if text is None or text.strip() == unlimited_word:
        return None
    if not text.strip().isdecimal():
        raise ValueError(f"{file} holds {text[:80]!r}, not a whole number")
    return int(text)


def _statistic(file: Path, name: str) -> int | None:
    for line in (_text(file) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdecimal():
            return int(value)
    return None


def _text(file: Path) -> str | None:
    """A small text file, or None when there is none."""
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(_MAX_FILE_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _shown(root: Path, file: Path) -> str:
    """The file as the machine itself names it, without the root of a test."""
    return f"/{file.relative_to(root)}"


def read_container(
    root: Path = Path("/"),
    limits: ContainerLimits | None = None,
    environ: Mapping[str, str] | None = None,
    n_online_cpus: int | None = None,
) -> Container | None:
    """The container that this process lives in and its limits; None on a machine that sets none.

    A processor set that names every processor of the machine is no limit.
    """
    limits, environ = limits or ContainerLimits(), environ or {}
    kind = _kind(root, environ)
    all_cpus = n_online_cpus is not None and limits.n_cpuset_cpus == n_online_cpus
    cpus = None if all_cpus else limits.cpuset_cpus
    if kind is None and (limits.memory_limit_bytes, limits.n_cpus_quota, cpus) == (None, None, None):
        return None
    return Container(
        kind=kind,
        cgroup_version=limits.cgroup_version,
        n_cpus_quota=limits.n_cpus_quota,
        cpu_quota_source=limits.cpu_quota_source,
        cpus=cpus,
        memory_limit_bytes=limits.memory_limit_bytes,
        memory_limit_source=limits.memory_limit_source,
        swap_limit_bytes=limits.swap_limit_bytes,
        pod=environ.get("HOSTNAME") if kind == "Kubernetes" else None,
    )


def _kind(root: Path, environ: Mapping[str, str]) -> str | None:
    """What runs this container, by the traces that each leaves; the order is from the outside in."""
    if (
        environ.get("KUBERNETES_SERVICE_HOST")
        or (root / "var/run/secrets/kubernetes.io/serviceaccount").is_dir()
    ):
        return "Kubernetes"
    if (root / "run/.containerenv").exists():
        return "Podman"
    if (root / ".dockerenv").exists():
        return "Docker"
    named = {"lxc": "LXC", "podman": "Podman", "docker": "Docker", "systemd-nspawn": "systemd-nspawn"}
    told = environ.get("container") or (_text(root / "run/systemd/container") or "").strip()
    if told in named:
        return named[told]
    groups = _text(root / "proc/self/cgroup") or ""
    marks = {"kubepods": "Kubernetes", "docker": "Docker", "libpod": "Podman", "lxc": "LXC"}
    return next((name for mark, name in marks.items() if mark in groups), None)

"""What a host has beyond processor, cores and memory size: NUMA nodes, core kinds, huge pages, disk, container.

The records are plain numbers, words and tuples, so that they can be written as JSON and read back; None is unknown.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """A group of processors and the memory next to them; memory of another node is slower to reach."""

    index: int
    cpus: str  # the kernel's list, such as "0-31,64-95"; "" for a node that has only memory
    n_threads: int
    memory_bytes: int | None = None
    free_bytes: int | None = None
    distances: tuple[int, ...] = ()  # to every node in turn; 10 is local, 20 costs twice as much


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreKind:
    """Cores of one kind on a processor that mixes them, fastest kind first."""

    name: str  # "performance", "efficiency", "ARM Cortex-X925"
    n_threads: int
    n_cores: int | None = None
    max_hz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuDetails:
    """How the processors are laid out and clocked, and whether they are real."""

    n_online_threads: int  # of the machine; what this process may use can be fewer
    n_threads_per_core: int | None = None
    numa_nodes: tuple[NumaNode, ...] = ()
    core_kinds: tuple[CoreKind, ...] = ()  # empty when all cores are alike
    governor: str | None = None  # "performance", "powersave", "schedutil"
    frequency_driver: str | None = None
    is_virtual: bool | None = None  # a virtual machine: cores and bandwidth are shared with others
    hypervisor: str | None = None  # "KVM", "Xen", "Amazon EC2", where something says so


@dataclass(frozen=True, slots=True, kw_only=True)
class HugePages:
    """Pages of one size that were set aside, and how many of them are free."""

    page_bytes: int
    n_total: int
    n_free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryModules:
    """The memory modules as firmware or memory controller describe them."""

    source: str  # which file said so
    n_modules: int | None = None
    n_channels: int | None = None  # that hold at least one module
    kind: str | None = None  # "DDR5", "LPDDR5"
    transfers_per_s: float | None = None  # as configured, not as printed on the module
    channel_bits: int | None = None  # without error correction
    size_bytes: int | None = None

    @property
    def bytes_per_s(self) -> float | None:
        """What the modules can deliver in theory: channels · width · transfers; None unless all are known."""
        if self.n_channels is None or self.channel_bits is None or self.transfers_per_s is None:
            return None
        return self.n_channels * self.channel_bits / 8 * self.transfers_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDetails:
    """How main memory may be used: page sizes, locking, and the modules it is made of."""

    huge_pages: tuple[HugePages, ...] = ()
    transparent_huge_pages: str | None = None  # "always", "madvise" or "never"
    lock_is_unlimited: bool | None = None  # whether this process may lock (pin) all memory
    lock_limit_bytes: int | None = None  # how much it may lock otherwise
    modules: MemoryModules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The disk under one folder: file system, free space, and what kind of device it is."""

    folder: str
    mount_point: str
    file_system: str | None = None  # "ext4", "zfs", "nfs4", "apfs"
    total_bytes: int | None = None
    free_bytes: int | None = None  # for this user
    device: str | None = None  # "nvme0n1", "server:/export"
    kind: str | None = None  # "NVMe", "solid state", "rotating", "virtual", "network", "memory"
    is_read_only: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The container or group of processes that this one lives in, and what it may use."""

    kind: str | None = None  # "Kubernetes", "Docker", "Podman", "LXC"; None for plain process groups
    cgroup_version: int | None = None  # 1, 2; 1 also where both are mounted and 1 holds the limits
    n_cpus_quota: float | None = None  # processors' worth of time
    cpu_quota_source: str | None = None
    cpus: str | None = None  # the processors it may run on, "0-3,8"
    memory_limit_bytes: int | None = None
    memory_limit_source: str | None = None
    swap_limit_bytes: int | None = None  # swap on top of the memory limit
    pod: str | None = None  # name of the Kubernetes pod

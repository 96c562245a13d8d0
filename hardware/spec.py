"""What a machine is: frozen records, in base units, with None for what nobody knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from hardware.gpu_details import GpuDetails
from hardware.host_details import Container, CpuDetails, Disk, MemoryDetails
from hardware.interconnect import Interconnect, NetworkLink

_DISTURBED = 0.15  # of the threads that measured


class Basis(StrEnum):
    """How well a number is known, best first; a sum is only as good as its weakest part."""

    MEASURED = "measured"
    VENDOR = "vendor"
    GIVEN = "given"  # by the person who asks, for a device that no profile knows
    DERIVED = "derived"
    ASSUMED = "assumed"

    @property
    def rank(self) -> int:
        """0 for the best basis; larger is weaker."""
        return list(Basis).index(self)


def weakest(*bases: Basis) -> Basis:
    """The basis of a number computed from others."""
    return max(bases, key=lambda basis: basis.rank, default=Basis.DERIVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """What one device can do, as its vendor states it. Derating is calibration, not spec.

    `dense_flop_per_s` maps "fp16", "bf16", "fp8", "fp4", "int8" to rates without structured sparsity and
    with FP32 accumulation; `memory_bytes` is what the driver reports, not the number on the box.
    """

    id: str
    name: str
    vendor: str
    architecture: str
    memory_bytes: int
    memory_bytes_per_s: float
    dense_flop_per_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    power_w: float | None = None
    unified_memory: bool = False
    memory_type: str | None = None
    compute_capability: str | None = None
    vector_flop_per_s: float | None = None  # fp32, outside the matrix cores
    link_bytes_per_s: float | None = None  # one way
    pcie_bytes_per_s: float | None = None  # one way, all lanes of the slot it is made for
    memory_basis: Basis = Basis.VENDOR
    bandwidth_basis: Basis = Basis.VENDOR
    flop_basis: Basis = Basis.VENDOR  # derived where it is cores x clock x rate, assumed for estimates
    status: str = "agree"  # how far independent sources agree; see profiles/accelerators.csv
    source: str = ""

    def __post_init__(self) -> None:
        if self.memory_bytes <= 0 or self.memory_bytes_per_s <= 0:
            raise ValueError(f"{self.id}: memory size and bandwidth must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRate:
    """A rate measured on this machine, with what is needed to trust it."""

    per_s: float
    method: str  # with what, over how much
    n_threads: int
    n_samples: int
    spread_fraction: float  # (best − lower quartile) / best over the samples
    measured_at: str  # ISO 8601, UTC
    pages: str | None = None  # what the memory that was read is made of, where the system tells: "huge pages"
    n_busy_elsewhere: float | None = None  # processors that other programs kept busy meanwhile, on average

    @property
    def was_disturbed(self) -> bool:
        """Whether other programs took so much of the processors that this rate may be far too low."""
        return self.n_busy_elsewhere is not None and self.n_busy_elsewhere > _DISTURBED * self.n_threads


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCopies:
    """How fast one GPU copies, in bytes per second, as a framework or driver on this machine measured it.

    `within` counts what is read and what is written, as a data sheet's bandwidth does; the other two go one way
    between the GPU and page-locked main memory. None is what could not be measured.
    """

    within: MeasuredRate | None = None
    from_host: MeasuredRate | None = None
    to_host: MeasuredRate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU of a machine: what its driver says now, and the profile that its name matched, if any."""

    index: int
    name: str
    memory_bytes: int | None
    free_bytes: int | None
    accelerator: Accelerator | None
    uuid: str | None = None
    backend: str = "cuda"  # cuda | rocm | metal | vulkan | sycl
    compute_capability: str | None = None
    power_limit_w: float | None = None
    mig_profile: str | None = None  # set when this is a MIG slice, e.g. "1g.10gb"
    problem: str | None = None  # one line, when the device answered only in part
    reserved_bytes: int | None = None  # what the driver keeps of `memory_bytes` for itself
    details: GpuDetails | None = None  # clocks, power, links, peers, users; None for a described machine
    copies: GpuCopies | None = None  # as measured on this very device
    network: NetworkLink | None = None  # to another machine that lends it; None for one's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processors that this process may use."""

    model: str
    n_sockets: int | None
    n_physical_cores: int | None
    n_usable_threads: int
    instruction_sets: tuple[str, ...] = ()  # subset of avx2, avx512f, avx512_vnni, amx_int8, sve, neon …
    cache_l3_bytes: int | None = None
    max_hz: float | None = None
    details: CpuDetails | None = None  # NUMA nodes, core kinds, governor, hypervisor


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Main memory: what is installed, what limits this process, what is free now."""

    total_bytes: int
    available_bytes: int
    limit_bytes: int | None = None  # tightest cgroup limit up to the root, None without one
    limit_source: str | None = None  # which file said so
    swap_total_bytes: int = 0
    details: MemoryDetails | None = None  # huge pages, locking, modules

    @property
    def usable_bytes(self) -> int:
        """What this process could ever get: installed memory or the container's limit."""
        return self.total_bytes if self.limit_bytes is None else min(self.total_bytes, self.limit_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine, inspected or described. `problems` are one-line notes of probes that failed."""

    name: str
    cpu: Cpu | None
    memory: Memory | None
    gpus: tuple[Gpu, ...] = ()
    memory_bandwidth: MeasuredRate | None = None  # bytes per second, CPU
    mapped_read: MeasuredRate | None = None  # bytes per second, CPU, of a mapped file, as weights are read
    matrix_throughput: MeasuredRate | None = None  # FLOP per second, CPU, fp32
    described: bool = False  # True when it came from words, not from a probe
    os: str | None = None
    gpu_driver: str | None = None
    problems: tuple[str, ...] = ()
    # Main memory as its modules promise it; what was measured here is `memory_bandwidth`.
    cpu_memory_bytes_per_s: float | None = None
    cpu_memory_basis: Basis | None = None
    container: Container | None = None  # None outside one
    disk: Disk | None = None  # where downloaded weights would lie
    disk_read_bytes_per_s: MeasuredRate | None = None  # sequential, past the cache
    interconnect: Interconnect | None = None  # of a profiled whole machine

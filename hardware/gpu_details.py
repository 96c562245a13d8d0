"""What a GPU's driver says beyond its name and memory: clocks, power, links, peers, users, modes.

Every vendor's probe fills the same record as far as its driver answers; None means that nobody said.
All fields are plain numbers, words and tuples, so that the record can be written as JSON and read back.
"""

from dataclasses import dataclass

from hardware.units import GB

# One way, per lane, after line coding; generation 6 also pays for its error correction. The rates in GT/s
# are 2.5, 5, 8, 16, 32 and 64 (PCI Express Base Specification 6.0, table of data rates).
_PCIE_LANE_BYTES_PER_S = {
    1: 2.5 * GB / 8 * 8 / 10,
    2: 5.0 * GB / 8 * 8 / 10,
    3: 8.0 * GB / 8 * 128 / 130,
    4: 16.0 * GB / 8 * 128 / 130,
    5: 32.0 * GB / 8 * 128 / 130,
    6: 64.0 * GB / 8 * 242 / 256,
}


def pcie_bytes_per_s(generation: int | None, width: int | None) -> float | None:
    """What a PCI Express link carries one way, before packet headers; None for an unknown link."""
    lane = None if generation is None else _PCIE_LANE_BYTES_PER_S.get(generation)
    return None if lane is None or not width else lane * width


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """How fast the chip and its memory are clocked now and could be at most."""

    core_hz: float | None = None
    core_max_hz: float | None = None
    memory_hz: float | None = None
    memory_max_hz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What the board draws, what it may draw, and what it may draw when nobody has set anything."""

    draw_w: float | None = None
    limit_w: float | None = None
    default_limit_w: float | None = None
    max_limit_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PcieLink:
    """The link to the host: what it runs at now, and what card and slot could do together.

    Idle cards lower the generation to save power; the width stays.
    """

    address: str | None = None  # "0000:17:00.0", in lower case
    generation: int | None = None
    max_generation: int | None = None
    width: int | None = None
    max_width: int | None = None

    @property
    def bytes_per_s(self) -> float | None:
        """One way, as the link runs now."""
        return pcie_bytes_per_s(self.generation, self.width)

    @property
    def max_bytes_per_s(self) -> float | None:
        """One way, at the best that card and slot can do together."""
        return pcie_bytes_per_s(self.max_generation, self.max_width)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLinks:
    """Direct links of one GPU other than PCI Express: NVLink, NVLink-C2C to the processor, xGMI, Xe Link."""

    kind: str  # "NVLink", "NVLink-C2C", "xGMI", "Xe Link"
    n_links: int  # fitted, as far as the driver tells
    n_active: int
    version: str | None = None  # "4.0"
    bytes_per_s_each: float | None = None  # one way, one link, as the driver states it
    to_switch: bool | None = None  # the links end in a switch (NVSwitch), so every peer is one hop away

    @property
    def bytes_per_s(self) -> float | None:
        """One way, over all active links together."""
        return None if self.bytes_per_s_each is None else self.bytes_per_s_each * self.n_active


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPeer:
    """Another GPU of the machine as seen from this one: how it is reached, and whether memory can be read."""

    index: int
    link: str | None = None  # "NVLink", "NVSwitch", "xGMI", "PCIe"; None when unknown
    n_links: int | None = None  # direct links between the two; None where a switch is between
    peer_access: bool | None = None  # whether one GPU may read the other's memory without the host
    why_not: str | None = None  # the driver's reason when `peer_access` is False
    distance: str | None = None  # "same board", "one PCIe switch", …, "across sockets"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process that holds memory of the GPU; bytes are None where the driver does not tell."""

    pid: int
    name: str | None = None
    used_bytes: int | None = None
    kind: str = "compute"  # "compute", "graphics", or "compute and graphics"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigSlice:
    """How a MIG slice is cut: its GPU instance owns the memory, its compute instance the processors."""

    gpu_instance: int | None = None
    compute_instance: int | None = None
    n_gpu_slices: int | None = None
    n_compute_slices: int | None = None
    n_multiprocessors: int | None = None
    instance_memory_bytes: int | None = None  # of the whole GPU instance
    shares_memory: bool = False  # another compute instance lives in the same memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The NVSwitch fabric that the GPU has joined, or not; GPUs of one cluster and clique reach each other."""

    state: str  # "not started", "in progress", "completed", "not supported"
    error: str | None = None  # why registration failed
    cluster: str | None = None  # UUID of the NVLink domain
    clique: int | None = None
    health: tuple[str, ...] = ()  # what is wrong, in words; empty when healthy or not told

    @property
    def is_ready(self) -> bool:
        """Whether the GPU may use its NVLinks through the switches."""
        return self.state == "completed" and self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidentialComputing:
    """Whether the GPU keeps its memory from the host, and how much of it is protected."""

    enabled: bool
    environment: str | None = None  # "production", "simulation"
    multi_gpu: str | None = None  # "protected PCIe", "NVLink encryption"
    protected_bytes: int | None = None
    protected_free_bytes: int | None = None
    unprotected_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDetails:
    """Everything else that a driver says about one GPU; a query it refuses leaves only its own field empty."""

    architecture: str | None = None  # "Hopper", "gfx942"
    driver_version: str | None = None
    runtime_version: str | None = None  # newest CUDA or ROCm that this driver can run: "12.8"
    clocks: Clocks | None = None
    throttle_reasons: tuple[str, ...] | None = None  # () when nothing holds it back; None when not told
    utilization_fraction: float | None = None
    temperature_c: float | None = None
    power: Power | None = None
    pcie: PcieLink | None = None
    links: tuple[GpuLinks, ...] = ()
    peers: tuple[GpuPeer, ...] = ()
    fabric: Fabric | None = None
    numa_node: int | None = None  # of the host, nearest to the GPU
    ecc: bool | None = None  # error correction of its memory is on
    ecc_pending: bool | None = None  # what a restart would make of it
    confidential: ConfidentialComputing | None = None
    mig_enabled: bool | None = None
    mig_slice: MigSlice | None = None  # set when this Gpu is a slice
    virtualization: str | None = None  # "passthrough", "vGPU", "host of vGPUs"; None on bare metal
    processes: tuple[GpuProcess, ...] | None = None  # None when the driver does not tell
    unified_memory: bool | None = None  # the GPU has no memory of its own; True also for Jetson and GB10
    host_visible_bytes: int | None = None  # main memory that the GPU may map (GTT); AMD, Intel
    not_answered: tuple[str, ...] = ()  # one line per question that failed (not: that is unsupported)

"""What AMD's compute driver (KFD) says: compute identity, memory that ROCm may use, and xGMI links.

The order of its nodes is the order in which ROCm counts GPUs. A display card without a node cannot compute with ROCm.
https://docs.kernel.org/gpu/amdgpu/, kernel sources drivers/gpu/drm/amd/amdkfd/kfd_topology.c and kfd_crat.c
"""

from dataclasses import dataclass
from pathlib import Path

from hardware.gpu_details import GpuProcess
from hardware.probes.kernel_files import KernelFolder
from hardware.units import MB, MEGA

_XGMI = 11  # HSA_IOLINKTYPE_XGMI; 2 is PCI Express
_PCIE = 2
_HOP_WEIGHT = 15  # what kfd_crat.c counts for each xGMI hop between two GPUs; 13 for two parts of one package
_PUBLIC_HEAPS = (1, 2)  # the GPU's own memory, with and without the host seeing it


@dataclass(frozen=True, slots=True, kw_only=True)
class KfdLink:
    """A way from one GPU node to another: an xGMI link, or PCI Express with peer access."""

    node: int
    is_xgmi: bool
    n_hops: int | None = None
    n_links: int | None = None
    bytes_per_s_each: float | None = None  # one way


@dataclass(frozen=True, slots=True, kw_only=True)
class KfdNode:
    """One GPU of the compute driver."""

    node: int
    gpu_id: int | None
    gfx: str  # "gfx942"
    n_compute_units: int | None
    n_parts: int  # XCDs that work as this one device
    domain: int
    location: int  # bus number · 256 + device · 8 + function
    render_minor: int | None
    memory_bytes: int | None  # what ROCm may allocate
    max_hz: float | None
    unique_id: int | None
    hive_id: int | None
    links: tuple[KfdLink, ...] = ()

    @property
    def address(self) -> str:
        """As lspci prints it: "0000:03:00.0"."""
        bus, device = self.location >> 8 & 0xFF, self.location >> 3 & 0x1F
        return f"{self.domain:04x}:{bus:02x}:{device:02x}.{self.location & 7}"

    @property
    def uuid(self) -> str | None:
        """The name that ROCR_VISIBLE_DEVICES takes: GPU- and 16 digits."""
        return None if self.unique_id is None else f"GPU-{self.unique_id:016x}"


def read_kfd_nodes(root: Path, failures: list[str] | None = None) -> list[KfdNode]:
    """The GPU nodes in the driver's order; none without the driver."""
    own: list[str] = []
    parent = KernelFolder(root / "sys/class/kfd/kfd/topology/nodes", own)
    found = []
    for folder in parent.folders("[0-9]*"):
        values = folder.properties("properties")
        version = values.get("gfx_target_version")
        if not version or not values.get("simd_count"):
            continue  # a processor
        found.append(_node(folder, values, version))
    if failures is not None:  # nodes of GPUs that a container was not given may not be read: that is normal
        failures += [line for line in own if "permitted" not in line and "denied" not in line]
    return found


def read_kfd_processes(root: Path, node: KfdNode) -> tuple[GpuProcess, ...]:
    """The processes that compute on a GPU, and how much of its memory each holds."""
    if node.gpu_id is None:
        return ()
    found = []
    for folder in KernelFolder(root / "sys/class/kfd/kfd/proc").folders("[0-9]*"):
        used = folder.number(f"vram_{node.gpu_id}")
        if used:
            pid = int(folder.path.name)
            name = KernelFolder(root / f"proc/{pid}").line("comm")
            found.append(GpuProcess(pid=pid, name=name, used_bytes=used))
    return tuple(found)


def gfx_name(version: int) -> str:
    """The compiler's name of a version number: 90402 is gfx942, 90010 is gfx90a, 110501 is gfx1151."""
    return f"gfx{version // 10_000}{version // 100 % 100:x}{version % 100:x}"


def _node(folder: KernelFolder, values: dict[str, int], version: int) -> KfdNode:
    per_unit = values.get("simd_per_cu") or 0
    clock = values.get("max_engine_clk_fcompute")
    banks = [bank.properties("properties") for bank in folder.folders("mem_banks/[0-9]*")]
    sizes = [bank.get("size_in_bytes", 0) for bank in banks if bank.get("heap_type") in _PUBLIC_HEAPS]
    return KfdNode(
        node=int(folder.path.name),
        gpu_id=folder.number("gpu_id") or None,
        gfx=gfx_name(version),
        n_compute_units=values["simd_count"] // per_unit if per_unit else None,
        n_parts=values.get("num_xcc") or 1,
        domain=values.get("domain", 0),
        location=values.get("location_id", 0),
        render_minor=values.get("drm_render_minor") or None,
        memory_bytes=sum(sizes) or None,
        max_hz=float(clock * MEGA) if clock else None,
        unique_id=values.get("unique_id") or None,
        hive_id=values.get("hive_id") or None,
        links=(*_links(folder, "io_links"), *_links(folder, "p2p_links")),
    )


def _links(folder: KernelFolder, name: str) -> list[KfdLink]:
    found = []
    for link in folder.folders(f"{name}/[0-9]*"):
        values = link.properties("properties")
        to, kind = values.get("node_to"), values.get("type")
        if to is None or kind not in (_XGMI, _PCIE):
            continue
        if kind == _PCIE:
            if name == "p2p_links":  # the other list names the way to the processor
                found.append(KfdLink(node=to, is_xgmi=False))
            continue
        least, most = values.get("min_bandwidth") or 0, values.get("max_bandwidth") or 0
        weight = values.get("weight", 0)
        found.append(
            KfdLink(
                node=to,
                is_xgmi=True,
                n_hops=max(1, round(weight / _HOP_WEIGHT)) if weight else None,
                n_links=most // least if least else None,  # the least is one link's, the most all links'
                bytes_per_s_each=float(least * MB) if least else None,
            )
        )
    return found

"""NUMA nodes: which processors and how much memory lie next to each other.

https://docs.kernel.org/admin-guide/abi-stable.html (/sys/devices/system/node)
"""

from pathlib import Path

from hardware.host_details import NumaNode
from hardware.probes.container import parse_cpu_list
from hardware.probes.kernel_files import KernelFolder
from hardware.units import KIB


def read_numa_nodes(root: Path = Path("/"), failures: list[str] | None = None) -> tuple[NumaNode, ...]:
    """The NUMA nodes of a Linux machine; none where the kernel was built without them."""
    parent = KernelFolder(root / "sys/devices/system/node", failures)
    nodes = []
    for folder in parent.folders("node[0-9]*"):
        cpus = folder.line("cpulist") or ""
        try:
            n_threads = len(parse_cpu_list(cpus))
        except ValueError as error:
            folder.failures.append(f"{folder.path.name}/cpulist: {error}")
            continue
        sizes = _sizes(folder.text("meminfo") or "")
        distances = (folder.line("distance") or "").split()
        nodes.append(
            NumaNode(
                index=int(folder.path.name.removeprefix("node")),
                cpus=cpus,
                n_threads=n_threads,
                memory_bytes=sizes.get("MemTotal"),
                free_bytes=sizes.get("MemFree"),
                distances=tuple(int(value) for value in distances if value.isdecimal() and len(value) < 5),
            )
        )
    return tuple(nodes)


def _sizes(text: str) -> dict[str, int]:
    """Bytes per line of a node's meminfo, which reads "Node 0 MemTotal:  15296716 kB"."""
    sizes = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        fields = rest.split()
        if len(fields) == 2 and fields[1] == "kB" and fields[0].isdecimal() and len(fields[0]) < 16:
            sizes[name.split()[-1] if name.split() else ""] = int(fields[0]) * KIB
    return sizes

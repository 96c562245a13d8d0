"""How the processors are laid out: NUMA nodes, kinds of cores, governor, and whether they are virtual.

https://docs.kernel.org/admin-guide/pm/cpufreq.html (scaling_governor),
https://docs.kernel.org/admin-guide/cputopology.html
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hardware.host_details import CoreKind, CpuDetails
from hardware.probes.arm_parts import arm_core_name
from hardware.probes.container import parse_cpu_list
from hardware.probes.kernel_files import KernelFolder
from hardware.probes.numa import read_numa_nodes
from hardware.units import KB

# What firmware calls a machine that is none. https://www.freedesktop.org/software/systemd/man/systemd-detect-virt.html
_VIRTUAL_BOARDS = {
    "QEMU": "QEMU", "KVM": "KVM", "Amazon EC2": "Amazon EC2", "Google Compute Engine": "Google Compute Engine",
    "VMware": "VMware", "innotek GmbH": "VirtualBox", "Xen": "Xen", "Parallels": "Parallels", "BHYVE": "bhyve",
    "Virtual Machine": "Hyper-V", "OpenStack": "OpenStack", "DigitalOcean": "DigitalOcean", "Hetzner": "Hetzner",
}  # fmt: skip
_INTEL_KINDS = {"cpu_core": "performance", "cpu_atom": "efficiency", "cpu_lowpower": "low-power efficiency"}


def read_cpu_details(
    root: Path, processors: Sequence[Mapping[str, str]], failures: list[str] | None = None
) -> CpuDetails:
    """The layout of a Linux machine's processors, given the entries of /proc/cpuinfo."""
    parent = KernelFolder(root / "sys/devices/system/cpu", failures)
    siblings = {parent.line(f"cpu{entry['processor']}/topology/core_cpus_list") for entry in processors} - {
        None
    }
    first = f"cpu{processors[0]['processor']}" if processors else "cpu0"
    is_virtual, hypervisor = _hypervisor(root, processors, failures)
    return CpuDetails(
        n_online_threads=len(processors),
        n_threads_per_core=max((_count(line) for line in siblings if line), default=None),
        numa_nodes=read_numa_nodes(root, parent.failures),
        core_kinds=_core_kinds(root, parent, processors),
        governor=parent.line(f"{first}/cpufreq/scaling_governor"),
        frequency_driver=parent.line(f"{first}/cpufreq/scaling_driver"),
        is_virtual=is_virtual,
        hypervisor=hypervisor,
    )


def mac_cpu_details(values: Mapping[str, str]) -> CpuDetails | None:
    """The layout of a Mac's processors from its sysctl values; performance level 0 is the fastest kind."""
    n_threads = _decimal(values.get("hw.logicalcpu"))
    if n_threads is None:
        return None
    n_cores = _decimal(values.get("hw.physicalcpu"))
    kinds = []
    for level in range(_decimal(values.get("hw.nperflevels")) or 0):
        threads = _decimal(values.get(f"hw.perflevel{level}.logicalcpu"))
        if threads is not None:
            name = values.get(f"hw.perflevel{level}.name") or ("performance", "efficiency")[min(level, 1)]
            cores = _decimal(values.get(f"hw.perflevel{level}.physicalcpu"))
            kinds.append(CoreKind(name=name.lower(), n_threads=threads, n_cores=cores))
    return CpuDetails(
        n_online_threads=n_threads,
        n_threads_per_core=n_threads // n_cores if n_cores else None,
        core_kinds=tuple(kinds) if len(kinds) > 1 else (),
    )


def _core_kinds(
    root: Path, parent: KernelFolder, processors: Sequence[Mapping[str, str]]
) -> tuple[CoreKind, ...]:
    """The kinds of cores where there is more than one: Intel's by its two event sources, ARM's by part number."""
    groups: dict[str, list[int]] = {}
    for folder, name in _INTEL_KINDS.items():
        line = KernelFolder(root / "sys/devices" / folder, parent.failures).line("cpus")
        if line is not None:
            groups[name] = _cpus(line)
    if not groups:
        for entry in processors:
            core = arm_core_name(entry.get("CPU implementer"), entry.get("CPU part"))
            if core is not None and entry["processor"].isdecimal():
                groups.setdefault(core, []).append(int(entry["processor"]))
    if len(groups) < 2:
        return ()
    kinds = [_core_kind(name, numbers, parent) for name, numbers in groups.items()]
    return tuple(sorted(kinds, key=lambda kind: kind.max_hz or 0.0, reverse=True))


def _core_kind(name: str, numbers: Sequence[int], parent: KernelFolder) -> CoreKind:
    rates_khz = [parent.number(f"cpu{number}/cpufreq/cpuinfo_max_freq") for number in numbers]
    cores = {parent.line(f"cpu{number}/topology/core_cpus_list") for number in numbers} - {None}
    return CoreKind(
        name=name,
        n_threads=len(numbers),
        n_cores=len(cores) or None,
        max_hz=max((float(rate * KB) for rate in rates_khz if rate), default=None),
    )


def _hypervisor(
    root: Path, processors: Sequence[Mapping[str, str]], failures: list[str] | None
) -> tuple[bool | None, str | None]:
    """Whether this is a virtual machine, and whose: the processor tells the first, firmware the second."""
    flags = (processors[0].get("flags") or "").split() if processors else []
    xen = KernelFolder(root / "sys/hypervisor", failures).line("type")
    board = KernelFolder(root / "sys/class/dmi/id", failures)
    texts = [text for name in ("sys_vendor", "product_name") if (text := board.line(name)) is not None]
    named = next(
        (name for mark, name in _VIRTUAL_BOARDS.items() if any(mark in text for text in texts)), None
    )
    if xen is not None:
        return True, named or xen.capitalize()
    if flags:  # x86: a hypervisor shows itself in the processor's flags
        return "hypervisor" in flags, named if "hypervisor" in flags else None
    return (True, named) if named is not None else (None, None)


def _cpus(line: str) -> list[int]:
    try:
        return sorted(parse_cpu_list(line))
    except ValueError:
        return []


def _count(line: str) -> int:
    return len(_cpus(line))


def _decimal(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None

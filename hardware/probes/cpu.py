"""The processors: model, sockets, cores, usable threads, instruction sets, last-level cache."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hardware.probes.arm_parts import arm_core_name
from hardware.probes.container import ContainerLimits, parse_cpu_list
from hardware.probes.cpu_details import mac_cpu_details, read_cpu_details
from hardware.spec import Cpu
from hardware.units import KIB, MIB

Runner = Callable[[Sequence[str]], str]

_MAX_FILE_BYTES = 16 << 20  # /proc/cpuinfo of 1,024 processors is about 2 MiB
# What the kernel calls it -> what we call it; the order is the order of the result.
_X86_FLAGS = {
    "avx": "avx",
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "avx_vnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "avx512_fp16": "avx512_fp16",
    "amx_int8": "amx_int8",
    "amx_bf16": "amx_bf16",
    "amx_fp16": "amx_fp16",
}
_ARM_FEATURES = {
    "asimd": "neon", "neon": "neon", "asimddp": "dotprod", "i8mm": "i8mm", "bf16": "bf16", "sve": "sve",
    "sve2": "sve2", "sme": "sme",
}  # fmt: skip
_FLAGS = {**_X86_FLAGS, **_ARM_FEATURES}
_MAC_FLAGS = {
    "hw.optional.avx1_0": "avx",
    "hw.optional.avx2_0": "avx2",
    "hw.optional.fma": "fma",
    "hw.optional.f16c": "f16c",
    "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512bw": "avx512bw",
    "hw.optional.avx512vnni": "avx512_vnni",
    "hw.optional.neon": "neon",
    "hw.optional.AdvSIMD": "neon",
    "hw.optional.arm.FEAT_DotProd": "dotprod",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
}
_CACHE_SIZE = re.compile(r"(\d+)([KM])")
_CPU_FOLDER = re.compile(r"cpu\d+")


def read_cpu(
    root: Path = Path("/"),
    limits: ContainerLimits | None = None,
    n_affinity: int | None = None,
    failures: list[str] | None = None,
) -> Cpu:
    """The processors of a Linux machine; `n_affinity` is how many of them this process may be put on.

    A detail that cannot be read is left out and named in `failures`. Raises OSError or ValueError where /proc or /sys cannot be read.
    """
    with (root / "proc/cpuinfo").open(encoding="utf-8", errors="replace") as stream:
        processors = parse_cpuinfo(stream.read(_MAX_FILE_BYTES))
    if not processors:
        raise ValueError(f"{root / 'proc/cpuinfo'} lists no processor")
    folders = _cpu_folders(root)
    n_sockets, n_cores = _topology(folders, processors)
    n_affinity = n_affinity if n_affinity is not None else _affinity(len(processors))
    return Cpu(
        model=_model(processors, root),
        n_sockets=n_sockets,
        n_physical_cores=n_cores,
        n_usable_threads=usable_threads(n_affinity, limits),
        instruction_sets=_instruction_sets(processors[0]),
        cache_l3_bytes=_l3_bytes(folders),
        max_hz=_max_hz(folders),
        details=read_cpu_details(root, processors, failures),
    )


def usable_threads(n_affinity: int, limits: ContainerLimits | None = None) -> int:
    """Threads that can really run at once: the affinity mask, the processor set and the time quota."""
    bounds = [n_affinity]
    if limits is not None and limits.n_cpuset_cpus is not None:
        bounds.append(limits.n_cpuset_cpus)
    if limits is not None and limits.n_cpus_quota is not None:
        bounds.append(math.ceil(limits.n_cpus_quota))
    return max(1, min(bounds))


def parse_cpuinfo(text: str) -> list[dict[str, str]]:
    """One mapping per processor of /proc/cpuinfo; facts after the last processor (old ARM) join each."""
    processors: list[dict[str, str]] = []
    common: dict[str, str] = {}
    current = common
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if not separator:
            current = common if not line.strip() else current
            continue
        key, value = key.strip(), value.strip()
        if key == "processor":
            current = {}
            processors.append(current)
        current[key] = value
    return [{**common, **processor} for processor in processors]


def parse_sysctl(text: str) -> dict[str, str]:
    """Names and values of macOS's `sysctl hw machdep.cpu`, one "name: value" per line."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, separator, value in pairs if separator}


def read_mac_cpu(run: Runner) -> Cpu:
    """The processors of a Mac; `run` runs a command and returns what it printed."""
    return cpu_from_sysctl(parse_sysctl(run(("/usr/sbin/sysctl", "hw", "machdep.cpu"))))


def cpu_from_sysctl(values: Mapping[str, str]) -> Cpu:
    """The processors that macOS's sysctl values describe."""
    n_threads = _decimal(values.get("hw.logicalcpu"))
    if n_threads is None:
        raise ValueError("sysctl states no hw.logicalcpu")
    l3_bytes, max_hz = _decimal(values.get("hw.l3cachesize")), _decimal(values.get("hw.cpufrequency_max"))
    return Cpu(
        model=values.get("machdep.cpu.brand_string") or "unknown processor",
        n_sockets=_decimal(values.get("hw.packages")),
        n_physical_cores=_decimal(values.get("hw.physicalcpu")),
        n_usable_threads=n_threads,
        instruction_sets=tuple(
            dict.fromkeys(name for key, name in _MAC_FLAGS.items() if values.get(key) == "1")
        ),
        cache_l3_bytes=l3_bytes or None,
        max_hz=float(max_hz) if max_hz else None,
        details=mac_cpu_details(values),
    )


def _decimal(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _affinity(n_listed: int) -> int:
    """How many processors the scheduler may put this process on; macOS has no such mask."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else n_listed


def _model(processors: Sequence[Mapping[str, str]], root: Path) -> str:
    first = processors[0]
    named = first.get("model name") or first.get("Model Name") or first.get("cpu model")
    if named:
        return " ".join(named.split())
    core = arm_core_name(first.get("CPU implementer"), first.get("CPU part"))
    if core is not None:
        return core
    board = root / "sys/firmware/devicetree/base/model"
    if board.exists():
        return board.read_text(encoding="utf-8", errors="replace").strip("\0 \n") or "unknown processor"
    return "unknown processor"


def _instruction_sets(processor: Mapping[str, str]) -> tuple[str, ...]:
    present = set((processor.get("flags") or processor.get("Features") or "").split())
    return tuple(dict.fromkeys(name for flag, name in _FLAGS.items() if flag in present))


def _cpu_folders(root: Path) -> list[Path]:
    """The /sys folders of the processors that are switched on."""
    parent = root / "sys/devices/system/cpu"
    if not parent.is_dir():
        return []
    folders = sorted(folder for folder in parent.iterdir() if _CPU_FOLDER.fullmatch(folder.name))
    return [folder for folder in folders if _line(folder / "online") != "0"]


def _topology(
    folders: Sequence[Path], processors: Sequence[Mapping[str, str]]
) -> tuple[int | None, int | None]:
    """Sockets and physical cores, from /sys or else /proc/cpuinfo; hyper-threads share a core."""
    sockets = {_line(folder / "topology/physical_package_id") for folder in folders} - {None, "-1"}
    cores = {
        _line(folder / "topology/core_cpus_list") or _line(folder / "topology/thread_siblings_list")
        for folder in folders
    } - {None}
    if cores:
        return len(sockets) or None, len(cores)
    pairs = {
        (processor["physical id"], processor["core id"])
        for processor in processors
        if "physical id" in processor and "core id" in processor
    }
    return len({socket for socket, _ in pairs}) or None, len(pairs) or None


def _l3_bytes(folders: Sequence[Path]) -> int | None:
    """All distinct level-3 caches together: several processors list the same one."""
    caches: dict[frozenset[int], int] = {}
    for folder in folders:
        for index in sorted((folder / "cache").glob("index[0-9]*")):
            if _line(index / "level") != "3":
                continue
            shared, size = (
                _line(index / "shared_cpu_list"),
                _CACHE_SIZE.fullmatch(_line(index / "size") or ""),
            )
            if shared and size:
                unit = KIB if size.group(2) == "K" else MIB
                caches[parse_cpu_list(shared)] = int(size.group(1)) * unit
    return sum(caches.values()) or None


def _max_hz(folders: Sequence[Path]) -> float | None:
    rates_khz = [_decimal(_line(folder / "cpufreq/cpuinfo_max_freq")) for folder in folders]
    return max((rate * 1000.0 for rate in rates_khz if rate), default=None)


def _line(file: Path) -> str | None:
    """The one line of a small file, or None when there is no such file."""
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(4096).strip()
    except (FileNotFoundError, NotADirectoryError):
        return None

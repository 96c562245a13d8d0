"""Processors as Linux and macOS describe them, and this machine held against lscpu."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.host import host_cpu
from hardware.probes.container import ContainerLimits, read_limits
from hardware.probes.cpu import cpu_from_sysctl, parse_cpuinfo, parse_sysctl, read_cpu, usable_threads
from hardware.units import KIB, MIB
from tests.hardware.file_tree import tree

XEON_FLAGS = (
    "fpu vme sse2 ssse3 fma cx16 sse4_2 avx f16c avx2 avx512f avx512dq avx512bw avx512vl avx_vnni "
    "avx512_bf16 avx512_vnni amx_bf16 avx512_fp16 amx_tile amx_int8"
)
# Two sockets of two cores with two threads each, as /proc/cpuinfo lists them (shortened).
XEON = "".join(
    f"processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R)  Xeon(R) Platinum 8480+\n"
    f"physical id\t: {number % 4 // 2}\ncore id\t\t: {number % 2}\nflags\t\t: {XEON_FLAGS}\n\n"
    for number in range(8)
)
GRAVITON = "".join(
    f"processor\t: {number}\nBogoMIPS\t: 2000.00\nFeatures\t: fp asimd aes crc32 asimdhp asimddp sve sve2 i8mm bf16\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd4f\nCPU revision\t: 1\n\n"
    for number in range(4)
)
# `sysctl hw machdep.cpu` of an Apple M4 Max (16 cores), the lines that matter.
M4_MAX = """hw.ncpu: 16
hw.memsize: 137438953472
hw.packages: 1
hw.physicalcpu: 16
hw.logicalcpu: 16
hw.perflevel0.l2cachesize: 16777216
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 1
hw.optional.arm.FEAT_SME: 1
hw.optional.AdvSIMD: 1
hw.optional.neon: 1
machdep.cpu.cores_per_package: 16
machdep.cpu.brand_string: Apple M4 Max
"""
INTEL_MAC = """hw.packages: 1
hw.physicalcpu: 8
hw.logicalcpu: 16
hw.l3cachesize: 16777216
hw.cpufrequency_max: 2300000000
hw.optional.avx1_0: 1
hw.optional.avx2_0: 1
hw.optional.avx512f: 0
machdep.cpu.brand_string: Intel(R) Core(TM) i9-9880H CPU @ 2.30GHz
"""


def test_a_server_with_avx512_and_amx(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": XEON}
    for number in range(8):
        base = f"sys/devices/system/cpu/cpu{number}"
        socket, core = number % 4 // 2, number % 4
        files[f"{base}/topology/physical_package_id"] = f"{socket}\n"
        files[f"{base}/topology/core_cpus_list"] = f"{core},{core + 4}\n"
        files[f"{base}/cache/index2/level"] = "2\n"
        files[f"{base}/cache/index2/size"] = "2048K\n"
        files[f"{base}/cache/index2/shared_cpu_list"] = f"{core},{core + 4}\n"
        files[f"{base}/cache/index3/level"] = "3\n"
        files[f"{base}/cache/index3/size"] = "107520K\n"
        files[f"{base}/cache/index3/shared_cpu_list"] = "0-1,4-5\n" if socket == 0 else "2-3,6-7\n"
        files[f"{base}/cpufreq/cpuinfo_max_freq"] = "3800000\n"
    cpu = read_cpu(tree(tmp_path, files), n_affinity=8)
    assert cpu.model == "Intel(R) Xeon(R) Platinum 8480+"
    assert (cpu.n_sockets, cpu.n_physical_cores, cpu.n_usable_threads) == (2, 4, 8)
    # Eight processors list an L3 of 105 MiB, but there are two such caches, not eight.
    assert cpu.cache_l3_bytes == 2 * 107_520 * KIB
    assert cpu.max_hz == 3.8e9
    assert cpu.instruction_sets == (
        "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
        "avx512_fp16", "amx_int8", "amx_bf16",
    )  # fmt: skip


def test_without_sys_the_cores_come_from_cpuinfo(tmp_path: Path) -> None:
    cpu = read_cpu(tree(tmp_path, {"proc/cpuinfo": XEON}), n_affinity=8)
    assert (cpu.n_sockets, cpu.n_physical_cores, cpu.cache_l3_bytes, cpu.max_hz) == (2, 4, None, None)


def test_an_arm_server_has_no_model_name_but_sve(tmp_path: Path) -> None:
    cpu = read_cpu(tree(tmp_path, {"proc/cpuinfo": GRAVITON}), n_affinity=4)
    assert cpu.model == "ARM Neoverse-V2"
    assert set(cpu.instruction_sets) == {"neon", "dotprod", "i8mm", "bf16", "sve", "sve2"}
    assert (cpu.n_sockets, cpu.n_physical_cores) == (None, None)  # neither file says


def test_an_arm_part_we_do_not_know_shows_its_numbers(tmp_path: Path) -> None:
    cpu = read_cpu(tree(tmp_path, {"proc/cpuinfo": GRAVITON.replace("0xd4f", "0xabc")}), n_affinity=4)
    assert cpu.model == "ARM implementer 0x41 part 0xabc"


def test_processors_that_are_off_do_not_count(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": XEON}
    for number, online in ((0, "1"), (1, "0")):
        files[f"sys/devices/system/cpu/cpu{number}/online"] = online
        files[f"sys/devices/system/cpu/cpu{number}/topology/core_cpus_list"] = str(number)
    assert read_cpu(tree(tmp_path, files), n_affinity=1).n_physical_cores == 1


def test_a_file_without_processors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lists no processor"):
        read_cpu(tree(tmp_path, {"proc/cpuinfo": "nothing here\n"}))


@pytest.mark.parametrize(
    ("n_affinity", "quota", "cpuset", "n_threads"),
    [
        (16, None, None, 16),
        (16, 1.5, None, 2),  # one and a half processors' time keeps two threads partly busy
        (16, 4.0, 2, 2),
        (3, 8.0, 8, 3),
        (16, 0.1, None, 1),
    ],
)
def test_usable_threads_are_the_tightest_bound(
    n_affinity: int, quota: float | None, cpuset: int | None, n_threads: int
) -> None:
    assert usable_threads(n_affinity, ContainerLimits(n_cpus_quota=quota, n_cpuset_cpus=cpuset)) == n_threads


def test_an_apple_chip() -> None:
    cpu = cpu_from_sysctl(parse_sysctl(M4_MAX))
    assert (cpu.model, cpu.n_sockets, cpu.n_physical_cores, cpu.n_usable_threads) == (
        "Apple M4 Max",
        1,
        16,
        16,
    )
    assert set(cpu.instruction_sets) == {"neon", "dotprod", "i8mm", "sme"}
    assert cpu.cache_l3_bytes is None


def test_an_intel_mac() -> None:
    cpu = cpu_from_sysctl(parse_sysctl(INTEL_MAC))
    assert (cpu.n_physical_cores, cpu.n_usable_threads, cpu.cache_l3_bytes) == (8, 16, 16 * MIB)
    assert cpu.instruction_sets == ("avx", "avx2")  # AVX-512 is listed with 0
    assert cpu.max_hz == 2.3e9


def test_a_mac_is_asked_through_the_runner() -> None:
    cpu = host_cpu(run=lambda command: M4_MAX if command[0].endswith("sysctl") else "", system="Darwin")
    assert cpu.model == "Apple M4 Max"


def test_sysctl_without_processors_is_refused() -> None:
    with pytest.raises(ValueError, match=r"hw\.logicalcpu"):
        cpu_from_sysctl(parse_sysctl("sysctl: unknown oid\n"))


@settings(deadline=None)
@given(st.text())
def test_any_text_parses_to_processors_or_none(text: str) -> None:
    # Processor entries are the lines whose key is "processor", whatever surrounds them.
    n_entries = sum(
        line.partition(":")[0].strip() == "processor" and ":" in line for line in text.splitlines()
    )
    assert len(parse_cpuinfo(text)) == n_entries
    parse_sysctl(text)


@pytest.mark.skipif(shutil.which("lscpu") is None, reason="needs lscpu to compare with")
def test_this_machine_agrees_with_lscpu() -> None:
    answer = json.loads(subprocess.run(["lscpu", "-J"], capture_output=True, text=True, check=True).stdout)
    fields: dict[str, str] = {}
    stack = list(answer["lscpu"])
    while stack:
        entry = stack.pop()
        fields[entry["field"].rstrip(":")] = entry.get("data") or ""
        stack += entry.get("children", [])
    cpu = host_cpu(limits=read_limits())
    if fields.get("Model name", "-") != "-" and fields["Architecture"] == "x86_64":
        assert cpu.model == " ".join(fields["Model name"].split())
        assert ("avx2" in cpu.instruction_sets) == (" avx2 " in f" {fields['Flags']} ")
    assert cpu.n_usable_threads <= int(fields["CPU(s)"])
    if fields.get("Socket(s)", "-") not in ("-", "") and cpu.n_physical_cores is not None:
        assert cpu.n_sockets == int(fields["Socket(s)"])
        assert cpu.n_physical_cores == int(fields["Socket(s)"]) * int(fields["Core(s) per socket"])
    if "L3" in fields or "L3 cache" in fields:
        number, unit = (fields.get("L3") or fields["L3 cache"]).split()[:2]
        assert cpu.cache_l3_bytes == round(float(number) * {"K": KIB, "M": MIB}[unit[0]])

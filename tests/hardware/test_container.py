"""Control groups, version 1 and 2, as file trees with the traps of real machines."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.probes.container import ContainerLimits, parse_cpu_list, read_container, read_limits
from hardware.units import GIB, MIB
from tests.hardware.file_tree import V2_MOUNT, tree

TOTAL = 64 * GIB
V1_MOUNTS = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
V1_UNLIMITED = "9223372036854771712\n"  # 2**63 rounded down to whole pages


def test_no_control_groups_at_all(tmp_path: Path) -> None:
    assert read_limits(tmp_path, TOTAL) == ContainerLimits()


def test_version_2_own_group(tmp_path: Path) -> None:
    root = tree(tmp_path, {
        "proc/self/cgroup": "0::/app\n",
        "proc/self/mountinfo": V2_MOUNT,
        "sys/fs/cgroup/app/memory.max": f"{8 * GIB}\n",
        "sys/fs/cgroup/app/memory.current": f"{3 * GIB}\n",
        "sys/fs/cgroup/app/memory.stat": f"anon {GIB}\ninactive_file {2 * GIB}\nactive_file {512 * MIB}\n",
        "sys/fs/cgroup/app/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/app/cpuset.cpus.effective": "0-3,8\n",
    })  # fmt: skip
    limits = read_limits(root, TOTAL)
    assert limits.memory_limit_bytes == 8 * GIB
    assert limits.memory_limit_source == "/sys/fs/cgroup/app/memory.max"
    # Used 3 GiB, of which 2 GiB is file cache that can be dropped: 8 - (3 - 2) = 7 GiB may still be taken.
    assert limits.memory_headroom_bytes == 7 * GIB
    assert limits.n_cpus_quota == 1.5
    assert limits.cpu_quota_source == "/sys/fs/cgroup/app/cpu.max"
    assert limits.n_cpuset_cpus == 5


def test_the_tightest_level_counts(tmp_path: Path) -> None:
    # A pod with 4 GiB and 2 processors around a container that itself allows more.
    root = tree(tmp_path, {
        "proc/self/cgroup": "0::/kubepods/pod1/box\n",
        "proc/self/mountinfo": V2_MOUNT,
        "sys/fs/cgroup/kubepods/pod1/box/memory.max": "max\n",
        "sys/fs/cgroup/kubepods/pod1/box/cpu.max": "400000 100000\n",
        "sys/fs/cgroup/kubepods/pod1/memory.max": f"{4 * GIB}\n",
        "sys/fs/cgroup/kubepods/pod1/memory.current": f"{GIB}\n",
        "sys/fs/cgroup/kubepods/pod1/cpu.max": "200000 100000\n",
        "sys/fs/cgroup/kubepods/memory.max": f"{32 * GIB}\n",
        "sys/fs/cgroup/kubepods/memory.current": f"{31 * GIB}\n",
    })  # fmt: skip
    limits = read_limits(root, TOTAL)
    assert limits.memory_limit_bytes == 4 * GIB
    assert limits.memory_limit_source == "/sys/fs/cgroup/kubepods/pod1/memory.max"
    # The pod has 3 GiB left, but the group around all pods only 32 - 31 = 1 GiB.
    assert limits.memory_headroom_bytes == GIB
    assert limits.n_cpus_quota == 2.0


def test_memory_high_is_a_limit_too(tmp_path: Path) -> None:
    root = tree(tmp_path, {
        "proc/self/cgroup": "0::/svc\n",
        "proc/self/mountinfo": V2_MOUNT,
        "sys/fs/cgroup/svc/memory.max": f"{8 * GIB}",
        "sys/fs/cgroup/svc/memory.high": f"{6 * GIB}",
    })  # fmt: skip
    limits = read_limits(root, TOTAL)
    assert (limits.memory_limit_bytes, limits.memory_limit_source) == (
        6 * GIB, "/sys/fs/cgroup/svc/memory.high",
    )  # fmt: skip


@pytest.mark.parametrize(
    "own",
    ["/docker/0123abcd", "/../../outside", "/"],
    ids=["host path", "above the namespace", "namespace root"],
)
def test_inside_a_container_the_mount_is_the_own_group(tmp_path: Path, own: str) -> None:
    # Without a cgroup namespace the kernel names a path of the host, which does not exist in here.
    root = tree(tmp_path, {
        "proc/self/cgroup": f"0::{own}\n",
        "proc/self/mountinfo": V2_MOUNT,
        "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
        "sys/fs/cgroup/cpu.max": "50000 100000\n",
        "sys/fs/cgroup/cpuset.cpus.effective": "2-3\n",
    })  # fmt: skip
    limits = read_limits(root, TOTAL)
    assert (limits.memory_limit_bytes, limits.n_cpus_quota, limits.n_cpuset_cpus) == (2 * GIB, 0.5, 2)
    assert limits.memory_limit_source == "/sys/fs/cgroup/memory.max"


def test_a_bind_mounted_part_of_the_hierarchy(tmp_path: Path) -> None:
    # Docker with version 1: the mount shows /docker/0123, and the process is in /docker/0123/inner.
    root = tree(tmp_path, {
        "proc/self/cgroup": "4:memory:/docker/0123/inner\n",
        "proc/self/mountinfo": "35 31 0:32 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{16 * GIB}\n",
        "sys/fs/cgroup/memory/inner/memory.limit_in_bytes": f"{5 * GIB}\n",
    })  # fmt: skip
    limits = read_limits(root, TOTAL)
    assert limits.memory_limit_source == "/sys/fs/cgroup/memory/inner/memory.limit_in_bytes"
    assert limits.memory_limit_bytes == 5 * GIB


def test_version_1(tmp_path: Path) -> None:
    root = tree(tmp_path, {
        "proc/self/cgroup": "4:memory:/box\n3:cpu,cpuacct:/box\n0::/\n",
        "proc/self/mountinfo": V1_MOUNTS,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": V1_UNLIMITED,
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{60 * GIB}\n",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{8 * GIB}\n",
        "sys/fs/cgroup/memory/box/memory.usage_in_bytes": f"{6 * GIB}\n",
        "sys/fs/cgroup/memory/box/memory.stat": f"inactive_file {GIB}\ntotal_inactive_file {2 * GIB}\n",
        "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "250000\n",
        "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    })  # fmt: skip
    limits = read_limits(root, TOTAL)
    assert limits.memory_limit_bytes == 8 * GIB
    assert limits.memory_headroom_bytes == 4 * GIB  # 8 - (6 - 2)
    assert limits.n_cpus_quota == 2.5


def test_version_1_unlimited_is_no_limit(tmp_path: Path) -> None:
    root = tree(tmp_path, {
        "proc/self/cgroup": "4:memory:/\n3:cpu,cpuacct:/\n",
        "proc/self/mountinfo": V1_MOUNTS,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": V1_UNLIMITED,
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{60 * GIB}\n",
        "sys/fs/cgroup/memory/memory.stat": f"hierarchical_memory_limit {V1_UNLIMITED}",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    })  # fmt: skip
    assert read_limits(root, TOTAL) == ContainerLimits(cgroup_version=1)
    assert read_limits(root) == ContainerLimits(cgroup_version=1)  # also where installed memory is not known


def test_a_limit_above_installed_memory_limits_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path, {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": V2_MOUNT,
        "sys/fs/cgroup/memory.max": f"{TOTAL}\n",
    })  # fmt: skip
    assert read_limits(root, TOTAL).memory_limit_bytes is None
    assert read_limits(root, TOTAL + 1).memory_limit_bytes == TOTAL


def test_version_1_knows_limits_of_invisible_ancestors(tmp_path: Path) -> None:
    root = tree(tmp_path, {
        "proc/self/cgroup": "4:memory:/kubepods/pod1/box\n",
        "proc/self/mountinfo": V1_MOUNTS,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": V1_UNLIMITED,
        "sys/fs/cgroup/memory/memory.stat": f"hierarchical_memory_limit {3 * GIB}\n",
    })  # fmt: skip
    limits = read_limits(root, TOTAL)
    assert (limits.memory_limit_bytes, limits.memory_limit_source) == (
        3 * GIB, "/sys/fs/cgroup/memory/memory.stat",
    )  # fmt: skip


def test_a_hybrid_machine_reads_both_versions(tmp_path: Path) -> None:
    # systemd's "hybrid" layout: version 1 controllers, and version 2 beside them without controllers.
    root = tree(tmp_path, {
        "proc/self/cgroup": "4:memory:/box\n3:cpu,cpuacct:/\n0::/system.slice\n",
        "proc/self/mountinfo": V1_MOUNTS + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{GIB}\n",
        "sys/fs/cgroup/unified/system.slice/cgroup.procs": "1\n",
        "sys/fs/cgroup/unified/system.slice/memory.max": f"{512 * MIB}\n",
    })  # fmt: skip
    limits = read_limits(root, TOTAL)
    assert limits.memory_limit_bytes == 512 * MIB
    assert limits.memory_limit_source == "/sys/fs/cgroup/unified/system.slice/memory.max"


def test_usage_above_the_limit_leaves_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path, {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": V2_MOUNT,
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
        "sys/fs/cgroup/memory.current": f"{GIB + MIB}\n",
    })  # fmt: skip
    assert read_limits(root, TOTAL).memory_headroom_bytes == 0


def test_a_mount_point_with_a_space(tmp_path: Path) -> None:
    root = tree(tmp_path, {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": r"31 23 0:28 / /my\040groups rw - cgroup2 cgroup2 rw" + "\n",
        "my groups/memory.max": f"{GIB}\n",
    })  # fmt: skip
    assert read_limits(root, TOTAL).memory_limit_source == "/my groups/memory.max"


@pytest.mark.parametrize(
    ("file", "text"), [("memory.max", "plenty\n"), ("cpu.max", "1 0\n"), ("cpu.max", "x\n")]
)
def test_nonsense_names_the_file(tmp_path: Path, file: str, text: str) -> None:
    root = tree(tmp_path, {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": V2_MOUNT,
        f"sys/fs/cgroup/{file}": text,
    })  # fmt: skip
    with pytest.raises(ValueError, match=file):
        read_limits(root, TOTAL)


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-3,8\n", {0, 1, 2, 3, 8}), ("5", {5}), ("", set()), ("0,0-1", {0, 1})]
)
def test_processor_lists(text: str, numbers: set[int]) -> None:
    assert parse_cpu_list(text) == numbers


@pytest.mark.parametrize("text", ["3-1", "a", "1-", "-1", "0-99999999999", "1;2"])
def test_processor_lists_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="list of processors"):
        parse_cpu_list(text)


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, 500), min_size=1))
def test_a_list_of_single_processors_reads_back(numbers: set[int]) -> None:
    assert parse_cpu_list(",".join(map(str, sorted(numbers)))) == numbers


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=4))
def test_a_further_level_never_loosens_a_limit(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    root = tmp_path_factory.mktemp("levels")
    files = {"proc/self/mountinfo": V2_MOUNT}
    for depth in range(1, len(sizes) + 1):
        group = "/".join(f"g{level}" for level in range(depth))
        files[f"sys/fs/cgroup/{group}/memory.max"] = f"{sizes[depth - 1] * MIB}\n"
        files["proc/self/cgroup"] = f"0::/{group}\n"
        limits = read_limits(tree(root, files), TOTAL)
        assert limits.memory_limit_bytes == min(sizes[:depth]) * MIB


def test_swap_in_version_1_is_what_the_sum_leaves(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        "proc/self/mountinfo": V1_MOUNTS,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{8 * GIB}\n",
        "sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": f"{10 * GIB}\n",
    }
    assert read_limits(tree(tmp_path, files), TOTAL).swap_limit_bytes == 2 * GIB
    # Without limits both numbers are near 2**63, and their difference says nothing.
    files |= {name: V1_UNLIMITED for name in files if name.endswith("_in_bytes")}
    assert read_limits(tree(tmp_path, files), TOTAL).swap_limit_bytes is None


def test_one_damaged_file_leaves_the_other_limits(tmp_path: Path) -> None:
    failures: list[str] = []
    files = {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": V2_MOUNT,
        "sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
        "sys/fs/cgroup/cpu.max": "plenty\n",
        "sys/fs/cgroup/cpuset.cpus.effective": "0-3\n",
    }
    limits = read_limits(tree(tmp_path, files), TOTAL, failures)
    assert (limits.memory_limit_bytes, limits.n_cpus_quota, limits.cpuset_cpus) == (8 * GIB, None, "0-3")
    assert len(failures) == 1
    assert "cpu.max" in failures[0]


@pytest.mark.parametrize(
    ("files", "environ", "kind"),
    [
        ({".dockerenv": ""}, {}, "Docker"),
        ({"run/.containerenv": "engine=podman\n"}, {}, "Podman"),
        ({}, {"container": "lxc"}, "LXC"),
        ({"proc/self/cgroup": "0::/kubepods/burstable/pod1/abc\n"}, {}, "Kubernetes"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "Kubernetes"),
        ({}, {}, None),
    ],
)
def test_what_runs_the_container(
    files: dict[str, str], environ: dict[str, str], kind: str | None, tmp_path: Path
) -> None:
    container = read_container(tree(tmp_path, files), ContainerLimits(), environ)
    assert (None if container is None else container.kind) == kind

"""The disk under a folder, as files of /proc and /sys describe it, and measured on this machine."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from hardware.disk_probe import measure_disk_read
from hardware.errors import HardwareError
from hardware.probes.disk import read_disk, weights_folder
from hardware.units import MIB
from tests.hardware.file_tree import tree

MOUNTS = """22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
40 22 259:1 / /data rw,relatime - xfs /dev/nvme0n1p1 rw
41 40 0:55 / /data/shared ro,relatime - nfs4 server:/export rw
42 22 0:60 / /with\\040space rw,relatime - tmpfs tmpfs rw
43 22 0:70 / /pool rw,relatime - zfs tank/models rw
44 22 254:16 / /vm rw,relatime - ext4 /dev/vdb rw
45 44 259:9 / /vm/over rw,relatime - ext4 /dev/nvme9n1 rw
46 44 8:2 / /vm/over rw,relatime - ext4 /dev/sda2 rw
"""
DISKS = {
    "proc/self/mountinfo": MOUNTS,
    "sys/dev/block/8:2/queue/rotational": "1\n",
    "sys/dev/block/259:1/queue/rotational": "0\n",
    "sys/dev/block/259:9/queue/rotational": "0\n",
    "sys/dev/block/254:16/queue/rotational": "1\n",
    "data/shared/models/x": "",
    "data/models/x": "",
    "with space/x": "",
    "pool/x": "",
    "vm/over/x": "",
    "vm/x": "",
    "home/x": "",
}


@pytest.mark.parametrize(
    ("folder", "mount_point", "file_system", "kind"),
    [
        ("/home/me/.cache", "/", "ext4", "rotating"),  # a folder that does not exist yet
        ("/data/models", "/data", "xfs", "NVMe"),
        ("/data/shared/models", "/data/shared", "nfs4", "network"),
        ("/with space", "/with space", "tmpfs", "memory"),
        ("/pool", "/pool", "zfs", None),  # which disks stand behind a pool is not in these files
        ("/vm", "/vm", "ext4", "virtual"),  # "rotating" is what the kernel says of every such disk
        ("/vm/over", "/vm/over", "ext4", "rotating"),  # of two mounts at one place the later is seen
        ("/database", "/", "ext4", "rotating"),  # not below /data
    ],
)
def test_the_mount_that_holds_a_folder(
    tmp_path: Path, folder: str, mount_point: str, file_system: str, kind: str | None
) -> None:
    disk = read_disk(Path(folder), tree(tmp_path, DISKS), usage=lambda _: (100, 40))
    assert (disk.mount_point, disk.file_system, disk.kind) == (mount_point, file_system, kind)
    assert (disk.folder, disk.total_bytes, disk.free_bytes) == (folder, 100, 40)
    assert disk.is_read_only is (file_system == "nfs4")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({}, "/home/me/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/cache"}, "/cache/huggingface/hub"),
        ({"HF_HOME": "/hf", "XDG_CACHE_HOME": "/cache"}, "/hf/hub"),
        ({"HF_HUB_CACHE": "/models", "HF_HOME": "/hf"}, "/models"),
    ],
)
def test_where_weights_would_lie(environ: Mapping[str, str], folder: str) -> None:
    assert weights_folder(environ, home=Path("/home/me")) == Path(folder)


@pytest.mark.skipif(shutil.which("df") is None, reason="needs df to compare with")
def test_this_disk_agrees_with_df(tmp_path: Path) -> None:
    answer = subprocess.run(
        ["df", "-B1", "--output=fstype,size,target", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        pytest.skip("this df has no --output")
    kind, size, target = answer.stdout.splitlines()[1].split()
    disk = read_disk(tmp_path)
    assert (disk.file_system, disk.total_bytes, disk.mount_point) == (kind, int(size), target)


class Clock:
    """A clock that is `step_s` later each time it is read, however slow the machine is."""

    def __init__(self, step_s: float) -> None:
        self.step_s = step_s
        self.n_read = 0

    def __call__(self) -> float:
        self.n_read += 1
        return self.n_read * self.step_s


def test_a_disk_is_measured_within_its_time(tmp_path: Path) -> None:
    told: list[float] = []
    clock = Clock(0.01)
    rate = measure_disk_read(tmp_path, budget_s=0.6, progress=told.append, clock=clock)
    # 60 readings of this clock are the budget. Writing takes its 96 MiB and then asks until 40 % are gone; each
    # sample of reading asks before, after, for the bar and whether to go on, so the last one ends at most four later.
    assert clock.n_read * clock.step_s == pytest.approx(0.6, abs=0.06)
    assert rate.n_samples > 3  # it went on for as long as there was time
    # A sample is 32 MiB and takes one step.
    assert rate.per_s == pytest.approx(32 * MIB / clock.step_s)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert list(tmp_path.iterdir()) == []  # the temporary file is gone


def test_a_disk_that_is_too_slow_for_the_time_is_measured_all_the_same(tmp_path: Path) -> None:
    clock = Clock(100.0)  # all of the time is gone before the first byte
    rate = measure_disk_read(tmp_path, budget_s=0.6, clock=clock)
    assert rate.n_samples == 3
    assert rate.per_s == pytest.approx(32 * MIB / clock.step_s)


def test_an_existing_file_is_read_and_left(tmp_path: Path) -> None:
    file = tmp_path / "weights.gguf"
    file.write_bytes(bytes(100 * MIB))
    rate = measure_disk_read(tmp_path, budget_s=0.1, file=file)
    assert "weights.gguf" in rate.method
    assert file.stat().st_size == 100 * MIB


def test_what_cannot_be_measured_is_one_line(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(bytes(MIB))
    with pytest.raises(HardwareError, match=r"small has 1\.0 MiB, too little"):
        measure_disk_read(tmp_path, file=small)
    with pytest.raises(HardwareError, match="name a folder that you can write"):
        measure_disk_read(tmp_path / "absent")

"""Writes a small file tree that stands for /proc and /sys of some machine."""

from collections.abc import Mapping
from pathlib import Path

# One line of /proc/self/mountinfo: version 2 control groups at their usual place.
V2_MOUNT = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """Write `files` (name to text) below `root` and return it."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root

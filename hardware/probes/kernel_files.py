"""Reads the small files in /proc and /sys in which the kernel tells one value each.

A file that does not exist is normal: another kernel, another driver, another machine. A file that exists and
cannot be read (a lost device answers EIO, a setting that the hardware lacks EINVAL) is remembered, and the rest goes on.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from hardware.units import MIB

MAX_FILE_BYTES = MIB  # these files hold a few lines; more is not one of them
MAX_ENTRIES = 4_096  # devices, links or processors below one folder
_MAX_FAILURES = 8
_MAX_NUMBER = 2**63 - 1  # the kernel's largest size; a longer number is damage
_MAX_UNSIGNED = 2**64 - 1  # ids use all 64 bits
_NUMBER_AT_END = re.compile(r"(\d{1,9})$")
_OCTAL = re.compile(r"\\([0-7]{3})")


class KernelFolder:
    """One folder of such files; `failures` collects a line for each file that could not be read."""

    def __init__(self, path: Path, failures: list[str] | None = None) -> None:
        self.path = path
        self.failures: list[str] = [] if failures is None else failures

    def folder(self, name: str) -> "KernelFolder":
        """A folder below this one, which shares its failures."""
        return KernelFolder(self.path / name, self.failures)

    def folders(self, pattern: str) -> Iterator["KernelFolder"]:
        """Folders below this one in the order of the number at their end: node2 before node10."""
        yield from (KernelFolder(path, self.failures) for path in numbered(self.path, pattern))

    def text(self, name: str) -> str | None:
        """The whole of a file, or None when there is none or it cannot be read."""
        try:
            with (self.path / name).open(encoding="utf-8", errors="replace") as stream:
                return stream.read(MAX_FILE_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if len(self.failures) < _MAX_FAILURES:
                self.failures.append(f"{name}: {error.strerror or error}")
            return None

    def line(self, name: str) -> str | None:
        """The one line of a file in single spaces, or None when it is absent or empty."""
        text = self.text(name)
        return None if text is None else " ".join(text.replace("\0", " ").split()) or None

    def number(self, name: str) -> int | None:
        """The whole number in a file, decimal or 0x…; something else is a failure."""
        line = self.line(name)
        if line is None:
            return None
        try:
            number = int(line, 16 if line.lower().startswith("0x") else 10)
        except ValueError:
            number = -1
        if not 0 <= number <= _MAX_NUMBER:
            if len(self.failures) < _MAX_FAILURES:
                self.failures.append(f"{name} holds {line[:40]!r}, not a whole number")
            return None
        return number

    def properties(self, name: str) -> dict[str, int]:
        """A file with a name and a whole number on each line, as the KFD driver writes them."""
        found = {}
        for line in (self.text(name) or "").splitlines():
            key, _, value = line.partition(" ")
            if value.strip().isdecimal() and int(value) <= _MAX_UNSIGNED:
                found[key] = int(value)
        return found


def numbered(folder: Path, pattern: str) -> list[Path]:
    """Entries of a folder that match a pattern, by the number at their end; none without the folder."""
    if not folder.is_dir():
        return []
    paths = [path for path in folder.glob(pattern) if _NUMBER_AT_END.search(path.name)]
    return sorted(paths, key=lambda path: (_last_number(path), path.name))[:MAX_ENTRIES]


def _last_number(path: Path) -> int:
    match = _NUMBER_AT_END.search(path.name)
    return -1 if match is None else int(match.group(1))


def unescaped_path(field: str) -> str:
    """A path of the kernel's mount list as it is: there a space is a backslash and 040."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), field)

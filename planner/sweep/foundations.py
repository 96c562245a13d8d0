"""What answers stand on besides the question: the planner's own files and the user's folders.

A journal goes on only with answers that stand on the same; a cluster's nodes work with the same, whatever else they hold.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hardware.units import MIB, format_bytes
from planner.errors import PlannerError
from planner.quoting import quoted

_MOST_BYTES: Final = 256 * MIB  # of a user's folder; a run or a calibration has some kilobytes
_CACHES: Final = "__pycache__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundations:
    """Folders of packages, and of the user by the environment variable that names each."""

    packages: Sequence[Path]
    own: Mapping[str, Path]

    def digest(self) -> str:
        """A hash of all of it; folders of the user need not exist."""
        found = hashlib.sha256()
        for folder in self.packages:
            _add(found, folder.name, folder)
        for variable, folder in sorted(self.own.items()):
            _add(found, variable, folder)
        return found.hexdigest()

    def copied_into(self, folder: Path) -> dict[str, str]:
        """Copies the user's folders, each below its variable's name, and returns the variables as paths from there."""
        for variable, source in self.own.items():
            for path in _files(source):
                target = folder / variable / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        return {variable: variable for variable in self.own}


def _add(found: "hashlib._Hash", name: str, folder: Path) -> None:
    for path in _files(folder):
        shown = f"{name}/{path.relative_to(folder).as_posix()}"
        found.update(f"{len(shown)}:{shown}{path.stat().st_size}:".encode())
        with path.open("rb") as stream:
            while block := stream.read(MIB):
                found.update(block)


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder, in order; raises PlannerError where they are too much to be profiles and measurements."""
    n_bytes = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != _CACHES)
        for name in sorted(names):
            path = Path(parent) / name
            if path.is_symlink() or not path.is_file():
                continue
            n_bytes += path.stat().st_size
            if n_bytes > _MOST_BYTES:
                raise PlannerError(
                    f"{quoted(folder)} holds more than {format_bytes(_MOST_BYTES)}; a sweep takes along only profiles and "
                    "measurements: move what else is there"
                )
            yield path

"""Writes shallow files of random weights into a folder that is gone afterwards, whatever happens.

The folder is locked while it is in use. One that a killed program left behind is not, and the next run removes it.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from planner.bench.planning_file import gguf_layout
from planner.bench.synthetic_plan import ShallowFile
from planner.bench.weight_fill import WeightFill
from planner.errors import BenchError
from planner.progress import Progress

_PREFIX = "run-"
_LOCK = "lock"
_BEING_MADE_S = 60.0  # a folder this young without a lock may be about to get it


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder for one run; what earlier runs could not remove is removed first."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        remove_stale(parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    except OSError as error:
        raise BenchError(
            f"could not make a folder for the shallow files in {parent}: {error.strerror}; set PLANNER_DATA_DIR "
            "to a folder that can be written"
        ) from error
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another run has its folder there
            parent.rmdir()


def remove_stale(parent: Path) -> int:
    """Removes folders whose program has gone, and says how many."""
    n_removed = 0
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            if not (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime < _BEING_MADE_S:
                continue
            with (folder / _LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                n_removed += 1
        except OSError:  # in use, or gone in the meantime
            continue
    return n_removed


def write_shallow_file(
    path: Path,
    file: ShallowFile,
    *,
    n_vocabulary: int,
    progress: Progress | None = None,
) -> Path:
    """Writes one file of random weights; BenchError when the disk is full."""
    layout = gguf_layout(file.metadata, file.tensors, n_vocabulary=n_vocabulary)
    fill = WeightFill()
    n_experts = _n_experts(file.metadata)
    try:
        with path.open("wb") as stream:
            stream.write(layout.header)
            for tensor, start in zip(file.tensors, layout.starts, strict=True):
                stream.seek(start)
                for piece in fill.tensor(tensor.name, tensor.type_id, tensor.n_bytes, n_experts=n_experts):
                    stream.write(piece)
                if progress is not None:
                    progress(start / layout.n_bytes, f"writing {len(file.layers)} layers")
            stream.truncate(layout.n_bytes)
    except OSError as error:
        raise BenchError(
            f"could not write {layout.n_bytes:,} bytes to {path.parent}: {os.strerror(error.errno or 0)}"
        ) from error
    return path


def _n_experts(metadata: Mapping[str, object]) -> int:
    value = metadata.get(f"{metadata.get('general.architecture')}.expert_count")
    return value if isinstance(value, int) and value > 0 else 1

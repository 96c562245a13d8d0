"""Inputs made to be costly: none makes a process grow by 256 MiB or takes two seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.planner.readers.hostile import cases


@pytest.mark.parametrize("case", cases())
def test_the_costliest_inputs_stay_cheap(case: str, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    for step in ("write", "read"):
        command = [sys.executable, "-m", "tests.planner.readers.hostile", case, step, data]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    grown_mb, seconds, outcome = done.stdout.split(maxsplit=2)
    # The input itself, up to 67 MB, was in memory before the measurement began: the rest is the reader's.
    assert float(grown_mb) < 256 - Path(data).stat().st_size / 1e6, outcome
    assert float(seconds) < 2, outcome

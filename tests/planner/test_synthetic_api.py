"""What a synthetic benchmark says and checks before anything is written, and that later estimates name it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from hardware.units import GIB, MIB
from planner import api
from planner.errors import BenchError


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("planner.api.synthetic.require_engine", lambda: None)


def test_the_summary_says_what_will_be_written_and_held(tmp_path: Path) -> None:
    question = api.plan_synthetic_bench("qwen3-0.6b")
    assert question.memory_bytes == 2 * question.disk_bytes
    assert "files of 7 and 14 of 28 layers with random weights" in question.summary
    assert str(tmp_path / "data" / "synthetic") in question.summary
    assert not (tmp_path / "data" / "synthetic").exists()  # nothing is written before it is agreed to


def test_too_little_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=GIB))
    with pytest.raises(BenchError, match=r"take .* of disk and 1\.0 GiB are free in "):
        api.plan_synthetic_bench("qwen3-0.6b")


def test_too_little_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = SimpleNamespace(memory=SimpleNamespace(available_bytes=600 * MIB))
    monkeypatch.setattr("planner.api.synthetic.inspect", lambda: machine)
    with pytest.raises(BenchError, match=r"of memory and 600\.0 MiB are available; .*--quant"):
        api.plan_synthetic_bench("qwen3-0.6b")


def test_a_model_whose_header_cannot_be_written_says_what_to_name() -> None:
    with pytest.raises(BenchError, match="name a GGUF file"):
        api.plan_synthetic_bench("falcon-h1-7b-instruct")

"""llama-bench and llama-server as engines, by stand-ins that answer as their sources do."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from planner.bench.llama_bench_program import bench_llama_bench, command_line, find_program
from planner.bench.llama_server_program import bench_llama_server
from planner.bench.protocol import BenchRequest, BenchSubject
from planner.errors import BenchError

SUBJECT = BenchSubject(
    model_name="SmolLM2 135M",
    model_fingerprint="ab",
    quantization="Q4_1",
    machine_fingerprint="cd",
    machine_name="here",
    read_bytes_per_token=9e7,
)


def program(folder: Path, script: str) -> str:
    """An executable that runs a stand-in with this Python."""
    path = folder / script.removesuffix(".py")
    source = Path(__file__).with_name(script)
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{source}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def request(folder: Path, **more: Any) -> BenchRequest:
    model = folder / "model.gguf"
    model.write_bytes(b"GGUF")
    settings: dict[str, Any] = {"n_threads": 2, "n_gpu_layers": 0, "budget_s": 3.0, "load_limit_s": 20.0}
    return BenchRequest(model_path=model, **(settings | more))


def test_llama_bench_rows_become_a_run(tmp_path: Path) -> None:
    shown: list[float] = []
    run = bench_llama_bench(
        request(tmp_path, depths=(0, 4096)),
        SUBJECT,
        program=program(tmp_path, "fake_llama_bench.py"),
        progress=lambda done, _: shown.append(done),
    )
    assert [item.name for item in run.measurements] == ["pp512", "tg128", "pp512 @ d4096", "tg128 @ d4096"]
    prefill, decode = run.measurement("prefill"), run.measurement("decode")
    assert prefill is not None
    assert decode is not None
    assert prefill.samples_s == (5.12,) * 5  # of 512 tokens at 100 a second
    assert decode.quartile_tokens_per_s == pytest.approx(10.0)
    assert run.engine_build == "llama-bench 0c1e570 (11434)"
    assert (run.n_threads, run.n_gpu_layers, run.kv_type, run.n_ubatch) == (2, 0, "f16", 512)
    assert (run.model_name, run.machine_fingerprint, run.read_bytes_per_token) == ("SmolLM2 135M", "cd", 9e7)
    assert shown[-1] == 1.0


def test_the_command_has_the_flags_that_were_asked_for(tmp_path: Path) -> None:
    command = command_line("llama-bench", request(tmp_path, flash_attention=True, kv_type="q8_0"), 3)
    text = " ".join(command)
    for part in ("-p 512 -n 128 -d 0 -r 3", "-ctk q8_0 -ctv q8_0", "-t 2", "-ngl 0", "-fa 1", "-o jsonl"):
        assert part in text
    with pytest.raises(BenchError, match="one sequence at a time"):
        command_line("llama-bench", request(tmp_path, batches=(8,)), 3)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("refuse", "ended early with status 1; it said last: .*failed to load model"),
        ("noise", "something else than its own format: n_prompt is 'many'"),
    ],
)
def test_llama_bench_in_trouble_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str, said: str
) -> None:
    monkeypatch.setenv("FAKE_LLAMA_BENCH", trouble)
    with pytest.raises(BenchError, match=said):
        bench_llama_bench(request(tmp_path), SUBJECT, program=program(tmp_path, "fake_llama_bench.py"))


def test_what_llama_bench_printed_before_a_crash_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_LLAMA_BENCH", "crash")
    run = bench_llama_bench(request(tmp_path), SUBJECT, program=program(tmp_path, "fake_llama_bench.py"))
    assert [item.name for item in run.measurements] == ["pp512"]
    assert "SIGSEGV" in run.notes[-1]


def test_llama_server_timings_become_a_run(tmp_path: Path) -> None:
    run = bench_llama_server(
        request(tmp_path, depths=(0, 64), budget_s=30.0),
        SUBJECT,
        program=program(tmp_path, "fake_llama_server.py"),
    )
    rates = {item.name: item.quartile_tokens_per_s for item in run.measurements}
    # The stand-in's rates; generation without the first token, which comes with the prompt.
    assert rates["pp512"] == pytest.approx(1000.0)
    decode = [rate for name, rate in rates.items() if name.startswith("tg")]
    assert decode == pytest.approx([100.0, 100.0])
    assert run.engine_build.startswith("llama-server b11434-0c1e570")
    assert run.n_parameters == 134_515_008
    assert run.n_context_tokens >= 512  # a server does not tell what it allocates


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("cached", "10 from its cache"),
        ("exit", "ended early with status 1; it said last: .*failed to load model"),
        ("old", "did not tell its model's size"),
        ("crash", "did not answer"),
    ],
)
def test_llama_server_in_trouble_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str, said: str
) -> None:
    monkeypatch.setenv("FAKE_LLAMA_SERVER", trouble)
    with pytest.raises(BenchError, match=said):
        bench_llama_server(request(tmp_path), SUBJECT, program=program(tmp_path, "fake_llama_server.py"))
    assert not servers(tmp_path)


def servers(folder: Path) -> list[int]:
    """Processes of the stand-in that serve the folder's model."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(folder / "model.gguf") in words and any("fake_llama_server" in word for word in words):
            found.append(process.pid)
    return found


def test_an_endless_prompt_ends_within_the_bound_and_leaves_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_LLAMA_SERVER", "hang")
    monkeypatch.setattr("planner.bench.llama_cpp._MEASURE_MARGIN_S", 1.0)
    with pytest.raises(BenchError, match="took longer than 2 s to measure"):
        bench_llama_server(
            request(tmp_path, budget_s=0.5), SUBJECT, program=program(tmp_path, "fake_llama_server.py")
        )
    assert not servers(tmp_path)


def test_the_server_goes_when_whoever_asked_is_killed(tmp_path: Path) -> None:
    code = (
        "from planner.bench.llama_server_program import bench_llama_server\n"
        "from tests.planner.bench.test_programs import SUBJECT, request\nfrom pathlib import Path\n"
        f"bench_llama_server(request(Path({str(tmp_path)!r}), budget_s=60.0), SUBJECT, "
        f"program={program(tmp_path, 'fake_llama_server.py')!r})\n"
    )
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root, "FAKE_LLAMA_SERVER": "hang"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL) as asker:
        wait_for(lambda: bool(servers(tmp_path)))
        asker.kill()
    wait_for(lambda: not servers(tmp_path))


def wait_for(condition: Any, limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_missing_program_says_where_it_was_looked_for() -> None:
    with pytest.raises(BenchError, match="no llama-bench at '/nowhere/llama-bench'"):
        find_program("llama-bench", "/nowhere/llama-bench")

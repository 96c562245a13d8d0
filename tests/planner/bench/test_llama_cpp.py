"""The benchmark's bookkeeping with a child of our own, and its honesty with the real engine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hardware.spec import Cpu
from planner.bench.llama_cpp import bench_llama_cpp, default_threads, engine_is_installed, engine_memory
from planner.bench.llama_cpp_memory import EngineLog
from planner.bench.llama_cpp_memory import engine_memory as summed_memory
from planner.bench.protocol import BenchRequest, BenchSubject, EngineBuffer, MemoryRequest
from planner.errors import BenchError

SUBJECT = BenchSubject(
    model_name="SmolLM2 135M",
    model_fingerprint="ab",
    quantization="Q4_1",
    machine_fingerprint="cd",
    machine_name="here",
)
ENGINE: dict[str, Any] = {"event": "engine", "build": "B", "system_info": "S", "backend": "CPU"}
MODEL: dict[str, Any] = {
    "event": "model",
    "model_bytes": 1000,
    "n_parameters": 2000,
    "n_threads": 2,
    "n_gpu_layers": 0,
}


def sample(phase: str, n_tokens: int, sample_s: float, depth: int = 0) -> dict[str, Any]:
    return {
        "event": "sample", "phase": phase, "n_tokens": n_tokens, "n_depth": depth, "n_sequences": 1, "n_threads": None,
        "sample_s": sample_s, "cpu_s": 2 * sample_s, "energy_j": 10 * sample_s,
    }  # fmt: skip


def child(*events: dict[str, Any], then: str = "") -> list[str]:
    """A command that answers any request with these events."""
    lines = "\n".join(json.dumps(event) for event in events)
    return [
        sys.executable,
        "-c",
        f"import os, sys; sys.stdin.readline()\nprint({lines!r}, flush=True)\n{then}",
    ]


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_a_run_collects_what_the_child_measured(model_file: Path) -> None:
    run = bench_llama_cpp(
        BenchRequest(model_path=model_file, depths=(0, 4096)),
        SUBJECT,
        command=child(
            ENGINE,
            MODEL,
            {
                "event": "memory",
                "weights_bytes": 1,
                "kv_bytes": 2,
                "state_bytes": 3,
                "compute_bytes": 4,
                "output_bytes": 5,
                "n_context_tokens": 4608,
            },
            {"event": "flash_attention", "enabled": True},
            sample("prefill", 512, 2.0),
            sample("decode", 128, 1.0),
            sample("prefill", 512, 4.0),
            sample("prefill", 512, 8.0, depth=4096),
            {"event": "note", "text": "something to know"},
            {
                "event": "conditions",
                "measuring_s": 14.0,
                "other_cores": 0.1,
                "n_throttled": None,
                "clock_hz": 3e9,
                "temperature_c": 61.0,
                "on_battery": False,
                "energy_counters": ["RAPL package-0"],
            },
            {"event": "done"},
        ),
    )
    assert [item.name for item in run.measurements] == ["pp512", "tg128", "pp512 @ d4096"]
    assert run.measurements[0].samples_s == (2.0, 4.0)
    decode = run.measurement("decode")
    assert decode is not None
    assert decode.mean_tokens_per_s == 128.0
    assert (run.n_context_tokens, run.flash_attention, run.backend) == (4608, True, "CPU")
    assert run.memory is not None
    assert run.memory.total_bytes == 1 + 2 + 3 + 4 + 5
    assert run.engine_build == "B; S"
    prefill = run.measurement("prefill")
    assert prefill is not None
    assert prefill.cpu_s == (4.0, 8.0)
    assert prefill.joules_per_token == pytest.approx((20 + 40) / 1024)  # of two repetitions of 512 tokens
    assert run.conditions is not None
    assert run.conditions.energy_counters == ("RAPL package-0",)
    # Median 3 s over minimum 2 s is 1.5: pp512 was disturbed.
    assert run.notes[0] == "something to know"
    assert run.notes[1].startswith("pp512: the median repetition took 1.50 times the fastest")
    assert len(run.notes) == 2


def test_what_was_measured_before_a_crash_is_kept_with_a_note(model_file: Path) -> None:
    run = bench_llama_cpp(
        BenchRequest(model_path=model_file),
        SUBJECT,
        command=child(ENGINE, MODEL, sample("prefill", 512, 2.0), then="os.abort()"),
    )
    assert [item.name for item in run.measurements] == ["pp512"]
    assert run.notes == ("incomplete: the engine crashed (SIGABRT) without a word",)


def test_ctrl_c_keeps_what_was_measured(model_file: Path) -> None:
    def interrupt(done: float, text: str) -> None:
        raise KeyboardInterrupt

    measured = {**sample("prefill", 512, 2.0), "done_fraction": 0.5, "text": "pp512"}
    waiting = child(ENGINE, MODEL, measured, then="import time; time.sleep(60)")
    run = bench_llama_cpp(BenchRequest(model_path=model_file), SUBJECT, progress=interrupt, command=waiting)
    assert [item.name for item in run.measurements] == ["pp512"]
    assert run.notes == ("incomplete: stopped by Ctrl-C",)
    early = child(ENGINE, {**MODEL, "done_fraction": 0.1}, then="import time; time.sleep(60)")
    with pytest.raises(KeyboardInterrupt):  # nothing was measured yet
        bench_llama_cpp(BenchRequest(model_path=model_file), SUBJECT, progress=interrupt, command=early)


def test_sweeps_become_groups_of_tests(model_file: Path) -> None:
    request = BenchRequest(model_path=model_file, depths=(0, 4096), batches=(1, 8), threads=(2, 4))
    assert [[test.name for test in group] for group in request.groups()] == [
        ["pp512", "tg128", "tg128 x8"],
        ["pp512 @ d4096", "tg128 @ d4096"],
        ["pp512, 2 threads", "tg128, 2 threads"],
        ["pp512, 4 threads", "tg128, 4 threads"],
    ]


def test_a_crash_before_any_result_is_an_error(model_file: Path) -> None:
    command = child(
        ENGINE, MODEL, then="sys.stderr.write('CUDA error: out of memory'); sys.stderr.flush(); os.abort()"
    )
    with pytest.raises(BenchError) as caught:
        bench_llama_cpp(BenchRequest(model_path=model_file), SUBJECT, command=command)
    assert str(caught.value) == (
        'model.gguf: the engine crashed (SIGABRT); it said last: "CUDA error: out of memory"'
    )


def test_finishing_without_a_result_is_an_error(model_file: Path) -> None:
    with pytest.raises(BenchError, match="finished without a result"):
        bench_llama_cpp(
            BenchRequest(model_path=model_file), SUBJECT, command=child(ENGINE, MODEL, {"event": "done"})
        )


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no model file .*missing\.gguf; give the path"):
        bench_llama_cpp(BenchRequest(model_path=tmp_path / "missing.gguf"), SUBJECT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_prompt": 0, "n_gen": 0},
        {"n_prompt": -1},
        {"depths": ()},
        {"depths": (-1,)},
        {"n_threads": 0},
        {"n_ubatch": 0},
        {"budget_s": 0.0},
        {"kv_type": "q3"},
    ],
)
def test_a_senseless_request_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(BenchError):
        BenchRequest(model_path=tmp_path, **wrong)


def test_threads_are_physical_cores_within_what_may_be_used() -> None:
    def cpu(cores: int | None, usable: int) -> Cpu:
        return Cpu(model="x", n_sockets=1, n_physical_cores=cores, n_usable_threads=usable)

    assert default_threads(cpu(8, 16)) == 8  # hyper-threads are not used
    assert default_threads(cpu(64, 4)) == 4  # a container that may use four
    assert default_threads(cpu(None, 6)) == 6


# Lines as llama.cpp printed them, for a hybrid model (KV cache and recurrent state) and a mapped file.
HYBRID_LOG = """\
load_tensors:   CPU_Mapped model buffer size =   100.00 MiB
load_tensors:   CPU_REPACK model buffer size =    60.00 MiB
llama_context:        CPU  output buffer size =     0.50 MiB
llama_kv_cache:        CPU KV buffer size =    12.00 MiB
llama_kv_cache: size =   12.00 MiB (  1024 cells,   6 layers,  1/1 seqs), K (f16):    6.00 MiB, V (f16):    6.00 MiB
llama_memory_recurrent:        CPU RS buffer size =    19.00 MiB
llama_memory_recurrent: size =   19.00 MiB (     1 cells,  24 layers,  1 seqs  0 rs_seq), R (f32):    1.00 MiB, S (f32):   18.00 MiB, P (f32):    0.00 MiB
sched_reserve:        CPU compute buffer size =    30.25 MiB
"""
MIB = 2**20


def logged(lines: Sequence[str]) -> EngineLog:
    log = EngineLog()
    for line in lines:
        log.add(2, line)
    return log


def test_sizes_are_read_from_the_log_where_the_engine_cannot_be_asked() -> None:
    memory = summed_memory(logged(HYBRID_LOG.splitlines()), None, model_bytes=101 * MIB)
    # 60 MiB were repacked out of the 101 MiB file; of the map's 100 MiB only the other 41 count.
    assert memory.weights_bytes == 101 * MIB
    assert memory.kv_bytes == 12 * MIB
    assert memory.state_bytes == 19 * MIB
    assert memory.compute_bytes == 30.25 * MIB
    assert memory.output_bytes == 0.5 * MIB


def test_recurrent_state_is_told_from_the_cache_in_the_exact_sums() -> None:
    # Without allocation the buffers are printed as 0.00, but the summary line has the state's size.
    log = logged(
        [line.replace("12.00", "0.00") for line in HYBRID_LOG.splitlines() if "RS buffer" not in line]
    )
    buffers = (
        EngineBuffer(name="CPU", weights_bytes=40, context_bytes=31 * MIB, compute_bytes=5),
        EngineBuffer(name="CPU_REPACK", weights_bytes=60, context_bytes=0, compute_bytes=0),
    )
    memory = summed_memory(log, buffers, model_bytes=100)
    assert (memory.weights_bytes, memory.compute_bytes) == (100, 5)
    assert memory.state_bytes == 19 * MIB
    assert memory.kv_bytes == 12 * MIB  # 31 − 19


@pytest.fixture
def real_model(smollm2_path: Path) -> Path:
    if not engine_is_installed():
        pytest.skip("llama-cpp-python is not installed")
    return smollm2_path


@pytest.mark.engine
def test_the_real_engine_measures_the_real_model(real_model: Path) -> None:
    shown: list[float] = []
    request = BenchRequest(
        model_path=real_model, n_prompt=32, n_gen=4, depths=(0, 64), n_threads=1, budget_s=10
    )
    run = bench_llama_cpp(request, SUBJECT, progress=lambda part, _: shown.append(part))
    names = [item.name for item in run.measurements]
    # On a machine that is very busy the engine may have been given less to do, which it must then say.
    shortened = any("became" in note or "left out" in note for note in run.notes)
    assert names == ["pp32", "tg4", "pp32 @ d64", "tg4 @ d64"] or shortened
    assert run.n_threads == 1
    # SmolLM2-135M has 134,515,008 parameters (its card says 135M; the sum over its tensors is exact).
    assert run.n_parameters == 134_515_008
    assert run.model_bytes < real_model.stat().st_size  # tensors only; the file has a header, too
    assert (run.kv_type, run.n_batch, run.n_ubatch) == ("f16", 2048, 512)
    assert run.engine_build.startswith("llama-cpp-python 0.3.")
    assert run.memory is not None
    assert run.memory.weights_bytes >= run.model_bytes
    assert not [note for note in run.notes if "incomplete" in note]
    assert shown == sorted(shown)
    assert shown[-1] == 1.0


@pytest.mark.engine
def test_the_real_engine_runs_sequences_at_once_threads_and_a_long_depth(real_model: Path) -> None:
    request = BenchRequest(
        model_path=real_model, n_prompt=16, n_gen=4, batches=(4,), threads=(1,), long_depth=64, n_threads=1,
        budget_s=24,
    )  # fmt: skip
    run = bench_llama_cpp(request, SUBJECT)
    names = [item.name for item in run.measurements]
    shortened = any("became" in note or "left out" in note for note in run.notes)
    assert names == ["pp16", "tg4", "tg4 x4", "pp16, 1 thread", "tg4, 1 thread", "tg4 @ d64"] or shortened
    together = next(item for item in run.measurements if item.n_sequences == 4)
    assert together.n_tokens == 4 * together.n_generated_tokens
    assert all(item.cpu_s and min(item.cpu_s) > 0 for item in run.measurements)
    assert run.conditions is not None
    assert run.conditions.other_cores is not None
    assert run.conditions.measuring_s > 0


@pytest.mark.engine
def test_the_dry_sum_is_what_a_real_load_allocates(real_model: Path) -> None:
    request = MemoryRequest(model_path=real_model, n_context_tokens=4096, n_gpu_layers=0)
    dry = engine_memory(request)
    real = engine_memory(replace(request, allocate=True))
    assert dry.memory == real.memory
    # 30 layers × 2 (K and V) × 3 heads × 64 × 2 bytes × 4096 tokens = 94,371,840 bytes.
    assert dry.memory.kv_bytes == 94_371_840
    assert dry.memory.state_bytes == 0
    assert sum(buffer.weights_bytes for buffer in dry.buffers) == dry.memory.weights_bytes
    assert dry.n_context_tokens == 4096


@pytest.mark.engine
def test_memory_follows_the_flags(real_model: Path) -> None:
    request = MemoryRequest(model_path=real_model, n_context_tokens=1024, n_gpu_layers=0)
    one = engine_memory(request)
    eight_bit = engine_memory(replace(request, kv_type="q8_0"))
    plain = engine_memory(replace(request, flash_attention=False))
    # q8_0 keeps 32 values in 34 bytes where f16 takes 64.
    assert eight_bit.memory.kv_bytes * 64 == one.memory.kv_bytes * 34
    assert (one.flash_attention, plain.flash_attention) == (True, False)
    assert plain.memory.compute_bytes >= one.memory.compute_bytes  # attention scores are kept


@pytest.mark.engine
@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF\x03\x00\x00\x00" + b"\xff" * 100, b"not a model" * 99]
)
def test_a_broken_model_file_is_one_line(real_model: Path, tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(content)
    with pytest.raises(BenchError, match=r"^broken\.gguf: .*could not load") as caught:
        bench_llama_cpp(BenchRequest(model_path=broken), SUBJECT)
    assert "\n" not in str(caught.value)


@pytest.mark.engine
def test_a_truncated_model_is_one_line(real_model: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with real_model.open("rb") as source:
        cut.write_bytes(source.read(5_000_000))
    with pytest.raises(BenchError, match=r"^cut\.gguf: ") as caught:
        bench_llama_cpp(BenchRequest(model_path=cut), SUBJECT)
    assert "\n" not in str(caught.value)


@pytest.mark.engine
def test_the_engine_ends_with_whoever_started_it(real_model: Path) -> None:
    request = BenchRequest(model_path=real_model, n_prompt=512, n_gen=512, budget_s=120)
    with subprocess.Popen(
        [sys.executable, "-m", "planner.bench.llama_cpp_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    ) as engine:
        assert engine.stdin is not None
        assert engine.stdout is not None
        engine.stdin.write(request.to_json().encode() + b"\n")
        engine.stdin.flush()
        assert engine.stdout.readline()  # it is at work
        begin = time.monotonic()
        engine.stdin.close()  # as when the parent is killed
        engine.wait(timeout=20)
    assert time.monotonic() - begin < 20

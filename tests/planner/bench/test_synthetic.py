"""Synthetic benchmarks: what is written, that nothing is left, and the real engine on a real header."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hardware.units import GIB, MIB
from planner.api.gguf_headers import model_header
from planner.api.models import described_models, open_model
from planner.bench.planning_file import PlannedTensor
from planner.bench.protocol import BenchRequest, BenchSubject
from planner.bench.synthetic import bench_synthetic, turns
from planner.bench.synthetic_file import remove_stale, scratch_folder, write_shallow_file
from planner.bench.synthetic_plan import SyntheticPlan, plan_synthetic
from planner.errors import BenchError
from planner.estimate.described_model import DescribedModel
from planner.estimate.measurement import BenchRun
from planner.readers.gguf.file import read_gguf

SUBJECT = BenchSubject(
    model_name="a model",
    model_fingerprint="",
    quantization="Q4_K_M",
    machine_fingerprint="cd",
    machine_name="here",
)


def described(name: str, quant: str = "Q4_K_M") -> tuple[DescribedModel, Any]:
    opened = open_model(name)
    model = described_models(opened, (quant,))[0]
    return model, model_header(opened, model)


def planned(name: str, quant: str = "Q4_K_M", limit_bytes: int = 4 * GIB) -> SyntheticPlan:
    model, header = described(name, quant)
    return plan_synthetic(model, header.metadata, header.tensors, disk_limit_bytes=limit_bytes)


def test_two_files_of_a_quarter_and_a_half() -> None:
    plan = planned("qwen3-0.6b")
    assert [len(file.layers) for file in plan.files] == [7, 14]  # of 28
    for file in plan.files:
        assert file.metadata["qwen3.block_count"] == len(file.layers)
        names = {tensor.name for tensor in file.tensors}
        assert f"blk.{len(file.layers) - 1}.attn_q.weight" in names
        assert f"blk.{len(file.layers)}.attn_q.weight" not in names
        assert "token_embd.weight" in names


def test_less_disk_makes_them_shallower_and_too_little_is_one_line() -> None:
    plan = planned("qwen3-8b", limit_bytes=2 * GIB)
    assert plan.n_bytes <= 2 * GIB
    assert len(plan.files[-1].layers) < 18  # half of 36
    with pytest.raises(
        BenchError, match=r"would take .* of disk, allowed are 100\.0 MiB; allow more with --disk"
    ):
        planned("qwen3-8b", limit_bytes=100 * MIB)


def test_leading_dense_layers_are_kept() -> None:
    model, header = described("deepseek-v3")
    plan = plan_synthetic(model, header.metadata, header.tensors, disk_limit_bytes=2**40)
    n_dense = sum(
        len(group.layers) for group in model.network.groups if getattr(group.block, "n_experts", None) is None
    )
    assert n_dense == 3
    for file in plan.files:
        assert file.layers[:3] == (0, 1, 2)
        assert file.metadata["deepseek2.leading_dense_block_count"] == 3
        assert len(file.layers) not in (26, 27, 47, 48)  # the engine would take them for other variants


def test_windows_keep_their_pattern() -> None:
    for file in planned("gemma-3-4b-it").files:
        assert len(file.layers) % 6 == 0


def test_lists_with_an_entry_per_layer_are_cut_with_the_layers() -> None:
    model, header = described("qwen3-0.6b")
    metadata = {**header.metadata, "qwen3.attention.head_count_kv": tuple(range(28))}
    plan = plan_synthetic(model, metadata, header.tensors, disk_limit_bytes=4 * GIB)
    for file in plan.files:
        assert file.metadata["qwen3.attention.head_count_kv"] == file.layers


def test_layers_tied_together_are_refused() -> None:
    model, header = described("qwen3-0.6b")
    with pytest.raises(BenchError, match=r"cannot be cut .*shared_kv_layers"):
        plan_synthetic(
            model,
            {**header.metadata, "qwen3.attention.shared_kv_layers": 10},
            header.tensors,
            disk_limit_bytes=4 * GIB,
        )


def test_a_written_file_reads_back_with_its_tensors(tmp_path: Path) -> None:
    plan = planned("qwen3-0.6b")
    file = replace(plan.files[0], tensors=plan.files[0].tensors[-20:])
    path = write_shallow_file(tmp_path / "x.gguf", file, n_vocabulary=plan.n_vocabulary)
    found = read_gguf(path)
    assert [(t.name, t.shape, t.type_id, t.n_bytes) for t in found.tensors] == [
        (t.name, t.shape, t.type_id, t.n_bytes) for t in file.tensors
    ]
    assert found.metadata["tokenizer.ggml.model"] == "no_vocab"
    assert path.stat().st_size == found.file_bytes


def test_the_folder_is_gone_afterwards_whatever_happened(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path / "synthetic") as folder:
        (folder / "a.gguf").write_bytes(b"x")
        raise KeyboardInterrupt
    assert not (tmp_path / "synthetic").exists()


def test_what_a_killed_program_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom planner.bench.synthetic_file import scratch_folder\n"
        f"with scratch_folder(Path({str(tmp_path)!r})) as folder:\n"
        "    (folder / 'a.gguf').write_bytes(b'x' * 1000)\n    print(folder, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        assert remove_stale(tmp_path) == 0
        assert (left / "a.gguf").exists()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert (left / "a.gguf").exists()
    with scratch_folder(tmp_path):
        assert not left.exists()


ENGINE = {"event": "engine", "build": "B", "system_info": "S", "backend": "CPU"}
LOADED = {"event": "model", "n_threads": 2, "n_gpu_layers": 0}


def sample(file: int, phase: str, n_tokens: int, sample_s: float) -> dict[str, Any]:
    return {
        "event": "sample", "file": file, "phase": phase, "n_tokens": n_tokens, "n_depth": 0,
        "sample_s": sample_s, "cpu_s": 2 * sample_s,
    }  # fmt: skip


def child(*events: dict[str, Any], then: str = "") -> list[str]:
    lines = "\n".join(json.dumps(event) for event in events)
    return [
        sys.executable,
        "-c",
        f"import os, sys; sys.stdin.readline()\nprint({lines!r}, flush=True)\n{then}",
    ]


def test_the_run_is_the_extrapolation_and_says_so_everywhere(tmp_path: Path) -> None:
    model, header = described("qwen3-0.6b")
    plan = plan_synthetic(model, header.metadata, header.tensors, disk_limit_bytes=GIB)
    events: list[dict[str, Any]] = [ENGINE, LOADED]
    for _ in range(6):
        # 7 layers take 0.17 s, 14 take 0.24 s: 0.01 s per layer and 0.1 s beside them, so 28 take 0.38 s.
        events += [sample(0, "prefill", 512, 0.17), sample(1, "prefill", 512, 0.24)]
    run = bench_synthetic(
        model,
        plan,
        BenchRequest(model_path=Path()),
        SUBJECT,
        folder=tmp_path / "scratch",
        cache_bytes=GIB,
        command=child(*events, {"event": "done"}),
    )
    (measured,) = run.measurements
    assert measured.samples_s[0] == pytest.approx(0.38, rel=1e-3)
    assert measured.low_s is not None
    assert measured.low_s < 0.38
    assert run.synthetic is not None
    assert run.synthetic.files[1].tests[0].samples_s == (0.24,) * 6
    assert run.synthetic.files[1].tests[0].cpu_s == (0.48,) * 6
    assert run.notes[0].startswith("synthetic: the model was not run")
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize(
    ("name", "cache_bytes", "n_groups"),
    [
        (
            "qwen3-0.6b",
            GIB,
            1,
        ),  # the two files read about what the model does: one after the other stands for it
        (
            "gemma-3-270m-it",
            GIB,
            2,
        ),  # both hold the large vocabulary: together they read far more than the model
        ("gemma-3-270m-it", 32 * MIB, 1),  # which a small cache cannot notice
        ("qwen3-0.6b", None, 1),
    ],
)
def test_between_two_uses_of_a_weight_as_much_is_read_as_in_the_whole_model(
    name: str, cache_bytes: int | None, n_groups: int
) -> None:
    model, header = described(name)
    plan = plan_synthetic(model, header.metadata, header.tensors, disk_limit_bytes=GIB)
    how = turns(model, plan.files, cache_bytes)
    assert len(how.groups) == n_groups
    assert sorted(number for group in how.groups for number in group) == [0, 1]
    whole = sum(weight.read_bytes_per_token for weight in model.storage.weights)
    needed = min(whole, 4 * (cache_bytes or 128 * MIB))
    for group in how.groups:
        read = sum(plan.files[number].n_bytes + how.other_bytes[number] for number in group)
        assert read > 0.99 * needed
        if needed == whole:  # all of it would fit into the cache several times: more would be too cold
            assert read < 1.21 * whole


def test_ctrl_c_keeps_what_was_measured_if_it_is_enough(tmp_path: Path) -> None:
    model, header = described("qwen3-0.6b")
    plan = plan_synthetic(model, header.metadata, header.tensors, disk_limit_bytes=GIB)
    plan = replace(plan, files=tuple(replace(file, tensors=file.tensors[-3:]) for file in plan.files))

    def interrupt(done: float, text: str) -> None:
        if text == "now":
            raise KeyboardInterrupt

    def stopped_after(*events: dict[str, Any]) -> BenchRun:
        last = {"event": "loading", "done_fraction": 0.9, "text": "now"}
        return bench_synthetic(
            model,
            plan,
            BenchRequest(model_path=Path()),
            SUBJECT,
            folder=tmp_path / "scratch",
            cache_bytes=None,
            progress=interrupt,
            command=child(ENGINE, LOADED, *events, last, then="import time; time.sleep(60)"),
        )

    run = stopped_after(sample(0, "prefill", 512, 0.17), sample(1, "prefill", 512, 0.24))
    assert [item.name for item in run.measurements] == ["pp512"]
    assert run.notes[-1].endswith("stopped by Ctrl-C")
    with pytest.raises(KeyboardInterrupt):  # the deeper file has not been timed yet
        stopped_after(sample(0, "prefill", 512, 0.17))
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("os.kill(os.getpid(), 9)", "killed \\(signal 9\\)"),
        ("os.kill(os.getpid(), 11)", "crashed \\(SIGSEGV\\)"),
        ("import time; time.sleep(600)", "took longer than"),
    ],
)
def test_an_engine_that_dies_or_hangs_leaves_nothing(tmp_path: Path, then: str, said: str) -> None:
    model, header = described("qwen3-0.6b")
    plan = plan_synthetic(model, header.metadata, header.tensors, disk_limit_bytes=GIB)
    plan = replace(plan, files=tuple(replace(file, tensors=file.tensors[-3:]) for file in plan.files))
    started = time.monotonic()
    with pytest.raises(BenchError, match=said):
        bench_synthetic(
            model,
            plan,
            BenchRequest(model_path=Path(), load_limit_s=2),
            SUBJECT,
            folder=tmp_path / "scratch",
            cache_bytes=None,
            command=child(ENGINE, then=then),
        )
    assert time.monotonic() - started < 60
    assert not (tmp_path / "scratch").exists()


@pytest.mark.engine
@pytest.mark.parametrize("name", ["qwen3-0.6b", "gemma-3-270m-it"])
def test_the_real_engine_runs_the_files(tmp_path: Path, name: str) -> None:
    model, header = described(name)
    plan = plan_synthetic(model, header.metadata, header.tensors, disk_limit_bytes=GIB)
    run = bench_synthetic(
        model,
        plan,
        BenchRequest(model_path=Path(), n_prompt=32, n_gen=8, n_threads=1, budget_s=6),
        SUBJECT,
        folder=tmp_path / "scratch",
        cache_bytes=32 * MIB,
    )
    assert run.synthetic is not None
    assert len(run.synthetic.files) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_type_of_a_fork_is_refused_before_anything_runs(tmp_path: Path) -> None:
    plan = planned("qwen3-0.6b")
    tensor = PlannedTensor(name="blk.0.attn_q.weight", shape=(256, 1), type_id=137, n_bytes=76)
    with pytest.raises(BenchError, match="137"):
        write_shallow_file(tmp_path / "x.gguf", replace(plan.files[0], tensors=(tensor,)), n_vocabulary=9)

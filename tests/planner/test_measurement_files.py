"""Runs of our own benchmarks as rows, beside files that others wrote."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hardware.inspect import inspect_machine, machine_fingerprint
from planner import api
from planner.api.measurement_files import measurement_table
from planner.bench.store import save_run
from planner.errors import MalformedError, MissingFactError
from planner.estimate.measurement import Synthetic
from planner.readers.measurements.llama_bench_fields import EXTRAPOLATED, PROMPTS_TOGETHER
from planner.report.llama_bench import AS_LLAMA_BENCH
from tests.planner.bench.test_store import RUN

GPU_RUN = replace(RUN, backend="CUDA", n_gpu_layers=-1, model_name="SmolLM2 135M")
GIVEN = api.Given(device="RTX 4090", model="smollm2-135m-instruct")


def test_a_run_gives_a_row_for_each_measurement(tmp_path: Path) -> None:
    prompt, generation = measurement_table(save_run(GPU_RUN, tmp_path), GIVEN).rows
    assert (prompt["test"], prompt["n_prompt"], prompt["device"]) == ("pp512", "512", "RTX 4090")
    # 2.0 and 2.5 s: the lower quartile of time is 2.125 s for 512 tokens.
    assert float(prompt["tok_s"]) == pytest.approx(512 / 2.125)
    assert (generation["test"], generation["n_depth"], generation["ngl"]) == ("tg128 @ d4096", "4096", "all")


def test_a_run_of_another_machine_asks_what_ran_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFactError, match="which device ran it; add --device"):
        measurement_table(save_run(GPU_RUN, tmp_path))
    with pytest.raises(MissingFactError, match="which processor ran it"):
        measurement_table(save_run(RUN, tmp_path))


def test_a_run_of_this_machine_knows_its_processor(tmp_path: Path) -> None:
    machine = inspect_machine()
    assert machine.cpu is not None
    here = replace(RUN, machine_fingerprint=machine_fingerprint(machine))
    rows = measurement_table(save_run(here, tmp_path)).rows
    assert {row["device"] for row in rows} == {machine.cpu.model}


@pytest.mark.parametrize("kind", sorted(AS_LLAMA_BENCH))
def test_our_exports_are_read_as_llama_benchs_own(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text(AS_LLAMA_BENCH[kind]([GPU_RUN]), encoding="utf-8")
    direct = measurement_table(save_run(GPU_RUN, tmp_path / "runs"), GIVEN).rows
    exported = measurement_table(path, GIVEN).rows
    for run_row, row in zip(direct, exported, strict=True):
        for column in ("n_prompt", "n_gen", "n_depth", "device"):
            assert row[column] == run_row[column]
        assert float(row["file_size_gib"]) == pytest.approx(float(run_row["file_size_gib"]), rel=0.01)
        # The export states the mean of the repetitions, a run its lower quartile of time.
        assert float(row["tok_s"]) == pytest.approx(float(run_row["tok_s"]), rel=0.1)


def test_extrapolated_and_batched_figures_are_told_apart(tmp_path: Path) -> None:
    together = [replace(item, n_sequences=4, n_threads=3) for item in RUN.measurements]
    run = replace(GPU_RUN, measurements=(*RUN.measurements, *together))
    rows = measurement_table(save_run(run, tmp_path), GIVEN).rows
    assert [row["n_sequences"] for row in rows] == ["1", "1", "4", "4"]
    assert [row["left_out"] for row in rows] == ["", "", PROMPTS_TOGETHER, ""]
    assert [row["threads"] for row in rows] == ["2", "2", "3", "3"]
    # 128 tokens of each of 4 sequences in 1.25 s.
    assert float(rows[3]["tok_s"]) == pytest.approx(4 * 128 / 1.25)
    synthetic = replace(GPU_RUN, synthetic=Synthetic(n_layers=30, files=(), disk_bytes=0, writing_s=0.0))
    rows = measurement_table(save_run(synthetic, tmp_path / "synthetic"), GIVEN).rows
    assert {row["left_out"] for row in rows} == {EXTRAPOLATED}
    path = tmp_path / "export.json"
    path.write_text(AS_LLAMA_BENCH["json"]([synthetic]), encoding="utf-8")
    rows = measurement_table(path, replace(GIVEN, quantization="Q4_1")).rows
    assert {row["left_out"] for row in rows} == {EXTRAPOLATED}


def test_a_damaged_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    content = {"kind": "planner-bench-run", "schema_version": 1, "run": asdict(RUN) | {"n_threads": "two"}}
    path.write_text(json.dumps(content))
    with pytest.raises(MalformedError, match=r"is no benchmark run: BenchRun.n_threads is 'two'"):
        measurement_table(path)


def test_serving_results_cannot_fit_llama_cpp(tmp_path: Path) -> None:
    path = tmp_path / "vllm.json"
    path.write_text(
        json.dumps({"model_id": "Qwen/Qwen3-32B", "mean_ttft_ms": 1.0, "mean_tpot_ms": 1.0, "completed": 1,
                    "total_input_tokens": 8, "total_output_tokens": 8, "max_concurrency": 1})
    )  # fmt: skip
    with pytest.raises(MalformedError, match="latencies of a serving engine"):
        api.calibrate_speed([path], date="2026-01-01", given=api.Given(device="H100 SXM", engine="vllm"))

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

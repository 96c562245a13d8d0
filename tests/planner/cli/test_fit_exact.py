"""`planner fit --exact`: the engine's plan in the document, and every way in which there is none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from planner.api import engine_plans
from planner.api.fitting import fit
from planner.api.models import described_models, open_model
from planner.bench.llama_cpp import engine_is_installed
from planner.bench.plan_question import PlanQuestion
from planner.bench.referee import Referee
from planner.cli.main import planner
from planner.engines.llama_cpp import TensorOverride
from planner.estimate.engine_plan import EngineFailure

engine = pytest.mark.skipif(not engine_is_installed(), reason="llama-cpp-python is not installed")
MACHINE = "2x RTX 4090, 64GiB DDR5-5600"


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["fit", *arguments], catch_exceptions=False)


def test_exact_asks_about_one_model() -> None:
    result = run("--exact", "--on", MACHINE)
    assert result.exit_code == 2
    assert "name it" in result.output


def test_without_an_engine_it_says_how_to_add_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.bench.llama_cpp.engine_is_installed", lambda: False)
    result = run("qwen3-8b", "--exact", "--on", MACHINE)
    assert result.exit_code == 1
    assert "pip install" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_model_without_a_header_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_plans, "require_engine", lambda: None)
    result = run("minimax-m2", "--exact", "--on", "8x H200 SXM, 2TiB", "--quant", "Q8_0", "--context", "8k")
    assert result.exit_code == 1
    assert "name a GGUF" in result.output


def test_a_failing_engine_is_a_note_and_our_answer_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Referee, __: PlanQuestion) -> EngineFailure:
        return EngineFailure(problem="the engine crashed (SIGABRT)", hint="try less")

    monkeypatch.setattr(engine_plans, "require_engine", lambda: None)
    monkeypatch.setattr(Referee, "ask", fail)
    result = run(
        "qwen3-8b", "--exact", "--on", MACHINE, "--quant", "Q4_K_M", "--context", "8k", "--format", "json"
    )
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert data["rows"][0]["fits"] is True
    (row,) = data["engine"]["rows"]
    assert (row["problem"], row["devices"]) == ("the engine crashed (SIGABRT)", [])
    text = run("qwen3-8b", "--exact", "--on", MACHINE, "--quant", "Q4_K_M", "--context", "8k").stdout
    assert "gave no plan" in " ".join(text.split())
    assert "SIGABRT" in text


@pytest.mark.engine
@engine
def test_both_answers_term_by_term() -> None:
    words = ("llama-3.3-70b-instruct", "--exact", "--on", MACHINE, "--quant", "Q4_K_M", "--context", "8k,16k")
    data = json.loads(run(*words, "--format", "json").stdout)
    assert [row["n_context_tokens"] for row in data["engine"]["rows"]] == [8192, 16384]
    for row in data["engine"]["rows"]:
        assert row["problem"] is None
        assert row["n_copies"] == 4  # two GPUs at once
        for device in row["devices"]:
            assert device["engine_bytes"] == sum(term["engine_bytes"] for term in device["terms"])
        cache = {d["name"]: t for d in row["devices"] for t in d["terms"] if t["name"] == "KV cache"}
        # Layers · tokens · (K + V) · 8 heads · 128 · 2 bytes, over both GPUs.
        assert (
            sum(term["engine_bytes"] for term in cache.values())
            == 80 * row["n_context_tokens"] * 2 * 8 * 128 * 2
        )
        assert all(term["difference_bytes"] == 0 for term in cache.values())
    text = run(*words).stdout
    assert "planned 2 of these 2 without loading anything" in " ".join(text.split())
    table = text.partition("Ours and llama.cpp's")[2].partition("\n\n")[0]
    assert "GPU 1   sum" in table
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.engine
@engine
def test_a_file_that_is_here_is_asked_about_itself(smollm2_path: Path) -> None:
    result = run(
        str(smollm2_path),
        "--exact",
        "--on",
        "RTX 4090, 64GiB DDR5-5600",
        "--context",
        "4k",
        "--format",
        "json",
    )
    (row,) = json.loads(result.stdout)["engine"]["rows"]
    terms = {term["name"]: term for device in row["devices"][:1] for term in device["terms"]}
    assert terms["KV cache"]["engine_bytes"] == 30 * 4096 * 2 * 3 * 64 * 2
    # CUDA pads rows to 512 elements, and the hidden size of 576 is no multiple of that.
    assert terms["weights"]["difference_bytes"] == 0


@pytest.mark.engine
@engine
def test_a_file_elsewhere_is_planned_by_its_header_alone(smollm2_path: Path, tmp_path: Path) -> None:
    # As if the file lay on a hub: no path, the header read again, its vocabulary left out.
    opened = replace(open_model(str(smollm2_path)), path=None)
    (model,) = described_models(opened)
    hollow = engine_plans.model_file(opened, model, tmp_path)
    assert hollow.stat().st_blocks * 512 < 2**20
    question = PlanQuestion(model_path=smollm2_path, n_context_tokens=4096)
    with Referee() as referee:
        whole, planned = (referee.plan(replace(question, model_path=path)) for path in (smollm2_path, hollow))
    assert replace(planned, planning_s=0) == replace(whole, planning_s=0)


def test_the_question_has_every_flag_and_device() -> None:
    answer = fit("qwen3-30b-a3b", on="RTX 3060, 64GiB DDR5-5600", contexts=(8192,), quants=("Q4_K_M",))
    (row,) = answer.rows
    override = TensorOverride(pattern="attn_k", device="GPU 0")
    split = replace(row.placement.split, n_cpu_moe=2, overrides=(override,))
    flags = replace(row.placement.flags, k_type="Q8_0", v_type="Q8_0", mmap=False, rollback_sequences=1)
    asked = engine_plans.question_for(
        replace(row, placement=replace(row.placement, split=split, flags=flags)), Path("m.gguf")
    )
    assert [gpu.backend for gpu in asked.gpus] == ["CUDA"]
    assert asked.gpus[0].free_bytes == row.placement.loads[0].device.capacity_bytes
    assert asked.tensor_overrides[0] == ("attn_k", "CUDA0")
    assert [pattern[:6] for pattern, _ in asked.tensor_overrides[1:]] == ["blk\\.0", "blk\\.1"]
    assert (asked.k_type, asked.use_mmap, asked.n_rollback_states) == ("Q8_0", False, 1)
    assert asked.n_gpu_layers == split.n_gpu_layers

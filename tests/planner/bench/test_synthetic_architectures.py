"""Shallow files of every kind of architecture load and run in the real engine, and their experts are picked evenly.

The headers are those of published models with their sizes made small; the shallow files get random weights.
"""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hardware.units import GIB, MIB
from planner.api.gguf_headers import model_header
from planner.api.models import described_models, open_model
from planner.bench.llama_cpp import engine_is_installed
from planner.bench.protocol import BenchRequest, BenchSubject
from planner.bench.synthetic import bench_synthetic
from planner.bench.synthetic_file import write_shallow_file
from planner.bench.synthetic_plan import ShallowFile, SyntheticPlan, plan_synthetic
from planner.estimate.described_model import DescribedModel
from tests.conformance.headers import PUBLISHED, Published, write_published

SUBJECT = BenchSubject(
    model_name="a model",
    model_fingerprint="",
    quantization="F16",
    machine_fingerprint="cd",
    machine_name="here",
)


def small(model: Published) -> Published:
    """The same architecture with little in it: 12 layers, narrow, few experts, a small vocabulary."""
    keys = dict(model.keys)
    for key, value in (
        ("expert_count", 8), ("expert_used_count", 2), ("expert_feed_forward_length", 128),
        ("expert_shared_feed_forward_length", 128), ("attention.q_lora_rank", 64), ("attention.kv_lora_rank", 64),
        ("ssm.inner_size", 256), ("ssm.state_size", 32), ("ssm.time_step_rank", 8), ("ssm.group_count", 4),
    ):  # fmt: skip
        if key in keys:
            keys[key] = min(value, keys[key])
    if model.architecture == "deepseek2":
        keys["attention.key_length_mla"], keys["attention.value_length_mla"] = 96, 64
    key_length = 64 + 64 if model.architecture == "deepseek2" else 64
    return replace(
        model, n_layers=12, hidden=256, vocab=1024, heads=4, kv_heads=min(model.kv_heads, 2), ffn=512,
        key_length=key_length, value_length=64, rope=32 if model.architecture == "qwen3next" else 64, keys=keys,
    )  # fmt: skip


def planned(path: Path, model: Published) -> tuple[DescribedModel, SyntheticPlan]:
    write_published(path, small(model))
    opened = open_model(str(path))
    described = described_models(opened)[0]
    header = model_header(opened, described)
    return described, plan_synthetic(described, header.metadata, header.tensors, disk_limit_bytes=4 * GIB)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_pattern_of_every_published_model_is_kept(tmp_path: Path, name: str) -> None:
    model, plan = planned(tmp_path / "x.gguf", PUBLISHED[name])
    period = {"gemma3": 6, "gpt-oss": 2, "qwen3next": 4}.get(PUBLISHED[name].architecture, 1)
    leading = PUBLISHED[name].keys.get("leading_dense_block_count", 0)
    for file in plan.files:
        assert (len(file.layers) - leading) % period == 0
        assert file.layers[:leading] == tuple(range(leading))
        kinds = [group for i in file.layers for group in model.network.groups if i in group.layers]
        own = [group for i in range(len(file.layers)) for group in model.network.groups if i in group.layers]
        assert kinds == own  # the same kinds, in the order in which the engine will take them


@pytest.mark.engine
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_real_engine_runs_shallow_files_of_every_architecture(tmp_path: Path, name: str) -> None:
    if not engine_is_installed():
        pytest.skip("llama-cpp-python is not installed")
    model, plan = planned(tmp_path / "x.gguf", PUBLISHED[name])
    run = bench_synthetic(
        model,
        plan,
        BenchRequest(model_path=Path(), n_prompt=16, n_gen=4, n_threads=1, n_gpu_layers=0, budget_s=2),
        SUBJECT,
        folder=tmp_path / "scratch",
        cache_bytes=MIB,
    )
    assert run.synthetic is not None
    assert all(test.samples_s for file in run.synthetic.files for test in file.tests)


@pytest.mark.engine
@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "gpt-oss-20b", "deepseek-v3", "qwen3-next-80b"])
def test_experts_are_picked_about_evenly(tmp_path: Path, name: str) -> None:
    if not engine_is_installed():
        pytest.skip("llama-cpp-python is not installed")
    published = replace(small(PUBLISHED[name]), n_layers=8)
    published.keys.update(expert_count=32, expert_used_count=4)
    write_published(tmp_path / "header.gguf", published)
    opened = open_model(str(tmp_path / "header.gguf"))
    model = described_models(opened)[0]
    header = model_header(opened, model)
    whole = ShallowFile(layers=tuple(range(8)), metadata=header.metadata, tensors=header.tensors)
    path = write_shallow_file(tmp_path / "whole.gguf", whole, n_vocabulary=1024)
    command = [sys.executable, "-m", "tests.planner.bench.routing_child", str(path), "4", "150"]
    root = Path(__file__).parents[3]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout)
    assert found["finite"]
    for counts in found["layers"]:
        shares = [count / sum(counts) for count in counts]
        evenness = -sum(share * math.log(share) for share in shares) / math.log(32)
        # Even picks of 600 among 32 give 0.99; outputs of usual size, which drift, gave 0.76 to 0.85.
        assert evenness > 0.93, (name, evenness)
        assert max(shares) * 32 < 4

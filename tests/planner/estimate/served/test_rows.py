"""Recorded start-ups: how a row is read, what cannot be placed, and how far off the predictions are."""

import csv
import os
import statistics
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.estimate.served.component import Component
from planner.estimate.served.names import candidates
from planner.estimate.served.rows import ServedPrediction, predict
from planner.readers.catalogue_lookup import catalogue_resolver

SHARED = Path(os.environ.get("PLANNER_EVIDENCE", Path(__file__).parents[4] / "shared"))
TRUTH = SHARED / "truth" / "memory_vllm.csv"
resolve = catalogue_resolver()
QWEN = {
    "engine": "vllm", "version": "0.19.2rc1.dev134+gfe9c3d6c5", "model": "Qwen/Qwen3.6-35B-A3B",
    "dtype": "torch.bfloat16", "quantization": "None", "kv_cache_dtype": "auto", "tp": "1",
    "max_model_len": "131072", "weights_load_gib": "64.69", "kv_cache_gib": "47.55", "kv_tokens": "623040",
    "max_concurrency_x": "18.44", "hybrid_attn_block_tokens": "1056",
}  # fmt: skip


def placed(row: dict[str, str]) -> ServedPrediction:
    found = predict(row, resolve)
    assert isinstance(found, ServedPrediction), found
    return found


def component(found: ServedPrediction, name: str) -> Component:
    return next(part for part in found.components if part.name == name)


def test_a_row_is_predicted_component_by_component() -> None:
    found = placed(QWEN)
    assert found.engine == "vllm"
    tokens = component(found, "kv_tokens")
    assert tokens.expected == 623_040
    assert tokens.given == "the cache's size as printed"
    weights = component(found, "weights").error_fraction
    assert weights is not None
    assert weights < 0.02
    assert component(found, "kv_pool").reason == "the row does not say on which GPU it ran, nor its memory"


def test_an_fp8_cache_is_told_by_the_block() -> None:
    row = QWEN | {"hybrid_attn_block_tokens": "2096", "kv_tokens": ""}
    assert any("FP8 cache" in note for note in placed(row).notes)


def test_unknown_models_engines_and_splits_are_reasons() -> None:
    assert (
        predict(QWEN | {"model": "acme/unheard-of"}, resolve)
        == "the catalogue has no model called 'acme/unheard-of'"
    )
    assert predict(QWEN | {"engine": "exllama"}, resolve) == "engine 'exllama' is not vLLM or SGLang"
    row = QWEN | {"tp": "", "notes": "per rank, multi-node"}
    assert predict(row, resolve) == "the row does not say over how many GPUs the model is split (tp)"
    drafted = QWEN | {"speculative": "SpeculativeConfig(method='eagle3'"}
    assert "draft model" in str(predict(drafted, resolve))
    assert "expected a number" in str(predict(QWEN | {"tp": "two"}, resolve))


def test_weights_of_mixed_quantizations_are_not_guessed() -> None:
    found = placed(QWEN | {"model": "someone/Qwen3.6-35B-A3B-NVFP4", "quantization": "compressed"})
    weights = component(found, "weights")
    assert weights.expected is None
    assert weights.reason is not None
    assert "stands only in the repository's config" in weights.reason
    assert component(found, "kv_tokens").expected == 623_040  # the cache is the network's


def test_names_are_whole_never_parts() -> None:
    names = [name for name, _ in candidates("/root/models/Qwen/Qwen3-32B-AWQ-4bit")]
    assert "Qwen/Qwen3-32B-AWQ-4bit" in names
    assert "Qwen/Qwen3-32B" in names
    assert "Qwen3" not in names
    cached = "/x/hub/models--cyankiwi--Qwen3.6-35B-A3B-AWQ-4bit/snapshots/7a1c0c26c56e"
    assert next(candidates(cached)) == ("cyankiwi/Qwen3.6-35B-A3B-AWQ-4bit", False)
    assert ("Qwen3.6-35B-A3B", True) in list(candidates(cached))


CELLS = st.sampled_from(
    [
        "",
        "0",
        "-1",
        "1",
        "3",
        "16",
        "0.9",
        "1.5",
        "1e9",
        "nan",
        "x",
        "True",
        "None",
        "auto",
        "fp8",
        "int4",
        "100000",
    ]
)
COLUMNS = (
    "version", "model", "dtype", "quantization", "kv_cache_dtype", "tp", "pp", "dp", "ep", "gpu", "max_model_len",
    "total_gpu_mem_gib", "gpu_memory_utilization_or_mem_fraction", "max_num_seqs_or_running", "notes",
    "max_num_batched_tokens_or_chunk", "speculative", "weights_load_gib", "kv_cache_gib", "kv_tokens", "gpu_blocks",
    "cpu_blocks", "hybrid_attn_block_tokens", "sgl_avail_after_load_gb", "sgl_kv_gb", "sgl_k_gb", "sgl_v_gb",
    "sgl_mamba_slots", "sgl_dp_attention", "max_concurrency_len_tokens",
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(engine=st.sampled_from(["vllm", "sglang"]), cells=st.dictionaries(st.sampled_from(COLUMNS), CELLS))
def test_any_row_is_predicted_or_has_a_reason(engine: str, cells: dict[str, str]) -> None:
    found = predict(QWEN | {"engine": engine} | cells, resolve)
    if isinstance(found, str):
        assert found
        return
    for part in found.components:
        assert part.expected is not None or part.reason, part


@pytest.mark.skipif(not TRUTH.exists(), reason="the table of recorded start-ups is not here")
def test_recorded_starts_by_model() -> None:
    errors: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with TRUTH.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found = predict(row, resolve)
            if isinstance(found, str):
                continue
            for part in found.components:
                if part.error_fraction is not None:
                    errors[found.engine, part.name][found.model].append(part.error_fraction)

    def spread(engine: str, name: str) -> tuple[float, float, int]:
        groups = sorted(statistics.median(values) for values in errors[engine, name].values())
        return statistics.median(groups), groups[int(0.9 * len(groups))], len(groups)

    for engine in ("vllm", "sglang"):
        median, _, n = spread(engine, "kv_tokens")
        assert n >= 7
        assert median <= 0.003
    assert spread("vllm", "kv_tokens")[1] <= 0.02
    assert spread("vllm", "weights")[0] <= 0.01
    assert spread("vllm", "kv_pool")[0] <= 0.06

"""Rows of measured latencies, as the deployments that they mean."""

import pytest

from planner.api.serving_rows import row_reader
from planner.engines.sharding import Parallel
from planner.errors import MissingFactError

READER = row_reader()
# A row of the sample in the aiconfigurator-core wheel: DeepSeek-R1 on eight B200 with TensorRT-LLM.
ROW = {
    "mode": "agg", "backend": "trtllm", "model_path": "deepseek-ai/DeepSeek-R1", "system": "b200_sxm", "precision": "fp4",
    "isl": "8192", "osl": "1024", "batch_size": "64", "tp_size": "8", "pp_size": "1", "attention_dp_size": "1",
    "moe_tp_size": "1", "moe_ep_size": "8", "silicon_ttft_ms": "2040", "silicon_tpot_ms": "15.4",
    "silicon_data_source": "source_file=2026-04-06.csv; silicon_concurrency=64",
}  # fmt: skip


def test_a_row_is_its_deployment() -> None:
    found = READER.read(ROW)
    assert found.deployment.load.ranks == Parallel(tensor=8, expert=8)
    assert found.deployment.n_requests == 64
    assert found.deployment.cache_element_bytes == 1.0
    assert found.deployment.weight_unit == "fp4"
    assert (found.tpot_s, found.ttft_s) == (0.0154, 2.04)


def test_a_product_of_ranks_is_the_machine_of_eight_that_it_came_from() -> None:
    # The sample has rows twice: tp 8, ep 8 as tp 64 with 8 x 8 experts, and eight replicas as 64.
    once = READER.read(ROW)
    twice = READER.read(ROW | {"tp_size": "64", "moe_tp_size": "8"})
    assert twice.identity == once.identity
    replicas = ROW | {"tp_size": "1", "batch_size": "8", "attention_dp_size": "8"}
    as_product = ROW | {"tp_size": "1", "batch_size": "1", "attention_dp_size": "64", "moe_tp_size": "8"}
    assert READER.read(replicas).deployment.load.ranks == Parallel(tensor=8, attention_replicas=8, expert=8)
    assert READER.read(as_product).identity == READER.read(replicas).identity


def test_without_the_concurrency_a_batch_is_one_replicas() -> None:
    row = ROW | {"tp_size": "1", "attention_dp_size": "8", "batch_size": "8", "silicon_data_source": ""}
    assert READER.read(row).deployment.n_requests == 64


def test_a_source_that_leaves_the_requests_in_flight_out_is_no_load() -> None:
    row = ROW | {"silicon_data_source": "source_file=qwen3_32b.csv; gtl_job_id=23364591"}
    with pytest.raises(MissingFactError, match="how many requests were in flight is not said"):
        READER.read(row)


@pytest.mark.parametrize(
    ("changes", "is_scaled"),
    [
        ({"model_path": "Qwen/Qwen3-32B"}, False),
        ({"model_path": "Qwen/Qwen3-32B", "gemm_quant_mode": "fp8_block"}, True),
        ({"model_path": "Qwen/Qwen3.5-397B-A17B", "moe_quant_mode": "fp8_block"}, True),
        ({"model_path": "Qwen/Qwen3-235B-A22B-FP8", "gemm_quant_mode": "fp8"}, True),
    ],
)
def test_scales_by_blocks_are_read_off_the_row_or_the_makers_copy(
    changes: dict[str, str], is_scaled: bool
) -> None:
    load = READER.read(ROW | {"precision": "fp8", "moe_ep_size": "1"} | changes).deployment.load
    assert bool(load.counts["scaled"]) == is_scaled


@pytest.mark.parametrize(
    ("model", "precision", "bits"),
    [
        ("meta-llama/Llama-2-70b-chat-hf", "fp8", 8),  # published as F16, which is no FP8
        ("meta-llama/Llama-3.1-70B-Instruct", "fp8", 8),
        ("meta-llama/Llama-2-70b-chat-hf", "bf16", 16),
    ],
)
def test_weights_are_as_wide_as_the_row_says(model: str, precision: str, bits: int) -> None:
    # 70B models have 68.5e9 weights in their layers' matrices.
    load = READER.load(model, precision, Parallel())
    n_bytes = load.parts["attention"].n_bytes + load.parts["dense"].n_bytes
    assert n_bytes * 8 / bits == pytest.approx(68.5e9, rel=0.01)


def test_words_for_the_storage_are_taken_off_a_name() -> None:
    found = READER.read(
        ROW | {"model_path": "Qwen/Qwen3-235B-A22B-FP8", "precision": "fp8", "backend": "vllm"}
    )
    assert found.deployment.load.network.architecture == "qwen3_moe"
    assert found.deployment.load.parts["experts"].unit == "fp8"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "disagg"}, "machines of their own are not timed yet"),
        ({"backend": "tgi"}, "no step model for the engine 'tgi'"),
        ({"system": "x900"}, "no profile is known for the device 'x900'"),
        ({"model_path": "nobody/nothing"}, "'nobody/nothing' is not in the catalogue"),
        ({"tp_size": "16"}, "16 GPUs do not fit a machine of 8"),
        ({"system": "gb200", "tp_size": "36", "moe_ep_size": "1"}, "128 heads do not divide over 36 ranks"),
        ({"isl": "many"}, "isl is 'many', not a whole number"),
        ({"tp_size": ""}, "tp_size is '', not a whole number"),
        ({"silicon_tpot_ms": "0"}, "silicon_tpot_ms is '0', not a time"),
        ({"silicon_ttft_ms": "nan"}, "silicon_ttft_ms is 'nan', not a time"),
        ({"precision": "fp6"}, "how the weights are stored at precision 'fp6' is not known"),
    ],
)
def test_what_cannot_be_told_has_its_reason(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(MissingFactError, match=reason):
        READER.read(ROW | changes)

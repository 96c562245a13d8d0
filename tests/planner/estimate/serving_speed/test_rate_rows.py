"""Rows of a server's throughput: which load they mean, and what its times make of it."""

from dataclasses import replace

import numpy as np
import pytest

from planner.api.bench_speeds import bench_predictions
from planner.api.serving_rates import rate_predictions
from planner.api.serving_rows import row_reader
from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.deployment import batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.pipeline import decode_period_s
from planner.estimate.serving_speed.rate_loads import answered_per_s, pooled_prompt_s
from planner.estimate.serving_speed.rate_rows import RateRow, loads_of, read_rate
from planner.readers.speed_rows.served_row import served_test
from tests.planner.estimate.serving_speed.questions import START

READER = row_reader()
ROW = {
    "hardware": "NVIDIA H100 SXM", "n_gpu": "4", "engine": "vLLM", "model": "meta-llama/Llama-3.1-8B-Instruct",
    "quant": "bf16", "tp": "", "pp": "", "ep": "", "isl": "1000", "osl": "101",
    "concurrency_or_request_rate": "batch=16", "total_tok_s": "9000", "output_tok_s": "", "scenario": "static",
    "notes": "",
}  # fmt: skip


def expected(row: RateRow, **times: float) -> float:
    """The rate of a row where the deployment's times are given ones."""
    questions, rates = batch([row.deployment]), START
    found = replace(latency(questions, rates), **{name: np.array([value]) for name, value in times.items()})
    return float(answered_per_s(loads_of([row]), questions, rates, found)[0])


def decoding_s(row: RateRow, n_running: float) -> float:
    return float(decode_period_s(batch([row.deployment]), START, np.array([n_running]))[0])


def test_a_static_batch_reads_its_prompts_and_then_decodes() -> None:
    found = read_rate(READER, ROW)
    assert (found.load, found.counts_prompts, found.tokens_per_s) == ("batch", True, 9000)
    assert found.deployment.load.ranks.tensor == 4
    # 16 prompts, 8 in a step of 8,192 tokens, and 100 steps of 8 ms after their first token.
    prompt_s = float(pooled_prompt_s(batch([found.deployment]), START, np.array([16.0]))[0])
    assert expected(found, decode_step_s=0.008) == pytest.approx(16 * 1101 / (16 * prompt_s + 0.8))


def test_a_closed_loop_answers_one_after_the_other() -> None:
    row = ROW | {"concurrency_or_request_rate": "conc=16", "output_tok_s": "500"}
    found = read_rate(READER, row)
    assert (found.load, found.counts_prompts, found.tokens_per_s) == ("loop", False, 500)
    # A request takes 0.5 s to its first token and 100 tokens of 20 ms: 101 tokens in 2.5 s, 16 times.
    assert expected(found, ttft_s=0.5, tpot_s=0.02) == pytest.approx(16 * 101 / 2.5)
    decoding = read_rate(READER, row | {"notes": "decode-phase aggregate"})
    assert expected(decoding, ttft_s=0.5, tpot_s=0.02) == pytest.approx(16 * 101 / 2.0)


def test_copies_share_the_requests() -> None:
    found = read_rate(READER, ROW | {"tp": "2"})
    assert (found.n_copies, found.deployment.n_requests, found.deployment.load.ranks.tensor) == (2, 8, 2)
    told = read_rate(READER, ROW | {"tp": "1", "notes": "power_limit_w=220 instances=1 kv=auto"})
    assert (told.n_copies, told.deployment.n_requests) == (1, 16)


def test_a_queue_is_answered_as_fast_as_there_is_room() -> None:
    row = ROW | {"output_tok_s": "500", "version": "0.11.0"}
    found = read_rate(READER, row | {"concurrency_or_request_rate": "n=100000 requests, rate inf"})
    # vLLM 0.11 runs 1,024 requests on a GPU of 80 GB; 16 GB of weights on four GPUs leave room for all of them.
    assert (found.load, found.n_running) == ("queue", 1024)
    times = {"decode_step_s": 0.02, "added_prompt_s": 0.002}
    # Without an end, each of 1,024 has 101 steps of 20 ms, and every prompt takes 2 ms of all of them: 3.97 ms a request.
    endless = read_rate(READER, row | {"concurrency_or_request_rate": "max load (offline)"})
    assert expected(endless, **times) == pytest.approx(101 / (101 * 0.02 / 1024 + 0.002))
    # 100,000 are 97 full rounds and one of 672, whose steps take less.
    last_s = decoding_s(found, 100_000 - 97 * 1024)
    assert expected(found, **times) == pytest.approx(101 / (101 * (97 * 0.02 + last_s) / 100_000 + 0.002))
    few = read_rate(READER, row | {"concurrency_or_request_rate": "n=10 requests, rate inf"})
    assert few.n_running == 10
    assert expected(few, **times) == pytest.approx(101 / (101 * 0.02 / 10 + 0.002))


def test_a_queue_of_answers_of_all_lengths_ends_with_the_longest() -> None:
    row = ROW | {
        "output_tok_s": "500",
        "version": "0.11.0",
        "origin": "gpustack performance-lab",
        "isl": "215",
        "osl": "200",
    }
    found = read_rate(READER, row | {"concurrency_or_request_rate": "n=1000 requests, rate inf"})
    assert found.has_varied_lengths
    # Played step by step: each of 1,000 ends with a probability of 1 in 200 after each step.
    left, steps = np.random.default_rng(5).geometric(1 / 200, size=(200, 1000)), 0.0
    one_s, all_s = decoding_s(found, 1), 0.02
    for lengths in left:
        n = 1000 - np.searchsorted(np.sort(lengths), np.arange(lengths.max()), side="right")
        steps += float(np.sum(one_s + (all_s - one_s) * (n - 1) / 999)) / len(left)
    assert expected(found, decode_step_s=all_s, added_prompt_s=0.0) == pytest.approx(
        200 / (steps / 1000), rel=0.02
    )


def test_pages_say_how_a_queue_was_run() -> None:
    row = ROW | {
        "hardware": "NVIDIA H200", "engine": "TensorRT-LLM", "model": "GPT-OSS 20B", "quant": "FP8", "n_gpu": "1",
        "origin": "TensorRT-LLM 1.x perf-overview", "isl": "1024", "osl": "1024", "output_tok_s": "13890",
        "concurrency_or_request_rate": "max load (offline)",
    }  # fmt: skip
    hopper = read_rate(READER, row).deployment
    # 3,000 requests; the weights are OpenAI's own of 4 bits, the cache is as the weights ask for: 16 bits on Hopper.
    assert (hopper.n_requests, hopper.weight_unit, hopper.cache_element_bytes) == (3000, "fp4", 2.0)
    blackwell = read_rate(READER, row | {"hardware": "NVIDIA B200", "quant": "FP4"}).deployment
    assert blackwell.cache_element_bytes == 1.0


@pytest.mark.parametrize(
    ("notes", "n_bytes"),
    [("kv=fp8; args=", 1.0), ("vllm serve --kv-cache-dtype fp8_e4m3", 1.0), ("kv=auto", 2.0)],
)
def test_a_cache_is_as_wide_as_the_row_says(notes: str, n_bytes: float) -> None:
    assert read_rate(READER, ROW | {"notes": notes}).deployment.cache_element_bytes == n_bytes


def test_attention_replicas_of_sglang_lie_on_its_tensor_ranks() -> None:
    told = {"engine": "SGLang", "n_gpu": "64", "tp": "8", "model": "deepseek-ai/DeepSeek-V3", "quant": "fp8",
            "hardware": "NVIDIA H200 SXM", "notes": "launch_server --tp-size 8 --enable-dp-attention --dp 8"}  # fmt: skip
    found = read_rate(READER, ROW | told)
    assert (found.n_copies, found.deployment.load.ranks.tensor) == (1, 8)
    assert found.deployment.load.ranks.attention_replicas == 8


def test_a_batch_that_the_cache_cannot_hold_is_decoded_in_turns() -> None:
    # Llama 2 7B keeps 512 KiB a token, 1.5 GiB for a sequence half-way through its answer. An H100 has 0.9 · 79.6 GiB less
    # 12.6 GiB of weights and 3 GiB beside them: 56 GiB, room for 37 of 64.
    row = ROW | {"model": "meta-llama/Llama-2-7b-hf", "n_gpu": "1", "concurrency_or_request_rate": "batch=64"}
    found = read_rate(READER, row | {"isl": "2048", "osl": "2048"})
    assert 37 < found.n_running < 38
    questions = batch([found.deployment])
    prompt_s = float(pooled_prompt_s(questions, START, np.array([found.n_running]))[0])
    n_turns = 64 / found.n_running
    assert expected(found, decode_step_s=0.008) == pytest.approx(
        64 * 4096 / (64 * prompt_s + n_turns * 2047 * 0.008)
    )


def test_a_source_says_what_its_devices_are() -> None:
    row = ROW | {"origin": "argonne-lcf/LLM-Inference-Bench"}
    h100 = read_rate(READER, row | {"hardware": "Nvidia H100 GPU"})
    assert h100.deployment.accelerator.id == "h100-sxm-80"
    # Its "MI250" is a module of two GPUs: two of them are four ranks.
    mi250 = read_rate(READER, row | {"hardware": "AMD MI250 GPU", "n_gpu": "2"})
    assert mi250.deployment.load.ranks.tensor == 4


def test_drafts_of_the_models_own_layers_are_read_from_the_command_line() -> None:
    told = {
        "scenario": "loop SPEC-DECODE",
        "notes": 'vllm serve --speculative-config={"method":"mtp","num_speculative_tokens":2}',
    }
    assert read_rate(READER, ROW | told).deployment.schedule.draft_tokens == 2


def test_all_ranks_of_a_run_with_replicated_attention_share_the_experts() -> None:
    row = ROW | {"model": "Qwen3 235B A22B", "quant": "FP8", "ep": "4", "tp": "4"}
    found = read_rate(READER, row | {"scenario": "throughput max load attention-DP+EP"})
    assert found.deployment.load.ranks == Parallel(tensor=4, attention_replicas=4, expert=4)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"engine": "tgi"}, "no step model for the engine 'tgi'"),
        ({"engine": ""}, "the row does not name the engine"),
        ({"scenario": "SPEC-DECODE:{}"}, "tokens were drafted"),
        ({"concurrency_or_request_rate": "rate=4 rps"}, "'rate=4 rps' is neither a static batch nor"),
        ({"isl": ""}, "isl is '', no number of tokens"),
        ({"osl": "inf"}, "osl is 'inf', no number of tokens"),
        ({"total_tok_s": "nan"}, "neither output_tok_s nor total_tok_s is a rate"),
        ({"quant": "odd"}, "how weights are stored as 'odd' is not known"),
        ({"hardware": "X900"}, "no profile is known for the device 'X900'"),
        ({"model": "nobody/nothing"}, "'nobody/nothing' is not in the catalogue"),
        ({"hardware": "NVIDIA H100"}, "'NVIDIA H100' can mean more than one device"),
        ({"n_gpu": "many"}, "n_gpu is 'many', no number"),
        ({"notes": "kv=turboquant_k3v4_nc"}, "a cache stored as 'turboquant_k3v4_nc'"),
    ],
)
def test_what_cannot_be_told_has_its_reason(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(MissingFactError, match=reason):
        read_rate(READER, ROW | changes)


def test_every_row_is_predicted_or_has_its_reason() -> None:
    first, second = rate_predictions([ROW, ROW | {"isl": ""}])
    assert first.speed_class == "served"
    assert first.low is not None
    assert first.high is not None
    assert first.low < (first.expected or 0) < first.high
    assert second.expected is None
    assert second.reason == "isl is '', no number of tokens"


LLAMA_CPP = ROW | {
    "engine": "llama.cpp", "hardware": "Nvidia H100 GPU", "n_gpu": "1", "origin": "argonne-lcf/LLM-Inference-Bench",
    "concurrency_or_request_rate": "batch=32", "isl": "512", "osl": "512", "model": "meta-llama/Meta-Llama-3-8B",
    "total_tok_s": "150", "notes": f"latency_s={1024 / 150}",
}  # fmt: skip


def test_a_prompt_and_its_generation_add_up_as_llama_bench_times_them() -> None:
    found = rate_predictions([LLAMA_CPP])[0]
    tests = served_test(LLAMA_CPP, READER.sources[0]).tests
    prompt, generation = (p.expected or 0 for p in bench_predictions(tests, hold_out="none"))
    assert found.expected == pytest.approx(1024 / (512 / prompt + 512 / generation))
    # Steps of 32 tokens read the weights 16 times for the prompt, steps of 512 once.
    longer = rate_predictions([LLAMA_CPP | {"concurrency_or_request_rate": "batch=512"}])[0]
    assert (longer.expected or 0) > (found.expected or 0)


def test_a_batched_bench_generates_for_all_sequences() -> None:
    row = LLAMA_CPP | {
        "hardware": "NVIDIA GB10 (DGX Spark)", "origin": "ggml-org", "model": "ggml-org/gpt-oss-20b-GGUF",
        "output_tok_s": "200", "concurrency_or_request_rate": "B=8", "osl": "32",
    }  # fmt: skip
    one, eight = rate_predictions([row | {"concurrency_or_request_rate": "B=1"}, row])
    assert (one.expected or 0) < (eight.expected or 0) < 8 * (one.expected or 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"notes": "latency_s=100"}, "its rate is not that of one prompt and its generation"),
        ({"hardware": "SambaNova SN40L"}, "which device 'SambaNova SN40L' is, its source does not say"),
        ({"origin": "elsewhere"}, "which of llama.cpp's tools timed it is not said"),
        ({"model": "nobody/nothing"}, "the catalogue has no model of that name"),
        ({"total_tok_s": ""}, "total_tok_s is '', no number"),
    ],
)
def test_what_llama_cpp_timed_has_its_reason_too(changes: dict[str, str], reason: str) -> None:
    assert rate_predictions([LLAMA_CPP | changes])[0].reason == reason


def test_steps_take_as_many_tokens_as_the_engine_or_its_command_line_says() -> None:
    # vLLM reads 2,048 tokens in a step on a card of 24 GB, 8,192 on one of 80 GB.
    for hardware, notes, expected in (
        ("RTX 3090", "", 2048),
        ("NVIDIA H100 SXM", "", 8192),
        ("RTX 3090", "args=--max-num-batched-tokens 4096 --max-num-seqs 8", 4096),
    ):
        row = ROW | {"hardware": hardware, "notes": notes, "version": "0.19.0", "n_gpu": "2"}
        assert read_rate(READER, row).deployment.step_tokens == expected

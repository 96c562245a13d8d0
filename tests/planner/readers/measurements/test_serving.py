"""Results of load generators as loads: the same deployment measured by any of them is the same question."""

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from planner.api.serving_rows import row_reader
from planner.errors import MissingFactError
from planner.readers.measurements.given import Given
from planner.readers.measurements.serving_fields import OPEN_LOOP, engine_name
from tests.planner.readers.measurements.sampled import SAMPLES, parsed, sample

H100 = Given(device="2x H100 SXM", engine="vllm")


def changed(name: str, given: Given = H100, **changes: Any) -> Mapping[str, str]:
    result = {**json.loads((SAMPLES / name).read_text(encoding="utf-8")), **changes}
    (row,) = parsed(json.dumps(result), given).rows
    return row


@pytest.mark.parametrize("name", ["vllm_serve.json", "aiperf.json", "genai_perf.json"])
def test_one_load_is_the_same_question_whoever_measured_it(name: str) -> None:
    (row,) = sample(name, H100).rows
    assert (row["backend"], row["model_path"], row["system"]) == ("vllm", "Qwen/Qwen3-32B", "H100 SXM")
    assert (row["isl"], row["osl"], row["batch_size"], row["tp_size"]) == ("1024", "128", "16", "2")
    read = row_reader().read(row)
    assert read.ttft_s == pytest.approx(0.8408064807)
    assert read.tpot_s == pytest.approx(0.0165385719)
    assert (read.deployment.n_requests, read.deployment.load.ranks.tensor) == (16, 2)
    # Weights as their repository has them, which is 16 bits here, and a cache of 16 bits.
    assert (read.deployment.weight_unit, read.deployment.cache_element_bytes) == ("fp16", 2.0)


def test_vllm_does_not_say_the_gpus_or_which_engine_answered() -> None:
    with pytest.raises(MissingFactError, match="which GPUs served it; add --device"):
        sample("vllm_serve.json", Given(engine="vllm"))
    with pytest.raises(MissingFactError, match="which engine served it; add --engine"):
        sample("vllm_serve.json", Given(device="H100 SXM"))


def test_ranks_that_the_run_recorded_stand_over_the_number_of_gpus() -> None:
    assert changed("vllm_serve.json", Given(device="8x H100 SXM", engine="vllm"))["tp_size"] == "2"
    assert changed("aiperf.json", Given(device="8x H100 SXM", engine="vllm"))["tp_size"] == "8"


def test_arrivals_at_a_rate_leave_the_first_token_out() -> None:
    row = changed("vllm_serve.json", request_rate=4.0, max_concurrency=None)
    # Little's law: 5.42 requests a second, each 0.8408 + 127 · 0.016539 = 2.941 s long, are 15.9 at once.
    assert row["batch_size"] == "16"
    assert row["ttft_left_out"] == OPEN_LOOP
    assert row_reader().read(row).ttft_s is None
    assert changed("vllm_serve.json")["ttft_left_out"] == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"completed": 0}, "no request was completed"),
        ({"completed": 150}, "only 150 of 160 requests were completed"),
        ({"failed": 3}, "only 160 of 163 requests were completed"),
    ],
)
def test_a_run_with_failures_is_left_out_with_the_reason(changes: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(MissingFactError, match=reason):
        row_reader().read(changed("vllm_serve.json", **changes))


@pytest.mark.parametrize("time", [math.nan, math.inf, -1.0, 0.0, None, "soon"])
def test_a_time_that_is_none_is_a_reason(time: object) -> None:
    with pytest.raises(MissingFactError, match=r"silicon_tpot_ms is .*, not a time"):
        row_reader().read(changed("vllm_serve.json", mean_tpot_ms=time))


@pytest.mark.parametrize("name", ["vllm_throughput.json", "vllm_latency.json"])
def test_whole_batches_say_nothing_of_a_token(name: str) -> None:
    (row,) = sample(name, Given(device="H100 SXM", model="Qwen/Qwen3-32B")).rows
    with pytest.raises(MissingFactError, match="use vllm bench serve"):
        row_reader().read(row)


def test_results_appended_to_one_file_are_one_load_each() -> None:
    line = json.dumps(json.loads((SAMPLES / "vllm_serve.json").read_text(encoding="utf-8")))
    assert len(parsed(f"{line}\n{line}\n", H100).rows) == 2


def test_sglang_counts_requests_itself() -> None:
    given = Given(device="H100 SXM", model="meta-llama/Llama-3.1-8B-Instruct")
    (row,) = sample("sglang_bench.jsonl", given).rows
    assert row["backend"] == "sglang"
    assert (row["isl"], row["osl"]) == ("302", "196")  # 302,118 and 195,775 tokens of 1,000 requests
    # 5 requests a second arrived, and 11.78 were there on average; the limit of 256 never held any.
    assert (row["batch_size"], row["ttft_left_out"]) == ("12", OPEN_LOOP)


def sglang(**changes: Any) -> Mapping[str, str]:
    result = {**json.loads((SAMPLES / "sglang_bench.jsonl").read_text(encoding="utf-8")), **changes}
    # An endless rate is written as Infinity, which is no JSON but what Python prints.
    (row,) = parsed(json.dumps({**result, "request_rate": math.inf}), Given(device="8x H100 SXM")).rows
    return row


def test_sglang_servers_say_how_they_are_spread() -> None:
    server = {"model_path": "deepseek-ai/DeepSeek-V3", "tp_size": 8, "dp_size": 4, "ep_size": 8,
              "enable_dp_attention": True, "speculative_algorithm": None}  # fmt: skip
    row = sglang(server_info=server)
    assert row["model_path"] == "deepseek-ai/DeepSeek-V3"
    assert (row["tp_size"], row["attention_dp_size"], row["moe_ep_size"]) == ("2", "4", "8")
    assert (row["batch_size"], row["ttft_left_out"]) == ("64", "")  # 256 over four replicas of the attention
    read = row_reader().read(row)
    assert (read.deployment.n_requests, read.deployment.load.ranks.tensor) == (256, 8)
    assert read.deployment.weight_unit == "fp8"  # as DeepSeek publishes it
    drafted = sglang(server_info={**server, "speculative_algorithm": "EAGLE"})
    assert "drafted" in drafted["left_out"]
    assert "copies" in sglang(server_info={**server, "enable_dp_attention": False})["left_out"]


def test_guidellm_times_between_tokens() -> None:
    given = Given(device="H100 SXM", engine="vllm", model="Qwen/Qwen3-0.6B")
    (row,) = sample("guidellm_03.json", given).rows
    # One request at a time; its time per output token, 4.90 ms, would count the first token's wait.
    assert (row["batch_size"], row["isl"], row["osl"]) == ("1", "257", "128")
    assert float(row["silicon_tpot_ms"]) == pytest.approx(4.941609043733832)
    assert float(row["silicon_ttft_ms"]) == pytest.approx(16.792535781860348)


def test_guidellm_sweeps_are_one_load_for_each_strategy() -> None:
    held, arriving = sample("guidellm_07.json", Given(device="H100 SXM", engine="vllm")).rows
    assert (held["batch_size"], held["ttft_left_out"]) == ("8", "")
    assert held["model_path"] == "meta-llama/Llama-3.1-8B-Instruct"
    # At 1.5 requests a second one was there on average.
    assert (arriving["batch_size"], arriving["ttft_left_out"]) == ("1", OPEN_LOOP)


def test_aiperf_that_was_cancelled_or_had_errors_is_left_out() -> None:
    assert changed("aiperf.json", was_cancelled=True)["left_out"] == "the run was cancelled"
    errors = {"unit": "requests", "avg": 4}
    assert changed("aiperf.json", error_request_count=errors)["left_out"] == "4 requests ended in errors"
    odd = {"unit": "fortnights", "avg": 1.0}
    with pytest.raises(MissingFactError, match="silicon_ttft_ms is '', not a time"):
        row_reader().read(changed("aiperf.json", time_to_first_token=odd))


@pytest.mark.parametrize(
    ("text", "engine"),
    [("vllm", "vllm"), ("openai", ""), ("openai-chat", ""), ("sglang-oai-chat", "sglang"), ("trt", "trtllm"),
     ("TensorRT-LLM", "trtllm")],
)  # fmt: skip
def test_a_tools_name_for_its_target_names_the_engine_or_nothing(text: str, engine: str) -> None:
    assert engine_name(text) == engine

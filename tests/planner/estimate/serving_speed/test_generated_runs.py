"""Runs whose command lines aiconfigurator wrote: a step holds one prompt and 1,500 tokens."""

from planner.api.serving_rows import row_reader
from planner.api.serving_simulation import serving_policy
from planner.estimate.serving_speed.generated_runs import generated_step_tokens, is_generated

# A row of the sample in the aiconfigurator-core wheel: Qwen3-32B on two H100 with vLLM.
ROW = {
    "mode": "agg", "backend": "vllm", "model_path": "Qwen/Qwen3-32B", "system": "h100_sxm", "precision": "",
    "isl": "1024", "osl": "512", "batch_size": "64", "tp_size": "2", "pp_size": "1", "attention_dp_size": "",
    "moe_tp_size": "1", "moe_ep_size": "1", "silicon_ttft_ms": "385.9", "silicon_tpot_ms": "28.51",
    "silicon_data_source":
        "source_file=data/aic-auto-gap-analysis/data/h100_sxm/vllm/0.12.0/Qwen_Qwen3-32B.csv; silicon_concurrency=64",
}  # fmt: skip


def test_a_step_holds_one_prompt_what_decodes_and_1500_tokens() -> None:
    assert generated_step_tokens(ROW, "vllm", 1024) == 2524
    deployment = row_reader().read(ROW).deployment
    assert deployment.step_tokens == 2524
    # max_num_tokens is the batch + isl + 1500: 64 + 1024 + 1500.
    assert serving_policy(deployment).max_batched_tokens == 2588
    assert deployment.schedule.has_like_lengths
    assert not deployment.schedule.has_known_settings


def test_engines_whose_command_line_it_did_not_write_and_runs_of_others_keep_their_defaults() -> None:
    assert generated_step_tokens(ROW, "sglang", 1024) is None
    others = ROW | {"silicon_data_source": "source_file=2026-04-06.csv; silicon_concurrency=64"}
    assert not is_generated(others)
    assert generated_step_tokens(others, "vllm", 1024) is None
    deployment = row_reader().read(others).deployment
    assert (deployment.step_tokens, serving_policy(deployment).max_batched_tokens) == (8192, 8192)

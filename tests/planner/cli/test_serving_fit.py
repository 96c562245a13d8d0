"""`planner fit --engine vllm|sglang`: the answer in words, as data, and the errors that a person can mend."""

import json

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import planner


def run(*words: str) -> Result:
    return CliRunner().invoke(planner, ["fit", *words])


def data(*words: str) -> dict[str, object]:
    result = run(*words, "--format", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.output)
    return found


def test_it_says_whether_it_starts_and_how() -> None:
    result = run("llama-3.1-8b-instruct", "--engine", "vllm", "--on", "H100 SXM", "--context", "16k")
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "vLLM 0.33.0 starts Llama 3.1 8B Instruct (BF16) on one H100" in text
    assert "vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 16384" in text


def test_every_split_that_divides_is_tried() -> None:
    found = data("llama-3.3-70b-instruct", "--engine", "vllm", "--on", "4x H100 SXM", "--context", "16k")
    rows = found["rows"]
    assert isinstance(rows, list)
    # 141 GB of weights: not on one, not on two with room for activations at 0.92, on four.
    assert [row["n_gpus"] for row in rows] == [1, 2, 4]
    assert rows[0]["starts"] is False
    assert rows[2]["starts"] is True
    terms = rows[2]["ranks"][0]["terms"]
    kept = sum(term["value_bytes"] for term in terms) + rows[2]["kv_bytes"]
    assert kept == pytest.approx(rows[2]["ranks"][0]["limit_bytes"], rel=1e-6)


def test_the_version_decides() -> None:
    words = ("llama-3.1-8b-instruct", "--engine", "vllm", "--on", "RTX 3090", "--context", "29000")
    new, old = data(*words), data(*words, "--engine-version", "0.6.4")
    assert new["rows"][0]["starts"] is True  # type: ignore[index] # chunks of 2048 tokens
    assert old["rows"][0]["starts"] is False  # type: ignore[index] # 29,000 tokens at once


def test_sglang_has_its_own_command() -> None:
    result = run("deepseek-v3", "--engine", "sglang", "--on", "8x H200 SXM", "--tp", "8", "--dp-attention", "8",
                 "--expert-parallel")  # fmt: skip
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "--tp-size 8 --ep-size 8 --dp-size 8 --enable-dp-attention" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--engine", "vllm"), "name it"),
        (("qwen3-8b", "--engine", "vllm", "--on", "RTX 4090", "--ubatch", "256"), "--ubatch is not for --engine vllm"),
        (("qwen3-8b", "--tp", "2"), "--tp is for --engine vllm or sglang"),
        (("qwen3-8b", "--engine", "vllm", "--on", "RTX 4090", "--tp", "2"), "takes 2 GPUs"),
        (("qwen3-8b", "--engine", "vllm", "--on", "8x RTX 4090", "--tp", "3"), "do not divide over 3 ranks"),
        (("qwen3-8b", "--engine", "vllm", "--on", "8x RTX 4090", "--pp", "2"), "need --tp"),
        (("qwen3-8b", "--engine", "sglang", "--on", "RTX 4090", "--eager"), "--eager is for --engine vllm"),
        (("deepseek-v3", "--engine", "vllm", "--on", "8x H200 SXM", "--quantize", "fp8"), "published in FP8"),
        (("qwen3-8b", "--engine", "vllm", "--on", "RTX 4090", "--engine-version", "new"), "names no release"),
        (("qwen3-8b", "--engine", "vllm", "--on", "64GiB DDR5-5600"), "no GPU whose memory is known"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_line(words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())


def test_what_does_not_start_says_what_would() -> None:
    result = run("llama-3.1-8b-instruct", "--engine", "vllm", "--on", "RTX 3090", "--context", "100k")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "does not start" in text
    assert "Ask for --context" in text
    assert "vllm serve" not in text


def test_a_pasted_command_line_is_judged() -> None:
    line = "vllm serve meta-llama/Llama-3.1-70B-Instruct -tp 4 --max-model-len 32768 --port 8000 --trust-remote-code"
    result = run("llama-3.1-70b-instruct", "--on", "4x H100 SXM", "--command", line)
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "starts Llama 3.1 70B Instruct (BF16) on 4 × H100" in text
    assert "--port, --trust-remote-code" in text
    assert (
        "vllm serve meta-llama/Llama-3.1-70B-Instruct --tensor-parallel-size 4 --max-model-len 32768" in text
    )
    both = run("llama-3.1-70b-instruct", "--on", "4x H100 SXM", "--command", line, "--tp", "2")
    assert both.exit_code == 2
    assert "leave it out with --command" in " ".join(both.output.split())


def test_a_pasted_sglang_line_is_judged() -> None:
    line = "python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 8 --host 0.0.0.0"
    result = run("deepseek-v3", "--on", "8x H200 SXM", "--command", line)
    assert result.exit_code == 0, result.output
    assert "SGLang 0.5.12 starts DeepSeek V3" in " ".join(result.output.split())


def test_a_newer_sglang_is_told_by_older_defaults() -> None:
    words = ("deepseek-v3", "--engine", "sglang", "--on", "8x H200 SXM", "--tp", "8", "--engine-version")
    assert "after graph capture" in " ".join(run(*words, "0.5.23").output.split())
    assert "after graph capture" not in " ".join(run(*words, "0.5.12").output.split())

"""`planner fit --engine ollama`: the answer in words, as data, and the errors that a person can mend."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import planner


def run(*words: str) -> Result:
    return CliRunner().invoke(planner, ["fit", *words])


def data(*words: str) -> dict[str, Any]:
    result = run(*words, "--format", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def test_it_says_what_ollama_does_by_itself_and_what_to_tell_it() -> None:
    result = run(
        "llama-3.3-70b-instruct", "--engine", "ollama", "--on", "RTX 4090, 64GiB DDR5-5600", "--context", "8k",
        "--quant", "Q4_K_M", "--kv-type", "q8_0",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "Left to itself, Ollama 0.33.0 runs Llama 3.3 70B Instruct" in text
    assert "PARAMETER num_ctx 8192" in text
    assert "OLLAMA_KV_CACHE_TYPE=q8_0 ollama serve" in text
    assert "ollama create llama-3.3-70b-instruct-planned -f Modelfile" in text


def test_a_default_context_that_spills_is_named() -> None:
    words = (
        "llama-3.3-70b-instruct",
        "--engine",
        "ollama",
        "--on",
        "2x RTX 4090, 96GiB",
        "--quant",
        "Q4_K_M",
    )
    text = " ".join(run(*words).output.split())
    assert "It is its default context that pushes part of it into main memory: with 8,192 tokens" in text
    (row,) = data(*words)["rows"]
    assert row["is_default_context"] is True
    assert row["own"]["spills"] is True
    assert row["shorter"]["spills"] is False
    assert row["own"]["modelfile"].startswith(
        "FROM ./Llama-3.3-70B-Instruct-Q4_K_M.gguf\nPARAMETER num_ctx 131072"
    )


def test_layers_that_a_person_fixed_are_kept() -> None:
    words = ("llama-3.1-8b-instruct", "--engine", "ollama", "--on", "RTX 4090, 64GiB", "--context", "8k")
    rows = data(*words, "-ngl", "10")["rows"]
    assert all(row["own"]["n_gpu_layers"] == row["best"]["n_gpu_layers"] == 10 for row in rows)


def test_without_a_gpu_it_runs_in_main_memory() -> None:
    (row,) = data(
        "llama-3.1-8b-instruct", "--engine", "ollama", "--on", "64GiB DDR5-5600", "--quant", "Q4_K_M"
    )["rows"]
    assert row["own"]["n_context_tokens"] == 4096
    assert row["own"]["reported_vram_bytes"] == 0


def test_a_model_too_large_is_a_result() -> None:
    result = run("llama-3.3-70b-instruct", "--engine", "ollama", "--on", "16GiB", "--quant", "Q4_K_M")
    assert result.exit_code == 0
    assert "does not fit on 16GiB with Ollama 0.33.0" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("qwen3-30b-a3b", "--tp", "2"), "--tp is not for --engine ollama"),
        (("qwen3-30b-a3b", "--n-cpu-moe", "3"), "--n-cpu-moe is not for --engine ollama"),
        (("qwen3-30b-a3b", "--exact"), "--exact is not for --engine ollama"),
        ((), "--engine ollama is for one model; name it"),
        (("qwen3-30b-a3b", "--engine-version", "new"), "no version of Ollama"),
        (("qwen3-30b-a3b", "--engine-version", "0.12.0"), "split models by an estimate of its own"),
        (("qwen3-30b-a3b", "--kv-type", "q8_0", "--no-flash-attention"), "refuses to start"),
    ],
)
def test_what_it_cannot_answer_is_said(words: tuple[str, ...], message: str) -> None:
    result = run(*words, "--engine", "ollama", "--on", "RTX 4090, 64GiB")
    assert result.exit_code != 0
    assert message in result.output

"""`planner fit` without a model, at several contexts or quantizations, as a person meets it."""

import json

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import planner

ON = ("--on", "Ryzen 9 7950X, 64GiB DDR5-5600")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["fit", *arguments], catch_exceptions=False)


def test_a_column_for_each_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run(*ON, "--context", "4k,64k", "--quant", "Q4_K_M,Q8_0")
    assert result.exit_code == 0
    assert "catalogue models fit whole in RAM" in result.stdout
    header = next(line for line in result.stdout.splitlines() if line.startswith("model"))
    assert header.split() == ["model", "size", "4k", "64k"]
    assert "Q8_0" in result.stdout
    assert "more fit; --all shows them" in result.stdout


def test_a_context_that_a_model_was_not_trained_for_says_so() -> None:
    result = run(*ON, "--context", "4k,128k", "--quant", "Q8_0", "--all")
    row = next(line for line in result.stdout.splitlines() if line.startswith("qwen3-8b "))
    assert "≤ 40k" in row  # of 40,960 tokens


def test_models_that_fit_only_at_few_bits_come_last() -> None:
    result = run("--on", "RTX 4090, 64GiB DDR5-5600", "--context", "8k,16k", "--all", "--format", "json")
    models = [one for one in json.loads(result.stdout)["models"] if any(map(any, one["fits"]))]
    order = [one["id"] for one in models]
    # 72 B parameters in 24 GB leave less than three bits for each; 8 B leave eight.
    assert order.index("qwen3-8b") < order.index("qwen2.5-72b-instruct")


def test_the_data_hold_every_quantization() -> None:
    result = run(*ON, "--context", "8k", "--quant", "all", "--format", "json")
    data = json.loads(result.stdout)
    assert data["schema"] == "planner.fit-catalogue-table/1"
    model = next(one for one in data["models"] if one["id"] == "qwen3-8b")
    n = len(model["quantizations"])
    assert n > 30
    assert len(model["needed_bytes"]) == len(model["fits"]) == n
    # 8.19 B parameters at 16 bits.
    half = model["quantizations"].index("F16")
    assert 16e9 < model["needed_bytes"][half][0] < 19e9
    speeds = model["decode_tokens_per_s"]
    if speeds is not None:
        assert len(speeds["expected"]) == n


def test_a_gpus_table_says_what_it_leaves_out() -> None:
    result = run("--on", "2x RTX 4090, 128GiB", "--quant", "Q4_K_M")
    assert "fit whole in GPU 0" in result.stdout
    assert "models that need several GPUs" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--quant", "Q4_K_M", "--kv-type", "Q8_0"), "usual options"),
        (("--context", "4k,8k", "--ubatch", "256"), "usual options"),
        (("qwen3-8b", "--quant", "all"), "name some"),
    ],
)
def test_what_it_cannot_do_is_said(arguments: tuple[str, ...], message: str) -> None:
    result = run(*ON, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr

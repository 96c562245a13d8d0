"""`planner size`: the answer in words and as data, files that start it, and errors that a person can mend."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from planner.cli.main import planner

SMALL = (
    "qwen3-8b",
    "--prompt-tokens",
    "200-800",
    "--output-tokens",
    "50-200",
    "--rps",
    "5",
    "--machine",
    "2x H100 SXM",
)


def run(*words: str) -> Result:
    return CliRunner().invoke(planner, ["size", *words])


def data(*words: str) -> dict[str, Any]:
    result = run(*words, "--format", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_answer_says_how_many_how_laid_out_and_at_what_cost() -> None:
    result = run(*SMALL, "--spares", "0")
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "is carried by 1 × 2x H100 SXM within ttft p95<1s and tpot p95<50ms" in text
    assert "a month rented" in text and "vllm serve Qwen/Qwen3-8B" in text
    assert "planner load http://localhost:8000 --prompt 200-800 --output 50-200" in text


def test_the_data_has_every_number_with_its_unit() -> None:
    found = data(*SMALL)
    assert found["schema"] == "planner.size/1"
    option = found["options"][0]
    assert option["n_spare_machines"] == 1  # the workload states an availability
    assert (
        option["usd_per_month"]["low"]
        <= option["usd_per_month"]["expected"]
        <= option["usd_per_month"]["high"]
    )
    for seen in option["seen"]:
        assert seen["seconds"]["low"] <= seen["seconds"]["expected"] <= seen["limit_s"]
    assert found["peak"] > found["average"] and option["is_on_front"]


@pytest.mark.parametrize("output_format", ["table", "csv", "md"])
def test_every_format(output_format: str) -> None:
    result = run(*SMALL, "--explain", "--format", output_format)
    assert result.exit_code == 0, result.output
    assert "H100" in result.output


def test_refusals_stand_in_the_table_with_their_reason() -> None:
    result = run("llama-3.3-70b-instruct", "--rps", "1", "--machine", "H100 SXM")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "None of the 1 kinds of machine keeps to" in text
    assert "does not start: no memory is left for the KV cache after weights and activations" in text


def test_the_chosen_option_is_emitted_or_written(tmp_path: Path) -> None:
    result = run(*SMALL, "--emit", "kubernetes")
    assert result.exit_code == 0, result.output
    assert next(yaml.safe_load_all(result.stdout))["kind"] == "Deployment"
    file = tmp_path / "serve.yaml"
    written = run(*SMALL, "--emit", "compose", "--image", "me/vllm:1", "--out", str(file))
    assert written.exit_code == 0 and f"written: {file}" in " ".join(written.output.split()).replace("- ", "")
    assert "me/vllm:1" in file.read_text(encoding="utf-8")


def test_purchases() -> None:
    found = data(*SMALL, "--purchase", "--circuit", "3x208V 60A", "--rack-power", "17kW", "--lead-weeks", "8")
    lines = {line["name"]: line for line in found["purchases"]["lines"]}
    assert lines["GPUs"]["n"] == 4 and lines["lead time"]["n"] == 8


def test_budgets_and_machines_at_hand() -> None:
    assert data("qwen3-8b", "--machine", "H100 SXM", "--budget", "$9/h")["goal"] == "most load"
    owned = data("qwen3-8b", "--have", "2x DGX H100")
    assert owned["options"][0]["deal"] == "owned" and owned["options"][0]["n_machines"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("qwen3-8b", "--budget", "100"), "is no budget"),
        (("qwen3-8b", "--have", "DGX H100", "--budget", "1$/h"), "leave out --machine and --budget"),
        (("qwen3-8b", "--out", "x.yaml"), "go with --emit"),
        (("qwen3-8b", "--lead-weeks", "3"), "go with --purchase"),
        (("qwen3-8b", "--purchase", "--circuit", "lots"), "is no circuit"),
        (("qwen3-8b", "--nobody-waits", "--slo", "ttft p95<1s"), "leave out --slo"),
        ((*SMALL, "--option", "9"), "there are 1"),
    ],
)
def test_usage_is_explained(words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2 and message in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no-such-model",), "no-such-model"),
        (("qwen3-8b", "--machine", "no such machine"), "no such machine"),
        (("qwen3-8b", "--machine", "cpu only, 64GiB"), "no GPU whose memory is known"),
        (("gpt-oss-20b", "--quantization", "fp8"), "leave --quantization out"),
        (("llama-3.3-70b-instruct", "--machine", "H100 SXM", "--emit", "compose"), "nothing to emit"),
    ],
)
def test_what_a_person_can_mend_is_one_line(words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 1
    assert message in result.stderr and len(result.stderr.strip().splitlines()) == 1

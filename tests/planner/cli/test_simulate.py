"""`planner simulate` on the command line: the verdict in words, all data in JSON, and options of other engines refused."""

import json

from click.testing import CliRunner

from planner.cli.main import planner

ARGUMENTS = ("simulate", "llama-3.1-8b-instruct", "--on", "H100 SXM", "--requests", "300")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(planner, [*ARGUMENTS, *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_answer_comes_first_and_says_where_it_breaks() -> None:
    text = " ".join(run("--rps", "2", "--prompt-tokens", "500", "--output-tokens", "100").split())
    assert text.startswith(
        "At 2.0 tasks per second, meta-llama/Llama-3.1-8B-Instruct on H100 SXM (vLLM, BF16 TP1) keeps to"
    )
    assert "The objectives hold up to" in text and "It saturates at" in text
    assert "vllm serve meta-llama/Llama-3.1-8B-Instruct" in text


def test_json_has_all_of_it() -> None:
    answer = json.loads(run("--users", "4", "--slo", "e2e p99<1ms", "--format", "json"))
    assert answer["schema"] == "planner.simulate/1"
    assert (answer["load_unit"], answer["load"]) == ("users", 4)
    assert answer["objectives"][0]["holds"] is False
    assert answer["saturation_tasks_per_s"] is None
    assert {(one["measure"], one["percentile"]) for one in answer["times_s"]} >= {("ttft", 95), ("e2e", 50)}


def test_options_of_another_engine_are_usage_errors() -> None:
    for arguments, word in (
        (("--slots", "4"), "--slots means nothing to vllm"),
        (("--engine", "llama.cpp", "--tp", "2"), "--tp means nothing to llama.cpp"),
        (("--pp", "2"), "--pp needs --tp"),
        (("--apart", "1xtp1+1xtp1", "--tp", "1"), "leave --tp out"),
        (("--engine", "llama.cpp", "--apart", "1xtp1+1xtp1"), "--apart means nothing to llama.cpp"),
        (("--network", "fast"), "is no network"),
        (("--rps", "1", "--users", "2"), "give one"),
        (("--slo", "fast"), "no objective"),
    ):
        result = CliRunner().invoke(planner, [*ARGUMENTS, *arguments])
        assert result.exit_code == 2
        assert word in result.output


def test_an_unknown_workload_is_one_line() -> None:
    result = CliRunner().invoke(planner, [*ARGUMENTS, "--workload", "chta"])
    assert result.exit_code == 1
    assert "did you mean chat?" in result.output

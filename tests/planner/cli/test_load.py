"""`planner load` as a person sees it."""

import json

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import planner
from tests.planner.bench.endpoint.stand_in import Behaviour, serving


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["load", *arguments], catch_exceptions=False)


def test_the_answer_comes_first_and_the_data_has_it_all() -> None:
    with serving(Behaviour(models=("tiny\x1b[31m",))) as url:
        words = (url, "--concurrency", "1,2", "--budget", "2", "--prompt", "30", "--output", "5")
        shown = run(*words)
        data = json.loads(run(*words, "--format", "json").stdout)
    assert shown.exit_code == 0, shown.output
    assert "\x1b" not in shown.output
    assert "output tokens per second" in " ".join(shown.stdout.split())
    assert "The server's own account" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert [level["concurrency"] for level in data["levels"]] == [1, 2]
    assert data["levels"][1]["ttft_s"]["p95"] >= data["levels"][1]["ttft_s"]["p50"]


def test_an_open_loop_names_its_rate() -> None:
    with serving(Behaviour()) as url:
        data = json.loads(
            run(url, "--rate", "10", "--budget", "2", "--output", "3", "--format", "json").stdout
        )
    (level,) = data["levels"]
    assert level["offered_requests_per_s"] == 10
    assert level["concurrency"] is None
    assert data["knee"] is None


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (("localhost:9", "--rate", "1", "--concurrency", "1"), "three ways", 2),
        (("localhost:9", "--prompt", "none"), "no length in tokens", 2),
        (("localhost:9", "--api-key-env", "SURELY_NOT_SET"), "is not set", 2),
        (("localhost:9", "--trace", "nothing.csv"), "there is no log or trace", 1),
        (("localhost:9", "--budget", "1"), "no server answers", 1),
    ],
)
def test_mistakes_are_told_in_a_line(words: tuple[str, ...], said: str, status: int) -> None:
    result = run(*words)
    assert result.exit_code == status
    assert said in " ".join(result.output.split())
    assert "Traceback" not in result.output

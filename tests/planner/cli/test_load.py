"""`planner load` as a person sees it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from planner.api.measurement_files import Given, measurement_table
from planner.cli.main import planner
from tests.planner.bench.endpoint.stand_in import Behaviour, serving


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["load", *arguments], catch_exceptions=False)


def bench(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(planner, ["bench", *arguments], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def test_a_test_is_kept_and_the_commands_of_benchmarks_know_it(data_folder: Path) -> None:
    with serving(Behaviour()) as url:
        words = (url, "--concurrency", "2", "--budget", "1", "--prompt", "30", "--output", "5")
        first = json.loads(run(*words, "--device", "2x H100 SXM", "--format", "json").stdout)
        second = json.loads(run(*words, "--format", "json").stdout)
        assert run(*words, "--no-save").exit_code == 0
    listed = json.loads(bench("list", "--format", "json"))
    assert [test["id"] for test in listed["loads"]] == [first["id"], second["id"]]
    assert first["engine"] == "vllm"  # by the names of its counters
    assert f"{first['id']}" in bench("list")
    shown = json.loads(bench("show", first["id"], "--format", "json"))
    assert shown == {name: value for name, value in first.items() if name != "id"}
    compared = bench("compare", first["id"], second["id"])
    assert "x2 TTFT p50" in compared
    assert "the tests differ in: device" in compared
    bench("rm", second["id"])
    assert "1 load test kept" in " ".join(bench("list").split())


def test_a_kept_test_is_exported_in_vllms_format_and_read_back(data_folder: Path) -> None:
    with serving(Behaviour()) as url:
        words = (url, "--concurrency", "1,2", "--budget", "2", "--prompt", "30", "--output", "5")
        test = json.loads(run(*words, "--format", "json").stdout)
    file = data_folder / "theirs.json"
    file.write_text(bench("export", "last"))
    results = json.loads(file.read_text())
    assert len(results[0]["ttfts"]) == test["levels"][0]["ttft_s"]["n"]
    (own,) = (data_folder / "loads").iterdir()
    served = Given(device="H100 SXM", engine="vllm")
    # The same rows, whether by the other tool's format or by our own file.
    ours, theirs = (measurement_table(path, served).rows for path in (own, file))
    for a, b in zip(ours, theirs, strict=True):
        assert a == b
    assert "use --as vllm" in bench("export", "last", "--as", "md", status=2)
    copy = data_folder / "copy.json"
    copy.write_bytes(own.read_bytes())
    bench("rm", "last")
    assert not own.exists()
    bench("import", str(copy))
    assert own.read_bytes() == copy.read_bytes()  # the name follows from the content


def test_what_failed_is_said_under_the_table() -> None:
    # Two good answers for the server to be known, two for the level, then all fail.
    with serving(Behaviour(fault="break", fault_after=4)) as url:
        words = (url, "--concurrency", "1", "--budget", "2", "--prompt", "30", "--output", "5")
        shown = run(*words, "--max-requests", "4").stdout
    assert "2 requests at 1 at once failed: the answer broke off" in " ".join(shown.split())


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

"""`planner decide`, with the catalogue and the packaged prices."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.cli.main import planner


def run(*arguments: str, text: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(planner, ["decide", *arguments], input=text)
    return result.exit_code, result.stdout, result.stderr


def test_answers_of_a_file_are_kept_and_give_the_same_again(tmp_path: Path) -> None:
    file, kept = tmp_path / "answers.toml", tmp_path / "kept.json"
    file.write_text('data = "anywhere"\nreasoning = "some"\nmodalities = ["text", "image"]\n')
    code, first, _ = run("--answers", str(file), "--format", "json", "--save", str(kept))
    assert code == 0
    data = json.loads(first)
    assert data["schema"] == "planner.decide/1" and data["answers"]["modalities"] == "text, image"
    assert data["listed"] and all("image" in one["modalities"] for one in data["listed"])
    assert run("--answers", str(kept), "--format", "json")[1] == first


def test_data_that_stays_lists_no_api(tmp_path: Path) -> None:
    code, out, _ = run("--set", "data=own", "--on", "RTX 4090, 64GiB", "--format", "json")
    assert code == 0
    listed = json.loads(out)["listed"]
    assert listed and all(one["is_open"] for one in listed)
    # Each of them lies whole in the card, so the next command plans it there.
    assert all(any(way["kind"] == "own" for way in one["ways"]) for one in listed)
    text = run("--set", "data=own", "--on", "RTX 4090, 64GiB")[1]
    assert "planner price" not in text and "planner fit" in text


def test_what_counts_most_decides_the_order() -> None:
    first = {
        priority: json.loads(run("--set", f"priority={priority}", "--format", "json")[1])["listed"][0]
        for priority in ("quality", "cost")
    }
    # The best score there is, and something that costs less and is not much worse: 65 % of it at least.
    assert first["quality"]["score"] > first["cost"]["score"] >= 0.65 * first["quality"]["score"]
    cheapest = {
        name: min(way["usd_per_month"] for way in one["ways"] if way["kind"] == "api")
        for name, one in first.items()
    }
    assert cheapest["cost"] < cheapest["quality"]


def test_nobody_to_ask_is_a_usage_error() -> None:
    code, _, error = run()
    assert code == 2 and "--answers FILE" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "dta=own"), "did you mean data?"),
        (("--set", "data"), "KEY=ANSWER"),
        (("--answers", "no-such-file.toml"), "no-such-file.toml"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    code, _, error = run(*arguments)
    assert code in (1, 2) and message in error and "Traceback" not in error


def test_lines_keep_to_eighty_columns() -> None:
    out = run("--set", "priority=quality", "--on", "RTX 4090, 64GiB")[1]
    table = [line for line in out.splitlines() if not line.startswith("  planner")]
    assert max(len(line) for line in table) <= 80

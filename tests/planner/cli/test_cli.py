"""The command line as a person meets it: answers, formats, errors in one line, nothing half-written."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import COMMANDS, main, planner
from planner.cli.render import as_markdown, as_table, plain
from planner.report.document import Document, Table

ON = "RTX 4090, 64GiB DDR5-5600"


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's data."""
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, list(arguments), catch_exceptions=False)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"planner {name}" in result.output


@pytest.mark.parametrize("output_format", ["table", "json", "csv", "md"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("hardware",),
        ("model", "qwen3-30b-a3b"),
        ("fit", "qwen3-30b-a3b", "--on", ON),
        ("fit", "--on", ON),
        ("price", "gpt-oss-120b"),
    ],
    ids=["hardware", "model", "fit", "catalogue", "price"],
)
def test_every_answer_in_every_format(arguments: tuple[str, ...], output_format: str) -> None:
    result = run(*arguments, "--format", output_format)
    assert result.exit_code == 0, result.output
    if output_format == "json":
        data = json.loads(result.stdout)
        assert data["schema"].startswith("planner.")
        assert data["schema"].endswith("/1")
    elif output_format == "csv":
        rows = list(csv.reader(io.StringIO(result.stdout)))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
    elif output_format == "md":
        assert result.stdout.startswith("## ")
    else:
        assert result.stdout.strip()


def test_model_json_has_the_counts_that_others_build_on() -> None:
    data = json.loads(run("model", "qwen3-30b-a3b", "--context", "128k", "--format", "json").stdout)
    # A layer: attention 2·2048·4096 + 2·2048·512, norms 2·2048 + 2·128, router 2048·128, 8 experts 3·2048·768.
    layer = 18_874_368 + 4_352 + 262_144 + 37_748_736
    # 48 layers, embedding table, head and final norm.
    active = 48 * layer + 2 * 151_936 * 2048 + 2048
    assert data["parameters"] == {
        "text": 30_532_122_624, "mtp": 0, "towers": 0, "copies": 0, "total": 30_532_122_624, "active": active,
        "read_per_token": active - 151_936 * 2048,
    }  # fmt: skip
    # 48 layers · 4 KV heads · 128 · 2 · 2 bytes · 131,072 tokens = 12 GiB.
    assert data["kv_bytes"] == 12 * 2**30
    assert data["state_bytes"] == 0


def test_fit_json_adds_up() -> None:
    data = json.loads(run("fit", "qwen3-30b-a3b", "--on", ON, "--quant", "Q4_K_M", "--format", "json").stdout)
    for row in data["rows"]:
        for device in row["devices"]:
            assert sum(term["value_bytes"] for term in device["terms"]) == device["needed_bytes"]
            assert device["capacity_bytes"] - device["needed_bytes"] == device["free_bytes"]
            assert all(term["source"] and term["basis"] for term in device["terms"])
        speed = row["decode"]["tokens_per_s"]
        assert speed["low"] <= speed["expected"] <= speed["high"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("model", "qwen3-30b-a3bb"), ["qwen3-30b-a3b"]),
        (("model", "missing.gguf"), ["missing.gguf"]),
        (("fit", "qwen3-30b-a3b", "--on", "RTX 4999"), ["RTX 4999"]),
        (("fit", "qwen3-30b-a3b", "--on", "RTX 4090, 64G"), ["GiB"]),
        (("price", "no-such-model-anywhere"), ["no-such-model-anywhere"]),
        (("bench", "qwen3-30b-a3b"), ["GGUF"]),
    ],
)
def test_what_a_person_can_mend_is_one_line_and_exit_1(arguments: tuple[str, ...], words: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    assert all(word in lines[0] for word in words)


@pytest.mark.parametrize(
    "arguments",
    [("fti",), ("fit", "x", "--quant", "Q9"), ("report",), ("report", "x", "--demo"), ("model", "x", "--context", "many")],
)  # fmt: skip
def test_wrong_usage_is_exit_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_command_line_of_something_else_is_no_command_line() -> None:
    result = run("fit", "qwen3-8b", "--command", "ls -la")
    assert result.exit_code == 2
    assert "'ls -la' is no command line of llama-server" in " ".join(result.output.split())


def test_a_mistyped_command_gets_a_suggestion() -> None:
    assert "Did you mean 'fit'?" in run("fti").stderr


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    for name, content in {
        "short.gguf": b"GGUF\x03\x00\x00\x00",
        "text.gguf": b"hello, this is no model",
        "huge-string.gguf": b"GGUF\x03\0\0\0"
        + bytes(8)
        + (1).to_bytes(8, "little")
        + (2**60).to_bytes(8, "little"),
        "broken.json": b"{",
        "deep.json": b'{"a":' * 100_000,
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        result = run("model", str(path))
        assert result.exit_code == 1, name
        assert len(result.stderr.strip().splitlines()) == 1, name


def test_the_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    result = run("report", "qwen3-30b-a3b", "--on", ON, "--out", str(blocked / "below"))
    assert result.exit_code == 1
    assert "--out" in result.stderr
    good = tmp_path / "good"
    result = run("report", "qwen3-30b-a3b", "--on", ON, "--out", str(good))
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in good.iterdir()) == ["report.html", "report.json", "report.md"]
    assert json.loads((good / "report.json").read_text())["schema"] == "planner.report/2"


@pytest.mark.parametrize("output_format", ["json", "csv", "md"])
def test_a_report_can_also_be_printed(output_format: str, tmp_path: Path) -> None:
    result = run("report", "qwen3-30b-a3b", "--on", ON, "--out", str(tmp_path), "--format", output_format)
    assert result.exit_code == 0, result.output
    assert "wrote" in result.stderr
    if output_format == "json":
        assert json.loads(result.stdout) == json.loads((tmp_path / "report.json").read_text())
    elif output_format == "md":
        assert "Qwen3 30B A3B" in result.stdout
    else:
        assert len(list(csv.reader(io.StringIO(result.stdout)))) > 1


def test_a_terminal_cannot_be_rewritten_by_a_name() -> None:
    document = Document(
        schema="x/1", title="t", answer=("\x1b[2Jgone",),
        tables=(Table(title="", headers=("a",), rows=(("\x1b]0;title\x07", ),)),),
    )  # fmt: skip
    assert "\x1b" not in as_table(document)
    assert "\x1b" not in as_markdown(document)
    assert plain("a\tb\u202ec") == "a\ufffdb\ufffdc"


def test_tables_keep_to_80_columns() -> None:
    for arguments in (("fit", "gpt-oss-120b", "--on", ON), ("fit", "--on", ON), ("price", "llama-3.3-70b")):
        widest = max(
            len(line) for line in run(*arguments).stdout.splitlines() if not line.startswith("  llama-server")
        )
        assert widest <= 80, arguments


def test_help_answers_without_heavy_imports() -> None:
    """`planner --help` must not pay for NumPy, pydantic or the hub's client."""
    code = (
        "import sys, planner.cli.main as m\n"
        "heavy = {'numpy', 'pydantic', 'huggingface_hub', 'matplotlib', 'genai_prices', 'psutil', 'llama_cpp'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ}, timeout=60)


def test_completion_scripts() -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_PLANNER_COMPLETE" in run("completion", shell).stdout


def test_main_turns_ctrl_c_into_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(planner, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["hardware"])
    assert ended.value.code == 130

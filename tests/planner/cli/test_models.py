"""`planner models` as a person meets it."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from planner.cli.main import planner
from planner.cli.progress import patient_progress
from profiles import loader
from tests.planner.readers.hub_server import LocalHub, small

CONFIG: dict[str, object] = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 256, "max_position_embeddings": 4096,
    "tie_word_embeddings": True, "rms_norm_eps": 1e-6, "rope_theta": 10_000.0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own models."""
    monkeypatch.setenv(loader.USER_FOLDER_VARIABLE, str(tmp_path / "own"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "own" / "models"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "Tiny 90K"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["models", *arguments], catch_exceptions=False)


@pytest.mark.parametrize("name", ["list", "add", "update", "remove"])
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"planner models {name}" in result.output


def test_without_a_command_it_lists() -> None:
    assert run().stdout == run("list").stdout
    assert run("qwen3", "8b").stdout == run("list", "qwen3", "8b").stdout
    assert run("--licence", "mit").stdout == run("list", "--license", "mit").stdout
    assert "Commands:" in run("--help").stdout


@pytest.mark.parametrize(
    "arguments", [(), ("--context", "32k"), ("qwen3", "--max-memory", "24GiB"), ("--modality", "vision")]
)
def test_the_table_keeps_to_80_columns_and_no_licence_is_cut_in_two_lines(arguments: tuple[str, ...]) -> None:
    lines = run(*arguments).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("apache-2.0" in line for line in lines)


@pytest.mark.parametrize("output_format", ["json", "csv", "md"])
def test_formats(output_format: str) -> None:
    result = run("qwen3-30b", "--context", "128k", "--format", output_format)
    assert result.exit_code == 0
    if output_format == "json":
        data = json.loads(result.stdout)
        assert data["schema"] == "planner.models/1"
        assert data["query"] == {"text": "qwen3-30b", "n_context_tokens": 131_072}
        assert data["n_matching"] == len(data["models"]) < data["n_models"]
        model = next(model for model in data["models"] if model["id"] == "qwen3-30b-a3b")
        assert model["parameters"] == 30_532_122_624
        assert (
            model["context_tokens"] == model["n_context_tokens"] == 40_960
        )  # no more than it was trained for
        # 48 layers · 4 KV heads · 128 · 2 · 2 bytes · 40,960 tokens, and the weights, and more.
        assert model["needed_bytes"] > model["weight_bytes"] + 48 * 4 * 128 * 2 * 2 * 40_960
    elif output_format == "csv":
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        row = next(row for row in rows if row["model"] == "qwen3-30b-a3b")
        assert (row["family"], row["licence"], row["modalities"]) == ("Qwen3", "apache-2.0", "text")
        assert row["repository"] == "Qwen/Qwen3-30B-A3B"
    else:
        assert result.stdout.startswith("## ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("qwen3-30b-a4b",), ["did you mean qwen3-30b-a3b"]),
        (("udpate",), ["did you mean the command `planner models update`"]),
        (("--licence", "apache"), ["did you mean apache-2.0"]),
        (("add", "no-such-name"), ["ORG/NAME"]),
        (("add", "./nowhere"), ["nowhere"]),
        (("remove", "nothing-like-this"), ["nothing-like-this"]),
        (("update", "qwen3-8bb"), ["did you mean qwen3-8b"]),
    ],
)
def test_what_a_person_can_mend_is_one_line_and_exit_1(arguments: tuple[str, ...], words: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("Error: ")
    assert all(word in lines[0] for word in words), lines[0]


@pytest.mark.parametrize(
    "arguments",
    [("--max-memory", "24G"), ("--max-memory", "24"), ("--min-params", "many"), ("--min-context", "long"),
     ("--quant", "Q9"), ("--sort", "taste"), ("--sort", "needs"), ("add",), ("--licence", "mit,,x")],
)  # fmt: skip
def test_wrong_usage_is_exit_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_broken_entry_of_ones_own_is_named_with_its_field(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "mine.json").write_text('{"id": "mine", "contxt": 5}')
    result = run()
    assert result.exit_code == 1
    assert "mine.json" in result.stderr and "'contxt'" in result.stderr


def test_add_list_update_remove(folder: Path, checkpoint: Path) -> None:
    added = run("add", str(checkpoint), "--name", "My Tiny", "--alias", "tiny", "--family", "Tinies")
    assert added.exit_code == 0, added.stderr
    assert "Added my-tiny" in added.stdout and "planner fit my-tiny" in added.stdout
    listed = run("--family", "tinies")
    assert "my-tiny +" in listed.stdout and "your own folder" in listed.stdout
    again = run("add", str(checkpoint), "--name", "My Tiny")
    assert again.exit_code == 1 and "--force" in again.stderr
    same = run("update")
    assert "1 model fetched anew: 1 as before." in same.stdout
    (checkpoint / "config.json").write_text(json.dumps({**CONFIG, "max_position_embeddings": 8192}))
    dry = run("update", "tiny", "--dry-run", "--format", "json")
    assert json.loads(dry.stdout)["models"][0]["changes"] == [
        {"field": "context_tokens", "old": 4096, "new": 8192},
        {"field": "config.max_position_embeddings", "old": 4096, "new": 8192},
    ]
    changed = run("update", "tiny")
    assert changed.exit_code == 0
    assert "context_tokens" in changed.stdout and "8192" in changed.stdout
    (checkpoint / "config.json").unlink()
    failed = run("update")
    assert failed.exit_code == 1
    assert "1 failed" in failed.stdout
    assert failed.stderr.splitlines()[-1] == "Error: 1 of 1 could not be fetched: my-tiny"
    assert run("remove", "My Tiny").stdout.startswith("Removed my-tiny")
    assert list(folder.iterdir()) == []
    assert "no models of your own" in run("update").stdout


def test_a_hub_repository_end_to_end(tmp_path: Path, folder: Path) -> None:
    """The command in a process of its own: the client reads HF_ENDPOINT when it is imported."""
    with LocalHub() as hub:
        hub.repos["org/tiny"] = {"config.json": small(CONFIG)}
        hub.repos["org/gated"] = {"config.json": small(CONFIG)}
        hub.gated.add("org/gated")
        environment = {
            **os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0",
        }  # fmt: skip
        environment.pop("HF_TOKEN", None)

        def planner_process(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
            code = "from planner.cli.main import main; main()"
            return subprocess.run(
                [sys.executable, "-c", code, "models", *arguments],
                env=environment | more, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip

        added = planner_process("add", "org/tiny")
        assert (added.returncode, added.stderr) == (0, "")
        assert json.loads((folder / "tiny.json").read_text())["hub_id"] == "org/tiny"
        for arguments, more, word in (
            (("add", "org/gated"), {}, "HF_TOKEN"),
            (("add", "org/absent"), {}, "no repository"),
            (("add", "org/other"), {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE"),
            (("update",), {"HF_HUB_OFFLINE": "1"}, "1 of 1 could not be fetched: tiny"),
        ):
            refused = planner_process(*arguments, **more)
            assert refused.returncode == 1
            assert word in refused.stderr.strip().splitlines()[-1], refused.stderr
            assert "Traceback" not in refused.stderr
        assert [path.name for path in folder.iterdir()] == ["tiny.json"]


def test_listing_waits_for_nothing_heavy() -> None:
    code = (
        "import sys, click.testing, planner.cli.main as m\n"
        "assert click.testing.CliRunner().invoke(m.planner, ['models', 'qwen3-8b']).exit_code == 0\n"
        "heavy = {'numpy', 'pydantic', 'huggingface_hub', 'matplotlib', 'genai_prices', 'psutil', 'pynvml'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ}, timeout=60)


def completions(*words: str) -> list[str]:
    *before, incomplete = words
    shell = ShellComplete(planner, {}, "planner", "_PLANNER_COMPLETE")
    return [item.value for item in shell.get_completions(list(before), incomplete)]


def test_the_shell_completes_names(folder: Path) -> None:
    assert "qwen3-30b-a3b" in completions("model", "qwen3-30")
    assert "qwen3-30b-a3b" in completions("fit", "QWEN3-30")
    assert "qwen3-30b-a3b" in completions("models", "update", "qwen3-30")
    assert "qwen3-30b-a3b" in completions("models", "qwen3-30")
    assert {"list", "add", "update", "remove"} <= set(completions("models", ""))
    assert "--max-memory" in completions("models", "--max")
    assert completions("models", "list", "--sort", "re") == ["released"]
    # A broken file of one's own must not print a traceback into somebody's prompt.
    folder.mkdir(parents=True)
    (folder / "bad.json").write_text("{")
    loader.forget_models()
    assert "qwen3-30b-a3b" in completions("model", "qwen3-30")


def test_progress_is_shown_only_for_work_that_takes_long(capsys: pytest.CaptureFixture[str]) -> None:
    with patient_progress("Sizing", patience_s=60) as show:
        for i in range(100):
            show(i / 100, "x")
    assert capsys.readouterr().err == ""
    with patient_progress("Sizing", patience_s=0) as show:
        show(0.5, "x")
    assert "Sizing: 50%" in capsys.readouterr().err

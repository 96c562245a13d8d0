"""`planner bench ollama` from the command line to the store, against the stand-in."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from planner.cli.main import planner
from planner.readers.config.network import network_from_config
from tests.header_only import CONFIGS, write_header_only
from tests.planner.bench.ollama.stand_in import Behaviour, ollama


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Ollama's with one small model in it, and an empty data folder."""
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    path = write_header_only(
        tmp_path / "model.gguf", "llama", network_from_config(CONFIGS["llama"]), "Q4_K_M"
    )
    digest = "ab" * 32  # nobody checks it
    blob = tmp_path / "ollama" / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(parents=True)
    path.rename(blob)
    manifest = tmp_path / "ollama" / "manifests" / "registry.ollama.ai" / "library" / "smollm2" / "135m"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}", "size": 1}
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": [layer]}))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(planner, ["bench", *arguments], catch_exceptions=False)


def test_a_run_is_shown_kept_and_listed(home: Path) -> None:
    with ollama(Behaviour()) as url:
        result = run("ollama", "smollm2:135m", "--host", url, "--budget", "1", "--format", "json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["engine"] == "ollama"
    assert len(list((home / "data" / "benchmarks").glob("*.json"))) == 1
    assert "smollm2" in run("list").stdout


@pytest.mark.usefixtures("home")
def test_an_ollama_elsewhere_is_refused() -> None:
    result = run("ollama", "smollm2:135m", "--host", "gpu-box.example:11434")
    assert result.exit_code == 1
    assert "runs on another machine" in " ".join(result.output.split())


@pytest.mark.usefixtures("home")
def test_a_model_that_is_not_there_says_how_to_get_it() -> None:
    with ollama(Behaviour()) as url:
        result = run("ollama", "qwen3:8b", "--host", url)
    assert result.exit_code == 1
    assert "--pull" in result.output

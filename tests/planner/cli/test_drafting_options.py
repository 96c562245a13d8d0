"""Speculative decoding asked for on the command line: which options go together, and what the answer holds."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.cli.main import planner

ON = ("--on", "RTX 4090, 64GiB DDR5-5600", "--context", "8k", "--quant", "Q4_K_M")


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the user's data."""
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(planner, arguments)
    return result.exit_code, result.output if result.exit_code else result.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--draft", "qwen3-0.6b", "--mtp"), "take one"),
        (("--acceptance", "0.7"), "--draft REF or of --mtp"),
        (("--draft-quant", "Q8_0"), "add it"),
        (("--mtp", "--acceptance", "1.5"), "1.5"),
        (("--mtp", "--acceptance", "0"), "0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: tuple[str, ...], said: str) -> None:
    code, output = run("fit", "qwen3-8b", *ON, *options)
    assert code == 2
    assert said in output


def test_a_draft_of_unknown_storage_is_one_clear_line() -> None:
    code, output = run("fit", "qwen3-8b", *ON, "--draft", "qwen3-0.6b")
    assert code == 1
    assert "--draft-quant" in output


def test_a_draft_has_its_speed_and_its_room() -> None:
    code, output = run(
        "fit", "qwen3-8b", *ON, "--draft", "qwen3-0.6b", "--draft-quant", "Q8_0", "--acceptance", "0.7",
        "--draft-tokens", "3", "--format", "json",
    )  # fmt: skip
    assert code == 0
    (row,) = json.loads(output)["rows"]
    drafted = row["speculative"]
    assert drafted["n_draft_tokens"] == 3
    # 1 + 0.7 + 0.49 + 0.343
    assert drafted["tokens_per_step"] == pytest.approx(2.533)
    assert drafted["acceptance_fraction"]["basis"] == "given"
    assert drafted["tokens_per_s"]["expected"] == pytest.approx(
        2.533 / (drafted["draft_s"] + drafted["verify_s"])
    )
    assert any(term["name"] == "draft weights" for load in row["devices"] for term in load["terms"])
    assert row["energy"]["decode_wh_per_mtok"]["expected"] == pytest.approx(
        row["energy"]["decode_j_per_token"]["expected"] / 3.6e-3
    )


def test_prediction_layers_are_loaded_and_have_a_cache_of_their_own() -> None:
    wanted = (
        "fit",
        "glm-4.5-air",
        "--on",
        "2x H100 SXM, 256GiB DDR5-5600",
        "--context",
        "8k",
        "--quant",
        "Q4_K_M",
    )
    code, output = run(*wanted, "--mtp", "--format", "json")
    assert code == 0
    (row,) = json.loads(output)["rows"]
    plain_code, plain_output = run(*wanted, "--format", "json")
    assert plain_code == 0
    (plain,) = json.loads(plain_output)["rows"]
    assert row["needed_bytes"] > plain["needed_bytes"] + 10**9
    assert row["speculative"]["speedup_ratio"] > 1
    assert "--spec-type" in row["command"]
    assert plain["speculative"] is None


def test_several_at_once_are_shown() -> None:
    code, output = run("fit", "qwen3-8b", *ON, "--parallel", "4")
    assert code == 0
    assert "Several at once, each with 2,048 tokens of context" in output
    assert "Wh per million" in output


def test_a_tensor_split_needs_a_cache_that_is_not_quantized() -> None:
    code, output = run("fit", "qwen3-8b", *ON, "--split-mode", "tensor", "--kv-type", "Q8_0")
    assert code == 2
    assert "not quantized" in output

"""Models of a type that nobody knows: what is said of them, and what assuming a part changes."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import MissingFactError, UnknownArchitectureError
from planner.readers.assumptions import KINDS, QUESTIONS, parse_assumptions
from planner.readers.config.network import network_from_config

# The shape of Qwen3-30B-A3B (48 layers, 128 experts, 8 active), of which 30,532,122,624 parameters are published.
KNOWN: dict[str, Any] = {
    "model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32,
    "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144, "moe_intermediate_size": 768,
    "num_experts": 128, "num_experts_per_tok": 8, "decoder_sparse_step": 1, "mlp_only_layers": [],
    "norm_topk_prob": True, "vocab_size": 151936, "tie_word_embeddings": False, "attention_bias": False,
    "max_position_embeddings": 40960,
}  # fmt: skip
PUBLISHED = 30_532_122_624
UNKNOWN = KNOWN | {"model_type": "qwen9_moe"}


def total(config: dict[str, Any], *assumed: str) -> int:
    found = network_from_config(config, parse_assumptions(assumed)).parameters.total
    assert found is not None
    return found


def refusal(config: dict[str, Any], *assumed: str) -> str:
    with pytest.raises((UnknownArchitectureError, MissingFactError)) as caught:
        total(config, *assumed)
    return str(caught.value)


def test_an_unknown_type_is_told_part_by_part() -> None:
    told = refusal(UNKNOWN)
    assert "'qwen9_moe' is not known" in told
    assert "48 layers (full GQA + MoE 8 of 128), hidden size 2,048, vocabulary 151,936" in told
    for part in ("attention", "mlp", "norms", "experts"):
        assert QUESTIONS[part] in told
        assert f"--assume {part}=" in told
    for part in ("windows", "mtp", "head"):  # nothing in the config speaks of these, or it says all
        assert QUESTIONS[part] not in told
    assert "--assume architecture=qwen3_moe" in told


def test_what_was_assumed_is_asked_no_more() -> None:
    told = refusal(UNKNOWN, "attention=qk-norm", "norms=2")
    assert QUESTIONS["attention"] not in told
    assert QUESTIONS["mlp"] in told


@pytest.mark.parametrize(
    "assumed",
    [("architecture=qwen3_moe",), ("attention=qk-norm", "mlp=gated", "norms=2", "experts=plain")],
)
def test_the_right_assumptions_give_the_published_total(assumed: tuple[str, ...]) -> None:
    network = network_from_config(UNKNOWN, parse_assumptions(assumed))
    assert network.parameters.total == PUBLISHED
    assert network.assumed == assumed
    # The pages show it: a number that rests on an assumption never looks like one that does not.
    assert any(all(text in note for text in assumed) for note in network.notes)
    assert network.architecture == "qwen9_moe"


def test_each_assumption_changes_what_it_says() -> None:
    base = ("attention=plain", "mlp=gated", "norms=2", "experts=plain")
    plain = total(UNKNOWN, *base)
    # Norms of queries and keys: 2 · 128 a layer; biases: (32 + 2·4) · 128; sinks: one number a head.
    assert total(UNKNOWN, "attention=qk-norm", *base[1:]) - plain == 48 * 2 * 128
    assert total(UNKNOWN, "attention=bias+sinks", *base[1:]) - plain == 48 * (40 * 128 + 32)
    assert total(UNKNOWN, *base[:2], "norms=4", base[3]) - plain == 48 * 2 * 2048
    assert total(UNKNOWN, *base[:3], "experts=correction-bias") - plain == 48 * 128
    tied = {key: value for key, value in UNKNOWN.items() if key != "tie_word_embeddings"}
    assert QUESTIONS["head"] in refusal(tied, *base)
    assert total(tied, *base, "head=own") - total(tied, *base, "head=tied") == 2048 * 151936


def test_windows_and_extra_layers_are_asked_for_when_the_config_speaks_of_them() -> None:
    told = refusal(UNKNOWN | {"sliding_window": 4096, "num_nextn_predict_layers": 1})
    assert QUESTIONS["windows"] in told
    assert QUESTIONS["mtp"] in told


def test_a_field_nobody_knows_can_be_passed_over_by_name() -> None:
    for config in (KNOWN | {"rope_gate_dim": 64}, UNKNOWN | {"rope_gate_dim": 64}):
        told = refusal(config, *(() if config["model_type"] == "qwen3_moe" else ("architecture=qwen3_moe",)))
        assert "rope_gate_dim" in told
        assert "--assume rope_gate_dim=ignored" in told
    assert total(KNOWN | {"rope_gate_dim": 64}, "rope_gate_dim=ignored") == PUBLISHED
    parts = ("attention=qk-norm", "mlp=gated", "norms=2", "experts=plain", "rope_gate_dim=ignored")
    assert total(UNKNOWN | {"rope_gate_dim": 64}, *parts) == PUBLISHED


def test_what_figures_rest_on_cannot_be_passed_over() -> None:
    assert "needs it" in refusal(KNOWN, "hidden_size=ignored")
    assert "no such field" in refusal(KNOWN, "rope_gate_dim=ignored")


def test_known_types_are_not_assumed_part_by_part() -> None:
    assert "qwen3_moe is a known type" in refusal(KNOWN, "mlp=gated")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mlp", "no assumption"),
        ("mlps=gated", "did you mean mlp"),
        ("mlp=gate", "kinds of mlp are gated, two-matrix"),
        ("attention=qk-norm+gates", "joined with +"),
        ("architecture=qwen3_mo", "qwen3_moe"),
        ("=gated", "no assumption"),
    ],
)
def test_mistyped_assumptions_are_told_what_there_is(text: str, told: str) -> None:
    assert told in refusal(UNKNOWN, text)


def test_every_kind_of_every_part_can_be_built() -> None:
    for part, kinds in KINDS.items():
        for kind in kinds:
            parse_assumptions([f"{part}={kind}"]).dialect()
    assert set(QUESTIONS) == set(KINDS)


def test_a_config_is_not_changed_by_reading_it() -> None:
    config = copy.deepcopy(UNKNOWN)
    total(config, "architecture=qwen3_moe")
    assert config == UNKNOWN


def test_the_command_line_takes_assumptions(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from planner.cli.main import planner

    path = tmp_path / "config.json"
    path.write_text(json.dumps(UNKNOWN))
    runner = CliRunner()
    refused = runner.invoke(planner, ["model", str(path)])
    assert refused.exit_code == 1
    assert "--assume attention=" in refused.output
    shown = runner.invoke(planner, ["model", str(path), "--assume", "architecture=qwen3_moe"])
    assert shown.exit_code == 0, shown.output
    assert "assumed, not known: architecture=qwen3_moe" in " ".join(shown.output.split())
    fitted = runner.invoke(
        planner, ["fit", str(path), "--on", "RTX 4090, 64GiB DDR5-5600", "--assume", "architecture=qwen3_moe"]
    )
    assert fitted.exit_code == 0, fitted.output
    assert runner.invoke(planner, ["model", str(path), "--assume", "mlp"]).exit_code == 2
    assert runner.invoke(planner, ["fit", "--assume", "mlp=gated"]).exit_code == 2

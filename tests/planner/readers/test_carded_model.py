"""Models with their cards: what is claimed against what was counted, from hub repositories and folders."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import AccessError, NotFoundError, UnreachableError
from planner.model.card import Card
from planner.model.claims import Claim, card_claims, name_claims
from planner.readers.card.model_card import MAX_CARD_BYTES, parse_card
from planner.readers.card.names import sizes_in_name
from planner.readers.carded_model import open_with_card
from planner.readers.config.network import network_from_config
from planner.readers.hub.repository import HubOptions
from planner.readers.source_facts import facts_of_config, facts_of_gguf
from tests.header_only import CONFIGS, write_header_only
from tests.planner.readers.card_texts import QWEN, REPO
from tests.planner.readers.hub_server import LocalHub, small

# 48 layers of 128 experts of which 8 work; the shapes of Qwen3-30B-A3B, counted by hand in a test below.
CONFIG: dict[str, Any] = {
    "model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32,
    "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144, "moe_intermediate_size": 768,
    "num_experts": 128, "num_experts_per_tok": 8, "vocab_size": 151_936, "tie_word_embeddings": False,
    "max_position_embeddings": 40_960,
}  # fmt: skip


def card_of(text: str, name: str) -> Card:
    return parse_card(text.encode(), name)


def claims_of(text: str, name: str = REPO, config: dict[str, Any] = CONFIG) -> dict[str, Claim]:
    network, sizes = network_from_config(config), sizes_in_name(name)
    found = card_claims(card_of(text, name), network, facts_of_config(config), sizes)
    return {claim.what: claim for claim in found}


# What the claims come to.


def test_claims_against_the_counted_network() -> None:
    # A layer: attention 2·2048·4096 + 2·2048·512, norms 2·2048 + 2·128, router 2048·128, 128 experts 3·2048·768.
    outside = 2 * 2048 * 4096 + 2 * 2048 * 512 + 2 * 2048 + 2 * 128 + 2048 * 128
    expert, table = 3 * 2048 * 768, 151_936 * 2048
    total = 48 * (outside + 128 * expert) + 2 * table + 2048
    active = 48 * (outside + 8 * expert) + 2 * table + 2048
    claims = claims_of(QWEN)
    assert {what: claim.agrees for what, claim in claims.items()} == {
        "total parameters": True,
        "active parameters": True,
        "parameters without embeddings": True,
        "context": True,
        "context with rope scaling": None,
    }
    assert claims["total parameters"].found_value == total
    assert (claims["active parameters"].found_value, claims["active parameters"].note) == (
        active,
        "everything active",
    )
    assert claims["parameters without embeddings"].found_value == total - 2 * table
    # The config allows 40,960 and sets no scaling, so 131,072 takes a flag that the card speaks of.
    assert claims["context"].note == "less than config.json allows"
    assert claims["context with rope scaling"].found == "40,960"


def test_each_convention_of_counting_active_parameters_is_taken_and_named() -> None:
    # 3.35 B with everything, 3.04 B without the input embedding, 2.73 B without the head too.
    for figure, convention in (
        ("3.35B", "everything active"),
        ("3.04B", "active, without input embedding"),
        ("2.73B", "active, without embedding and head"),
    ):
        claim = claims_of(f"- Active parameters: {figure}")["active parameters"]
        assert (claim.agrees, claim.note) == (True, convention)
    assert claims_of("- Active parameters: 5.1B")["active parameters"].agrees is False


def test_a_false_claim_is_said_with_both_figures() -> None:
    claim = claims_of("- Total parameters: 35.0B\n- Context length: 256K")["total parameters"]
    assert (claim.agrees, claim.claimed, claim.found) == (False, "35.0B", "30.5 B")
    context = claims_of("- Context length: 256K")["context"]
    assert (context.agrees, context.claimed, context.found) == (False, "256K", "40,960")


def test_an_ambiguous_claim_stays_open_unless_the_name_decides() -> None:
    table = "| Model | Params |\n|---|---|\n| small | 4B |\n| large | 30B |\n"
    claim = claims_of(table, "org/nameless")["parameters"]
    assert (claim.agrees, claim.claimed, claim.note) == (None, "4B, 30B", "several are stated; one fits")
    named = claims_of(table)["parameters"]  # Thing-30B-A3B
    assert (named.agrees, named.claimed) == (True, "30B")


def test_context_by_the_configs_own_rope_scaling() -> None:
    yarn = CONFIG | {
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}
    }
    claims = claims_of("- Context length: 131,072 tokens with YaRN", config=yarn)
    assert claims["context with rope scaling"].agrees is True  # 4 · 32,768
    # Llama's scaling stretches positions within the stated length: 32 · 8,192 is no context.
    llama = CONFIG | {
        "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "original_max_position_embeddings": 8192}
    }
    assert claims_of("- Context length: 256K", config=llama)["context"].agrees is False


def test_licence_quantization_and_modality_claims() -> None:
    network = network_from_config(CONFIG)
    card = card_of("---\nlicense: MIT\ntags: [fp8, vision]\n---\n", "a/b-AWQ")
    in_gguf = {
        c.what: c for c in card_claims(card, network, facts_of_gguf({"general.license": "apache-2.0"}), ())
    }
    assert in_gguf["licence"].agrees is False
    assert in_gguf["image input"].agrees is None  # its tower would be in a projector file
    config = CONFIG | {"quantization_config": {"quant_method": "fp8"}}
    found = card_claims(card, network, facts_of_config(config), ())
    agreed = {(c.what, c.claimed): c.agrees for c in found}
    assert agreed == {
        ("quantization", "FP8"): True,
        ("quantization", "AWQ"): False,
        ("image input", "yes"): False,
    }
    # A config that names no method leaves it open: the method may stand in a file of its own.
    open_claims = [
        c for c in card_claims(card, network, facts_of_config(CONFIG), ()) if c.what == "quantization"
    ]
    assert {c.agrees for c in open_claims} == {None}


def test_names_are_held_against_the_network() -> None:
    network = network_from_config(CONFIG)
    assert [c.agrees for c in name_claims(sizes_in_name("Thing-30B-A3B"), network)] == [True, True]
    assert [c.agrees for c in name_claims(sizes_in_name("Thing-70B"), network)] == [False]


# Cards beside models.


@pytest.fixture
def filled(hub: LocalHub) -> LocalHub:
    hub.repos[REPO] = {"config.json": small(CONFIG), "README.md": small(QWEN.encode())}
    hub.facts[REPO] = {"safetensors": {"parameters": {"BF16": 30_532_122_624}, "total": 30_532_122_624}}
    return hub


def test_a_hub_model_comes_with_its_card_and_claims(filled: LocalHub, options: HubOptions) -> None:
    filled.repos[REPO][".eval_results/hle.yaml"] = small(b"- dataset: {id: cais/hle}\n  value: 9.5\n")
    opened = open_with_card(REPO, options=options)
    assert opened.licence == "apache-2.0"
    assert opened.card is not None
    assert [b.value for b in opened.card.benchmarks] == [9.5]
    assert [c.what for c in opened.claims if c.agrees is not True] == ["context with rope scaling"]
    assert opened.notes == ()


def test_a_repository_without_readme_says_so_and_is_shown(filled: LocalHub, options: HubOptions) -> None:
    del filled.repos[REPO]["README.md"]
    opened = open_with_card(REPO, options=options)
    assert opened.network.n_layers == 48
    assert [note for note in opened.notes if "has no README.md" in note]


def test_a_card_too_large_or_broken_is_a_note(filled: LocalHub, options: HubOptions) -> None:
    filled.repos[REPO]["README.md"] = small(b"x" * (MAX_CARD_BYTES + 1))
    assert any("at most 1.0 MiB are read" in note for note in open_with_card(REPO, options=options).notes)
    filled.repos[REPO]["README.md"] = small(b"---\na: *x\n---\n")
    (note,) = open_with_card(REPO, options=options).notes
    assert note.startswith("the card was read in part: ")


def test_a_gated_repository_says_what_is_public(filled: LocalHub, options: HubOptions) -> None:
    filled.gated_files.add(REPO)
    filled.facts[REPO] |= {"cardData": {"license": "other", "license_name": "thing"}, "gated": "manual"}
    with pytest.raises(AccessError) as caught:
        open_with_card(REPO, options=options)
    message = str(caught.value)
    assert "is gated: accept its licence" in message
    assert "the hub tells publicly: licence thing, 30.5 B elements stored" in message
    assert "\n" not in message


def test_a_gated_repository_of_the_catalogue_names_the_way_round(hub: LocalHub, options: HubOptions) -> None:
    hub.repos["meta-llama/Llama-3.1-8B-Instruct"] = {"config.json": small({})}
    hub.gated.add("meta-llama/Llama-3.1-8B-Instruct")
    with pytest.raises(AccessError, match=r"`planner model llama-3\.1-8b-instruct` works without it"):
        open_with_card("meta-llama/Llama-3.1-8B-Instruct", options=options)


def test_without_a_network_the_catalogue_stands_in_and_says_so(tmp_path: Path) -> None:
    # Nothing listens on port 9 of this machine.
    nowhere = HubOptions(endpoint="http://127.0.0.1:9", timeout_s=1, cache_dir=tmp_path)
    opened = open_with_card("Qwen/Qwen3-8B", options=nowhere)
    assert opened.network.parameters.text == 8_190_735_360  # the published total
    assert [note.partition(",")[0] for note in opened.notes] == ["read from the catalogue"]
    assert opened.card is None
    # What the catalogue does not have, or a file of the repository, is not made up.
    for reference in ("Qwen/NoSuch-8B", "Qwen/Qwen3-8B:Q4_K_M"):
        with pytest.raises(UnreachableError):
            open_with_card(reference, options=nowhere)


def test_a_missing_repository_keeps_its_message(hub: LocalHub, options: HubOptions) -> None:
    with pytest.raises(NotFoundError, match="has no repository 'no/such', or it is private"):
        open_with_card("no/such", options=options)


def test_a_folder_with_config_card_and_gguf_is_checked_both_ways(tmp_path: Path) -> None:
    config = CONFIGS["llama"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n- Context length: 128K\n")
    gguf = write_header_only(tmp_path / "m-Q8_0.gguf", "llama", network_from_config(config), "Q8_0")
    for reference in (str(tmp_path), str(gguf)):
        opened = open_with_card(reference)
        assert opened.card is not None
        assert opened.licence == "mit"
        assert {c.what: c.agrees for c in opened.claims} == dict.fromkeys(
            (
                "context",
                "layers",
                "hidden size",
                "vocabulary",
                "attention heads",
                "KV heads",
                "language model",
            ),
            True,
        )
    # Another model's config in the same folder: every figure that differs is shown.
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 12}))
    wrong = {c.what: (c.claimed, c.found) for c in open_with_card(str(gguf)).claims if c.agrees is False}
    assert wrong["layers"] == ("12", "16")
    assert set(wrong) == {"layers", "language model"}


def test_a_card_beside_several_ggufs_is_nobodys(tmp_path: Path) -> None:
    network = network_from_config(CONFIGS["qwen3"])
    (tmp_path / "README.md").write_text("- Parameters: 99B\n")
    for name in ("a.gguf", "b.gguf", "mmproj-a.gguf"):
        write_header_only(tmp_path / name, "qwen3", network, "Q8_0")
    assert open_with_card(str(tmp_path / "a.gguf")).card is None


def test_a_broken_neighbour_is_a_note(tmp_path: Path) -> None:
    gguf = write_header_only(tmp_path / "m.gguf", "qwen3", network_from_config(CONFIGS["qwen3"]), "Q8_0")
    (tmp_path / "config.json").write_text("{")
    (note,) = open_with_card(str(gguf)).notes
    assert note.startswith("not checked against the config.json beside it: ")

"""Model cards: metadata and figures from texts in the style of real ones, hostile ones, and those of a hub.

The texts are written for these tests after the layouts that publishers use; none is a copy.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from planner.errors import AccessError, MalformedError, NotFoundError
from planner.model.card import Card, Meaning, Place
from planner.model.claims import Claim, card_claims, name_claims
from planner.readers.card import MAX_CARD_BYTES, parse_card, read_card
from planner.readers.card_metadata import parse_metadata, parse_yaml, split_front_matter
from planner.readers.card_names import likeness, name_variants, sizes_in_name
from planner.readers.card_tables import clean, read_pieces
from planner.readers.carded_model import open_with_card
from planner.readers.hf_config import network_from_config
from planner.readers.hub import HubOptions
from planner.readers.quantization_words import quantization_words
from planner.readers.source_facts import facts_of_config, facts_of_gguf
from tests.header_only import CONFIGS, write_header_only
from tests.planner.readers.hub_server import LocalHub, small

# Layout of Qwen's cards: a list of labels, one of them with two numbers.
QWEN = """---
library_name: transformers
license: apache-2.0
license_link: https://example.org/LICENSE
pipeline_tag: text-generation
base_model:
- Org/Thing-30B-A3B-Base
language: [en, no, zh]
---

# Thing-30B-A3B

Facts of this one:
- Type: Causal language model
- Number of Parameters: 30.5B in total and 3.3B activated
- Number of Paramaters (Non-Embedding): 29.9B
- Number of Layers: 48
- Context Length: 32,768 natively and [131,072 tokens with YaRN](#long).

It was trained on 36T tokens.
```shell
serve --max-model-len 262144  # parameters: 99B
```
"""

# Layout of DeepSeek's cards: a download table of several models, then benchmark tables with parameter rows.
DEEPSEEK = """
The whole has 671B total parameters with 37B
activated for each token.

| **Model** | **#Total Params** | **#Activated Params** | **Context Length** |
| :---: | :---: | :---: | :---: |
| Sea-V3-Lite | 16B | 2.4B | 32K |
| Sea-V3 | 671B | 37B | 128K |

| | Benchmark | Sea-V2 | Other 405B | Sea V3 |
|---|---|---|---|---|
| | # Activated Params | 21B | 405B | 37B |
| | # Total Params | 236B | 405B | 671B |
| English | MMLU | 78.4 | 84.4 | 87.1 |
"""

# Layout of Llama's cards: an HTML table with cells that span rows, one card for three sizes.
LLAMA = """
<table><tr><td></td><td><strong>Training data</strong></td><td><strong>Params</strong></td>
<td><strong>Context length</strong></td></tr>
<tr><td rowspan="3">Alpaca 3.1 (text only)</td><td rowspan="3">Public data</td><td>8B</td><td>128k</td></tr>
<tr><td>70B</td><td>128k</td></tr><tr><td>405B</td><td>128k</td></tr></table>
"""

# Layout of gpt-oss' card: a list that names both sizes, each with its figures in brackets.
OSS = """
Two of them are here:
- `free-oss-120b` — for data centres (117B parameters with 5.1B active parameters)
- `free-oss-20b` — for desktops (21B parameters with 3.6B active parameters)
"""

# Layout of Mistral's cards: prose and a list of features.
MISTRAL = """
With 24 billion parameters it reads **long context up to 128k tokens**.
- **Context Window:** A 128k context window.
- **Tokenizer:** a vocabulary size of 131k.
"""

# Layout of quantizers' cards: hardly any text, all in the metadata.
QUANTIZER = """---
quantized_by: somebody
base_model: Org/Thing-30B-A3B
base_model_relation: quantized
license: other
license_name: thing-community
tags: [gguf, imatrix, conversational]
---
## imatrix quantizations of Thing-30B-A3B

| File | Type | Size |
|---|---|---|
| Thing-30B-A3B-Q4_K_M.gguf | Q4_K_M | 18.6GB |
| Thing-30B-A3B-IQ2_XXS.gguf | IQ2_XXS | 8.1GB |
"""

# 48 layers of 128 experts of which 8 work; the shapes of Qwen3-30B-A3B, counted by hand in test_claims below.
CONFIG: dict[str, Any] = {
    "model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32,
    "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 6144, "moe_intermediate_size": 768,
    "num_experts": 128, "num_experts_per_tok": 8, "vocab_size": 151_936, "tie_word_embeddings": False,
    "max_position_embeddings": 40_960,
}  # fmt: skip
REPO = "Org/Thing-30B-A3B"


def card_of(text: str, name: str) -> Card:
    return parse_card(text.encode(), name)


def stated(card: Card) -> list[tuple[Meaning, str, Place]]:
    return [(figure.meaning, figure.text, figure.place) for figure in card.parameters]


def claims_of(text: str, name: str = REPO, config: dict[str, Any] = CONFIG) -> dict[str, Claim]:
    network, sizes = network_from_config(config), sizes_in_name(name)
    found = card_claims(card_of(text, name), network, facts_of_config(config), sizes)
    return {claim.what: claim for claim in found}


# What cards say.


def test_labels_of_a_list_say_what_each_number_counts() -> None:
    card = card_of(QWEN, REPO)
    assert stated(card) == [
        (Meaning.TOTAL, "30.5B", Place.LABELLED),
        (Meaning.ACTIVE, "3.3B", Place.LABELLED),
        (Meaning.NON_EMBEDDING, "29.9B", Place.LABELLED),
    ]  # neither the 36T tokens nor the 99B of the command
    assert [(c.text, c.most_tokens, c.extended) for c in card.contexts] == [
        ("32,768", 32_768, False),
        ("131,072", 131_072, True),
    ]
    assert card.licence == "apache-2.0"
    assert card.languages == ("en", "no", "zh")  # Norwegian, not false
    assert card.base_models == ("Org/Thing-30B-A3B-Base",)
    assert card.title == "Thing-30B-A3B"


def test_a_table_of_several_models_speaks_of_the_one_that_it_names() -> None:
    assert {
        (f.meaning, f.text) for f in card_of(DEEPSEEK, "org/Sea-V3").parameters if f.place is Place.NAMED
    } == {
        (Meaning.TOTAL, "671B"),
        (Meaning.ACTIVE, "37B"),
    }
    lite = card_of(DEEPSEEK, "org/Sea-V3-Lite")
    assert {(f.meaning, f.text) for f in lite.parameters if f.place is Place.NAMED} == {
        (Meaning.TOTAL, "16B"),
        (Meaning.ACTIVE, "2.4B"),
    }
    assert [c.text for c in lite.contexts] == ["32K"]
    # A fine-tune under another name: the table is about others, so every size in it stays open.
    other = card_of(DEEPSEEK, "org/Lake-7")
    assert {f.place for f in other.parameters} == {Place.PROSE}


def test_one_row_for_three_sizes_stays_three_sizes() -> None:
    card = card_of(LLAMA, "org/Alpaca-3.1-8B-Instruct")
    assert [f.text for f in card.parameters] == ["8B", "70B", "405B"]
    assert {f.about for f in card.parameters} == {"Alpaca 3.1 (text only)"}
    assert [c.most_tokens for c in card.contexts] == [131_072]  # said three times, the same each time
    assert {c.least_tokens for c in card.contexts} == {128_000}  # "128k" can mean either


def test_a_list_item_that_names_the_model_outweighs_one_that_names_its_sister() -> None:
    assert stated(card_of(OSS, "org/free-oss-20b")) == [
        (Meaning.UNSAID, "117B", Place.PROSE),
        (Meaning.ACTIVE, "5.1B", Place.PROSE),
        (Meaning.UNSAID, "21B", Place.NAMED),
        (Meaning.ACTIVE, "3.6B", Place.NAMED),
    ]


def test_prose_counts_where_words_say_so() -> None:
    card = card_of(MISTRAL, "org/Wind-Small")
    assert stated(card) == [(Meaning.UNSAID, "24 billion", Place.PROSE)]
    assert {c.most_tokens for c in card.contexts} == {131_072}  # and not the vocabulary


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("It comes in 8B and 70B parameters.", [("parameters", "8B"), ("parameters", "70B")]),
        ("A sparse model of 80B total parameters, activating only 3B.", [("total", "80B"), ("active", "3B")]),
        ("30 billion parameters, of which 3 billion are activated", [("parameters", "30 billion"), ("active", "3 billion")]),
        ("32 billion activated parameters and 1 trillion total parameters", [("active", "32 billion"), ("total", "1 trillion")]),
        ("38,598,913 embedding params, 70,469,377 total.", [("total", "70,469,377")]),
        ("31,870,464 non-embedding params", [("without embeddings", "31,870,464")]),
        ("Total: 12.1B parameters plus a 0.4B vision encoder", [("total", "12.1B")]),
        ("Pre-trained on 15.5T tokens with 2.7M GPU hours", []),
        ("Better than Llama 3.1 405B and 70B", []),
        ("Chat with 12M active users", []),
        ("Version 2.5 has 16 experts and 40 parameters", []),
    ],
)  # fmt: skip
def test_roles_of_numbers_in_sentences(sentence: str, expected: list[tuple[str, str]]) -> None:
    assert [(f.meaning.value, f.text) for f in card_of(sentence, "a/b").parameters] == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Context Length: Full 131,072 tokens and generation 8192 tokens", [131_072]),
        ("Context Length: 262,144 natively and extensible up to 1,010,000 tokens.", [262_144, 1_010_000]),
        ("Supports a context window of up to 1M tokens.", [1_048_576]),
        ("The 200K-token context helps.", [204_800]),
        ("a context length of 32768", [32_768]),
        ("Output is limited to 8K; 99K tokens of vocabulary", []),
        ("max context 10", []),
    ],
)
def test_context_lengths_in_sentences(sentence: str, expected: list[int]) -> None:
    assert [c.most_tokens for c in card_of(sentence, "a/b").contexts] == expected


def test_a_quantizers_card() -> None:
    card = card_of(QUANTIZER, "somebody/Thing-30B-A3B-GGUF")
    assert (card.licence, card.licence_name, card.licence_shown) == (
        "other",
        "thing-community",
        "thing-community",
    )
    assert (card.base_models, card.base_relation) == (("Org/Thing-30B-A3B",), "quantized")
    assert card.quantized_by == "somebody"
    assert card.quantizations == ("GGUF",)
    assert card.mentioned_quantizations == ("Q4_K_M", "GGUF", "IQ2_XXS")
    assert card.parameters == ()  # sizes of files are no parameters


def test_benchmarks_of_both_kinds() -> None:
    text = """---
model-index:
- name: x
  results:
  - task: {type: text-generation, name: Text Generation}
    dataset: {name: MMLU, type: mmlu}
    metrics:
    - {type: acc, name: accuracy, value: 71.5, verified: true}
    - {type: acc, value: n/a}
  - dataset: {type: gsm8k}
    metrics: [{type: em, value: .nan, verifyToken: abc}, nonsense]
  - nonsense
---
"""
    results = {
        "hle.yaml": b"- dataset: {id: cais/hle, task_id: default}\n  value: 20.9\n  verifyToken: t\n- value: 1\n"
    }
    card = parse_card(text.encode(), "a/b", results=results)
    shown = [(b.dataset, b.metric, b.value, b.value_text, b.verified, b.signed) for b in card.benchmarks]
    assert shown == [
        ("MMLU", "accuracy", 71.5, "71.5", True, False),
        ("MMLU", "acc", None, "n/a", None, False),
        ("gsm8k", "em", None, ".nan", None, True),
        ("cais/hle", None, 20.9, "20.9", None, True),
    ]
    assert json.dumps([b.value for b in card.benchmarks], allow_nan=False)


def test_names_promise_sizes() -> None:
    def promised(name: str) -> list[tuple[str, str]]:
        return [(size.meaning.value, size.text) for size in sizes_in_name(name)]

    assert promised("Qwen/Qwen3-30B-A3B-FP8") == [("parameters", "30B"), ("active", "3B")]
    assert promised("openai/gpt-oss-120b") == [("parameters", "120b")]
    assert promised("a/Model-7B-Instruct-1M") == [("parameters", "7B")]  # 1M is a context
    assert promised("a/smol-135M") == [("parameters", "135M")]
    # Neither eight times seven nor an effective size is a number of parameters; versions are none either.
    assert promised("a/Mixtral-8x7B-v0.1") == promised("a/gemma-3n-E4B-it") == promised("a/Phi-3.5") == []


def test_labels_and_names() -> None:
    variants = name_variants(["org/Llama-4-Scout-17B-16E-Instruct-FP8"])
    assert likeness("Llama 4 Scout (17Bx16E)", variants) == 3
    assert likeness("Llama 4 Maverick", variants) == 0
    assert likeness("Llama", variants) == 0  # one word names a whole house
    assert likeness("Llama-4-Scout-17B-16E-Instruct", variants) > likeness("Llama 4 Scout", variants)


def test_words_for_quantizations() -> None:
    assert quantization_words(["x-Q4_K_M and iq3_xxs, AWQ-4bit; bitsandbytes", "Q4_K_M W4A16 FP8"]) == (
        "Q4_K_M", "IQ3_XXS", "AWQ", "4-bit", "BNB", "W4A16", "FP8",
    )  # fmt: skip
    assert quantization_words(["Q42 Q4 faq4_0 q4_k_mx NFP8x"]) == ()


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


# Odd and hostile cards.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [1, 2]\nb: [*x, *x]", "repeats the list or mapping 'x' by reference"),
        ("a: &a [x]\nb: &b [*a,*a]\nc: &c [*b,*b]", "by reference, which is not followed"),
        ("<<: *x", "by reference"),
        ("a: !!python/object/apply:os.system ['true']", "asks for a value of the type"),
        ("a: !!binary aGk=", "asks for a value of the type"),
        ("[" * 50_000, "nested more than 32 levels deep"),
        ("- a\n" * 100_000, "holds more than 60,000 values"),
        ("a: '" + "x" * 600_000 + "'", "has 600,005 bytes; at most"),
        ("a: b: c", "is not valid YAML in line 1"),
        ("a\0b: c", "is not valid YAML"),
        ("? [a, b]\n: c", "uses a list or mapping as a name"),
        ("- just\n- a list", "holds no mapping of names to values"),
    ],
    ids=[
        "alias",
        "bomb",
        "merge",
        "python",
        "binary",
        "deep",
        "many",
        "huge",
        "broken",
        "null",
        "key",
        "list",
    ],
)
def test_hostile_metadata_is_refused_in_one_line_and_the_text_still_counts(text: str, words: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_metadata(text, "'card'")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    card = card_of(f"---\n{text}\n---\n- Number of parameters: 7B", "a/b")
    assert len(card.problems) == 1
    assert [f.text for f in card.parameters] == ["7B"]


def test_plain_yaml_stays_text() -> None:
    text = "a: no\nb: 2024-01-01\nc: 1e400\nd: ~\ne: &x yes\nf: *x\n"
    assert parse_yaml(text, "x") == {
        "a": "no",
        "b": "2024-01-01",
        "c": "1e400",
        "d": None,
        "e": "yes",
        "f": "yes",
    }


@pytest.mark.parametrize(
    "text", ["# Title\ntext", "", "---\nnever closed", "---- \nx\n---", "text\n---\na: b\n---\n"]
)
def test_cards_without_front_matter(text: str) -> None:
    assert split_front_matter(text)[0] is None
    assert card_of(text, "a/b").licence is None


def test_line_ends_of_every_kind_and_a_byte_order_mark() -> None:
    expected = card_of(QWEN, REPO)
    for end in ("\r\n", "\r"):
        assert card_of("\ufeff" + QWEN.replace("\n", end), REPO) == expected


def test_bytes_that_are_no_text_and_shapes_nobody_expects() -> None:
    assert parse_card(b"---\nlicense: mit\n---\n\xff\xfe 7B parameters", "a/b").licence == "mit"
    odd = "license: [mit, gpl]\nlanguage: {a: b}\nbase_model: {x: y}\ntags: [[a], b]\nmodel-index: {a: 1}\ndatasets: x"
    card = card_of(f"---\n{odd}\n---\n", "a/b")
    assert (card.licence, card.languages, card.base_models, card.tags) == ("mit", (), (), ("b",))
    assert (card.n_datasets, card.benchmarks, card.problems) == (1, (), ())
    hidden = card_of('---\nlicense: "a\\x1b[31mb\\nc\\u202e"\n---\n', "a/b")
    assert hidden.licence == "a [31mb c"  # what could rewrite a terminal is gone


@pytest.mark.parametrize(
    "piece",
    [
        "<table>",
        "<tr><td rowspan=50 colspan=40>",
        "[a](",
        "|",
        "a|b|c\n",
        "- parameters: 7B\n",
        "7B, ",
        "1,",
        "_a",
        "<",
        "&lt;",
    ],
)
def test_a_mebibyte_of_anything_takes_no_time(piece: str) -> None:
    data = (piece * (MAX_CARD_BYTES // len(piece))).encode()
    started = time.monotonic()
    card = parse_card(data, "org/x-7B")
    # Linear in the text: measured below 0.5 s on one slow core, a quadratic step would take hours.
    assert time.monotonic() - started < 10
    assert len(card.parameters) <= 60


def test_html_tables_and_markup() -> None:
    (table,) = read_pieces(LLAMA).tables
    assert table[1:] == tuple(
        ("Alpaca 3.1 (text only)", "Public data", size, "128k") for size in ("8B", "70B", "405B")
    )
    assert clean("**[#Total](x) `Params`** <b>a&amp;b</b>") == "#Total Params a&b"


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


def test_a_folder_without_card_and_a_card_that_is_no_file(tmp_path: Path) -> None:
    assert read_card(tmp_path) is None
    os.mkfifo(tmp_path / "README.md")
    card = read_card(tmp_path)
    assert card is not None
    assert "not a regular file" in card.problems[0]

"""Model cards: metadata and figures from texts in the style of real ones, and hostile ones."""

import json
import os
import time
from pathlib import Path

import pytest

from planner.errors import MalformedError
from planner.model.card import Card, Meaning, Place
from planner.readers.card.metadata import parse_metadata, parse_yaml, split_front_matter
from planner.readers.card.model_card import MAX_CARD_BYTES, parse_card, read_card
from planner.readers.card.names import likeness, name_variants, sizes_in_name
from planner.readers.card.quantization_words import quantization_words
from planner.readers.card.tables import clean, read_pieces
from tests.planner.readers.card_texts import DEEPSEEK, LLAMA, MISTRAL, OSS, QUANTIZER, QWEN, REPO


def card_of(text: str, name: str) -> Card:
    return parse_card(text.encode(), name)


def stated(card: Card) -> list[tuple[Meaning, str, Place]]:
    return [(figure.meaning, figure.text, figure.place) for figure in card.parameters]


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


def test_a_folder_without_card_and_a_card_that_is_no_file(tmp_path: Path) -> None:
    assert read_card(tmp_path) is None
    os.mkfifo(tmp_path / "README.md")
    card = read_card(tmp_path)
    assert card is not None
    assert "not a regular file" in card.problems[0]

"""Names people type, against names the catalogue has."""

from typing import Any

import pytest

from profiles.model_names import name_index, nearest, search


def model(
    id_: str, *aliases: str, name: str = "", hub_id: str | None = None, family: str = "F"
) -> dict[str, Any]:
    return {"id": id_, "name": name or id_, "aliases": list(aliases), "hub_id": hub_id, "family": family}


MODELS = (
    model("llama-3.1-8b-instruct", name="Llama 3.1 8B Instruct", family="Llama 3"),
    model("phi-4", "phi4:14b", hub_id="microsoft/phi-4", family="Phi"),
    model("qwen3-30b-a3b", name="Qwen3 30B A3B", hub_id="Qwen/Qwen3-30B-A3B", family="Qwen3"),
    model("qwen3-vl-30b-a3b", name="Qwen3 VL 30B A3B", family="Qwen3-VL"),
    model("qwen3-8b", name="Qwen3 8B", family="Qwen3"),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [m["id"] for m in MODELS]),
        ("qwen3 30b", ["qwen3-30b-a3b", "qwen3-vl-30b-a3b"]),
        ("30B QWEN3", ["qwen3-30b-a3b", "qwen3-vl-30b-a3b"]),  # in any case and order
        ("llama3.1", ["llama-3.1-8b-instruct"]),  # without the hyphen
        ("microsoft", ["phi-4"]),  # by repository
        ("phi4:", ["phi-4"]),  # by alias
        ("qwen3-vl", ["qwen3-vl-30b-a3b"]),  # by family
        ("18b", []),  # of 3.1-8b, were hyphens and dots left out of short words
        ("qwen3 phi", []),
    ],
)
def test_search(text: str, found: list[str]) -> None:
    assert [m["id"] for m in search(text, MODELS)] == found


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("phi4", "phi-4"),
        ("qwen3_8b", "qwen3-8b"),
        ("qwen3-30b-a4b", "qwen3-30b-a3b"),
        ("Qwen3 30B", "qwen3-30b-a3b"),
        ("lama-3.1-8b", "llama-3.1-8b-instruct"),
    ],
)
def test_the_nearest_name_comes_first(text: str, first: str) -> None:
    assert nearest(text, MODELS)[0] == first


@pytest.mark.parametrize("text", ["", "zzz", "!!", "x" * 1_000_000])
def test_nothing_near_is_nothing(text: str) -> None:
    assert nearest(text, MODELS) == ()


def test_an_id_beats_the_alias_of_another_and_the_first_beats_the_rest() -> None:
    models = (model("a", "c"), model("b", "C", "x"), model("c"), model("d", "X"))
    index = name_index(models)
    assert index["c"] == "c"
    assert index["x"] == "b"

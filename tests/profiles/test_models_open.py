"""Every entry of the catalogue is one the planner understands, and says of itself only what can be traced."""

import json
import re
from collections import defaultdict
from importlib.resources import files
from typing import Any

import pytest

from planner.readers.config.network import network_from_config
from profiles import schema
from profiles.errors import ProfileError
from profiles.loader import model_entry, packaged_model_rows

MODELS = packaged_model_rows()
TOLERANCE = 1e-4  # of the published total

# One spelling a licence: the hub's tag where it has one, else the name in the model card's `license_name`.
LICENCES = {
    "apache-2.0", "bigcode-openrail-m", "cc-by-nc-4.0", "deepseek", "exaone", "falcon-llm-license", "gemma",
    "glm-4", "glm-5.3", "health-ai-developer-foundations", "jamba-open-model-license", "k-exaone", "kimi-k3",
    "lfm1.0", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "minimax-community",
    "minimax-m2.7-non-commercial", "mit", "mnpl", "modified-mit", "mrl", "nvidia-open-model-license", "qwen",
    "qwen-research", "tencent-hunyuan",
}  # fmt: skip


def ids(entry: Any) -> str:
    return str(entry["id"])


@pytest.mark.parametrize("entry", MODELS, ids=ids)
def test_the_planner_opens_it_and_counts_the_published_total(entry: dict[str, Any]) -> None:
    parameters = entry["parameters"]
    network = network_from_config(model_entry(entry["id"])["config"])
    found = network.parameters
    assert found.text == parameters["text"]
    assert found.total is not None
    assert found.total + parameters.get("beside", 0) == pytest.approx(parameters["total"], rel=TOLERANCE)
    assert (found.towers > 0) == bool({"image", "audio"} & set(entry["modalities"]))
    assert entry["context_tokens"] in (network.context_tokens, None) or network.context_tokens is None


@pytest.mark.parametrize("entry", MODELS, ids=ids)
def test_every_fact_has_its_source(entry: dict[str, Any]) -> None:
    """Each source says what it is for; facts without one would be guesses, and null needs none."""
    sourced = {what for source in entry["sources"] for what in source["what"].split(", ")}
    assert {"config", "parameters.total", "modalities"} <= sourced
    assert ("licence" in sourced) == (entry["licence"] is not None)
    assert ("released" in sourced) == (entry["released"] is not None)
    # Names with a colon are Ollama's tags: which weights one means is Ollama's to say.
    assert ("aliases with a colon" in sourced) == any(":" in alias for alias in entry["aliases"])
    assert all(re.fullmatch(r"2026-\d\d-\d\d", source["date"]) for source in entry["sources"])


def test_a_licence_has_one_spelling() -> None:
    assert {entry["licence"] for entry in MODELS if entry["licence"]} <= LICENCES
    spellings = defaultdict(set)
    for licence in LICENCES:
        spellings[re.sub(r"licen[cs]e|[^a-z0-9.]", "", licence)].add(licence)
    assert all(len(same) == 1 for same in spellings.values())


def test_a_family_has_one_spelling() -> None:
    spellings = defaultdict(set)
    for entry in MODELS:
        spellings[re.sub(r"[^a-z0-9]", "", entry["family"].casefold())].add(entry["family"])
    assert {names for same in spellings.values() if len(same) > 1 for names in same} == set()


def test_a_family_of_one_licence_is_not_split_by_a_slip() -> None:
    """Families whose models are all under one licence, as their publishers say; a new one must be looked at."""
    for family, licence in {
        "Qwen3": "apache-2.0", "Qwen3.5": "apache-2.0", "Gemma 2": "gemma", "Gemma 4": "apache-2.0",
        "gpt-oss": "apache-2.0", "Llama 4": "llama4", "Granite": "apache-2.0", "LFM2": "lfm1.0",
        "OLMo 2": "apache-2.0", "SmolLM": "apache-2.0", "Phi": "mit",
    }.items():  # fmt: skip
        assert {entry["licence"] for entry in MODELS if entry["family"] == family} == {licence}


def test_a_file_is_named_as_its_model_and_stays_small() -> None:
    folder = files("profiles").joinpath("models")
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8")
        assert json.loads(text)["id"] == file.name.removesuffix(".json")
        assert len(text) < 8_000  # a NAS model lists every layer


@pytest.mark.parametrize(
    ("tag", "id_"),
    # What ollama.com's short tags mean today, where that is not the model of that name.
    [
        ("qwen3:4b", "qwen3-4b-instruct-2507"),
        ("qwen3:30b", "qwen3-30b-a3b-instruct-2507"),
        ("qwen3:8b", "qwen3-8b"),
        ("deepseek-r1:8b", "deepseek-r1-0528-qwen3-8b"),
        ("qwen2.5-coder:7b", "qwen2.5-coder-7b-instruct"),
        ("command-r:35b", "c4ai-command-r-08-2024"),
        ("gemma4:e4b", "gemma-4-e4b-it"),
    ],
)
def test_ollamas_tags_mean_the_weights_that_ollama_sends(tag: str, id_: str) -> None:
    assert model_entry(tag)["id"] == id_


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"total": 7, "source": "its card", "beside": "some"}, "parameters.beside"),
        ({"total": 7, "source": "its card", "beside": 0, "why": "none"}, "parameters.beside"),
        ({"total": 7, "source": "its card", "beside": 3}, "parameters.why"),
        ({"total": 7, "source": "its card", "why": "no reason"}, "parameters.why"),
        ({"total": 7, "source": "its card", "sum": 7}, "parameters.sum"),
    ],
)
def test_a_difference_to_the_published_total_is_a_number_with_a_reason(
    parameters: dict[str, object], part: str
) -> None:
    entry = model_entry("qwen3-4b") | {"parameters": parameters}
    with pytest.raises(ProfileError, match=re.escape(part)):
        schema.check_model(entry, "mine.json")

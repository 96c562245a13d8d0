from collections.abc import Mapping
from typing import Any

import pytest

from profiles import schema
from profiles.loader import model_entry, model_rows

MODELS = model_rows()


def text_config(entry: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = entry["config"]
    text: dict[str, Any] = config.get("text_config", config)
    return text


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry["id"])
def test_every_packaged_model_keeps_the_schema(entry: dict[str, Any]) -> None:
    schema.check_model(entry, f"{entry['id']}.json")


def test_no_spelling_means_two_models() -> None:
    owners: dict[str, set[str]] = {}
    for entry in MODELS:
        for spelling in {entry["id"], entry["name"], entry["hub_id"], *entry["aliases"]}:
            owners.setdefault(spelling.casefold(), set()).add(entry["id"])
    assert {name: ids for name, ids in owners.items() if len(ids) > 1} == {}


def test_enough_models_of_every_size_and_kind_are_there() -> None:
    assert len(MODELS) >= 190
    families = {entry["family"] for entry in MODELS}
    assert {
        "Llama 3", "Qwen3", "Qwen3.6", "Gemma 3", "Gemma 4", "Mistral", "gpt-oss", "DeepSeek", "GLM", "Kimi",
        "Phi", "MiniMax", "Nemotron", "Granite", "LFM2.5", "Olmo 3", "EXAONE", "ERNIE", "Hunyuan", "Cohere",
    } <= families  # fmt: skip
    totals = [entry["parameters"]["total"] for entry in MODELS]
    assert min(totals) < 300e6
    assert max(totals) > 1e12
    assert sum(total < 10e9 for total in totals) >= 60  # what a laptop runs
    assert sum(total > 100e9 for total in totals) >= 30  # what a rack runs
    assert sum("image" in entry["modalities"] for entry in MODELS) >= 30


@pytest.mark.parametrize(
    "spelling", ["qwen3-vl-8b-instruct", "Qwen/Qwen3-VL-8B-Instruct", "Qwen3 VL 8B Instruct", " QWEN3-VL:8B "]
)
def test_a_model_is_found_by_id_hub_id_name_and_alias(spelling: str) -> None:
    assert model_entry(spelling)["id"] == "qwen3-vl-8b-instruct"


def test_what_model_entry_gives_is_the_callers_own() -> None:
    model_entry("qwen3-4b")["config"]["num_hidden_layers"] = 1
    assert model_entry("qwen3-4b")["config"]["num_hidden_layers"] == 36


PLAIN = {
    "llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "gemma2", "gemma3_text", "phi3", "olmo2", "granite",
    "smollm3", "seed_oss", "exaone4", "hunyuan_v1_dense",
}  # fmt: skip


def counted(c: dict[str, Any]) -> int:
    """Parameters of a plain decoder, from its shape: embedding, head, norms, attention, gated feed-forward.

    H·V per embedding and untied head, H for the last norm; per layer H·h·d + 2·H·kv·d + h·d·H for attention, 3·H·I
    per feed-forward network (each expert, plus the H·E of the router), 2 norms of H (4 in Gemma), the biases of
    Qwen2 and Seed-OSS, and the norms of queries and keys (2·d, or (h+kv)·d over all heads in OLMo 2).
    """
    kind, width, heads = c["model_type"], c["hidden_size"], c["num_attention_heads"]
    kv_heads = c["num_key_value_heads"]
    d = c.get("head_dim") or width // heads
    tied = c.get("tie_word_embeddings", False)
    attention = 2 * width * heads * d + 2 * width * kv_heads * d
    if kind in ("qwen2", "seed_oss"):
        attention += (heads + 2 * kv_heads) * d
    if kind.startswith(("qwen3", "gemma3", "exaone4", "hunyuan")):
        attention += 2 * d
    if kind == "olmo2":
        attention += (heads + kv_heads) * d
    experts = c.get("num_experts") or c.get("num_local_experts")
    inner = c.get("moe_intermediate_size") or c["intermediate_size"]
    feed_forward = (experts or 1) * 3 * width * inner + (width * experts if experts else 0)
    norms = (4 if kind.startswith("gemma") else 2) * width
    layers = c["num_hidden_layers"] * (attention + feed_forward + norms)
    return int(layers + width * c["vocab_size"] * (1 if tied else 2) + width)


@pytest.mark.parametrize(
    "entry",
    [entry for entry in MODELS if text_config(entry)["model_type"] in PLAIN],
    ids=lambda e: e["id"],
)
def test_the_config_of_a_plain_decoder_has_the_stated_parameters(entry: dict[str, Any]) -> None:
    parameters = entry["parameters"]
    assert counted(text_config(entry)) == parameters["text"]
    if parameters["includes"] == "text":
        assert parameters["text"] + parameters.get("beside", 0) == parameters["total"]
    else:
        assert parameters["text"] <= parameters["total"]


@pytest.mark.parametrize(
    ("id_", "total"),
    [
        # Totals that the hub or llama.cpp give for the stored weights, not computed here.
        ("llama-3.3-70b-instruct", 70_553_706_496),
        ("qwen3-30b-a3b", 30_532_122_624),
        ("gpt-oss-20b", 20_914_757_184),
        ("gpt-oss-120b", 116_829_156_672),
        ("deepseek-v3", 684_531_386_000),
        ("glm-4.5-air", 110_468_824_832),
        ("gemma-3-27b-it", 27_432_406_640),
        ("mixtral-8x7b-v0.1", 46_702_792_704),
        ("smollm2-135m-instruct", 134_515_008),
        ("minimax-m2.7", 228_689_764_864),
        ("kimi-k2-instruct", 1_026_408_235_864),
    ],
)
def test_published_totals(id_: str, total: int) -> None:
    assert model_entry(id_)["parameters"]["total"] == total


def test_a_config_keeps_its_quantization_only_where_the_released_weights_have_it() -> None:
    native: dict[str, set[str]] = {}
    for entry in MODELS:
        found = entry["config"].get("quantization_config") or text_config(entry).get("quantization_config")
        if found:
            native.setdefault(found["quant_method"], set()).add(entry["id"])
    assert native == {
        "fp8": {
            "deepseek-r1", "deepseek-v3", "deepseek-v3-0324", "deepseek-v3.1", "deepseek-v3.2",
            "deepseek-v4-flash", "deepseek-v4-pro", "devstral-2-123b-instruct-2512",
            "devstral-small-2-24b-instruct-2512", "kimi-k2-instruct", "kimi-k2-instruct-0905", "mimo-v2-flash",
            "minimax-m2", "minimax-m2.1", "minimax-m2.5", "minimax-m2.7", "ministral-3-14b-instruct-2512",
            "ministral-3-3b-instruct-2512", "ministral-3-8b-instruct-2512",
        },
        "mxfp4": {"gpt-oss-20b", "gpt-oss-120b"},
        "compressed-tensors": {"kimi-k2-thinking", "kimi-k2.5", "kimi-k2.6", "kimi-k2.7-code", "kimi-k3"},
    }  # fmt: skip


@pytest.mark.parametrize("entry", MODELS, ids=lambda entry: entry["id"])
def test_the_context_is_what_the_config_allows_and_layers_are_listed_whole(entry: dict[str, Any]) -> None:
    text = text_config(entry)
    explained = any("context_tokens" in source["what"] for source in entry["sources"])
    assert explained or entry["context_tokens"] == text.get("max_position_embeddings")
    if "layer_types" in text:  # Step lists the prediction layers too
        listed = len(text["layer_types"])
        assert listed in (
            text["num_hidden_layers"],
            text["num_hidden_layers"] + text.get("num_nextn_predict_layers", 0),
        )


def test_no_model_rests_on_recollection_alone() -> None:
    for entry in MODELS:
        basis = entry["sources"][0]["basis"]
        assert basis == "file" or "checked by" in basis or "whose total is exact" in basis, entry["id"]

"""Reading config.json: what is refused, how it is told, and that hostile values end in one line."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from planner.errors import MalformedError, MissingFactError, PlannerError, UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.cache import cache_layers, kv_bytes_per_token, state_elements
from planner.model.network import Network
from planner.readers.config.architectures.harmless_fields import HARMLESS_FIELDS
from planner.readers.config.architectures.registry import BUILDERS
from planner.readers.config.network import network_from_config
from planner.readers.config.unread_fields import STRUCTURAL
from tests.planner.readers.test_reference_totals import REMOTE_CODE
from tests.planner.readers.test_reference_totals import ROWS as RECORDED

CONFIGS = Path(__file__).parent / "configs"
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}


def llama(**changes: object) -> dict[str, Any]:
    return {name: value for name, value in {**LLAMA, **changes}.items() if value is not ...}


def saved(model: str) -> dict[str, Any]:
    config = json.loads((CONFIGS / f"{model}.json").read_text())
    assert isinstance(config, dict)
    return config


def refusal(config: dict[str, Any], kind: type[PlannerError]) -> str:
    with pytest.raises(kind) as caught:
        network_from_config(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_plain_config_is_read() -> None:
    network = network_from_config(llama())
    # Per layer: q and o 64·64, k and v 64·32, MLP 3·64·128, two norms; table and head 64·100, last norm.
    assert network.parameters.total == 2 * (2 * 4096 + 2 * 2048 + 24_576 + 128) + 2 * 6400 + 64
    assert network.n_layers == 2
    assert not network.tied_embeddings


@pytest.mark.parametrize(
    "field",
    ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"],
)
def test_a_missing_field_is_named_and_not_guessed(field: str) -> None:
    assert f"'{field}'" in refusal(llama(**{field: ...}), MissingFactError)
    assert f"'{field}'" in refusal(llama(**{field: None}), MissingFactError)


@pytest.mark.parametrize(
    "value", ["64", True, 63.5, float("nan"), float("inf"), -1, 0, [64], {}, 2**41, 10**400]
)
def test_a_value_of_the_wrong_kind_is_named(value: object) -> None:
    message = refusal(llama(hidden_size=value), MalformedError)
    assert "'hidden_size'" in message
    assert len(message) < 200


def test_a_whole_number_written_with_a_point_is_one() -> None:
    assert network_from_config(llama(hidden_size=64.0)).hidden_size == 64


def test_an_absurd_number_of_layers_is_refused_at_once() -> None:
    started = time.perf_counter()
    assert "1,000,000,000,000 layers" in refusal(llama(num_hidden_layers=10**12), MalformedError)
    assert time.perf_counter() - started < 1


def test_an_absurd_number_of_extra_layers_is_refused_at_once() -> None:
    config = saved("deepseek-ai__DeepSeek-V3") | {"num_nextn_predict_layers": 10**9}
    started = time.perf_counter()
    assert "at most 64" in refusal(config, MalformedError)
    assert time.perf_counter() - started < 1


def test_no_model_type_is_said() -> None:
    assert "model_type" in refusal({}, MalformedError)
    assert "model_type" in refusal(llama(model_type=7), MalformedError)


def test_an_unknown_model_type_comes_with_the_nearest_known() -> None:
    assert "qwen3_moe" in refusal(llama(model_type="qwen3moe"), UnknownArchitectureError)


def test_a_hostile_model_type_is_escaped_and_cut() -> None:
    started = time.perf_counter()
    message = refusal(llama(model_type="\x1b[31m\n" * 1_000_000), UnknownArchitectureError)
    assert "\x1b" not in message
    assert len(message) < 1500
    assert time.perf_counter() - started < 1


def test_an_unknown_structural_field_is_refused_by_name() -> None:
    message = refusal(llama(num_memory_layers=4), UnknownArchitectureError)
    assert "'num_memory_layers'" in message
    assert "gives none" in message


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_an_unknown_structural_field_without_a_value_is_no_obstacle(value: object) -> None:
    assert network_from_config(llama(num_memory_layers=value)) == network_from_config(llama())


def test_a_bias_that_the_family_does_not_know_is_refused() -> None:
    # Mistral's reference code has no attention biases; a config that asks for them is of something else.
    assert "'attention_bias'" in refusal(
        llama(model_type="mistral", attention_bias=True), UnknownArchitectureError
    )


def test_a_hostile_field_name_is_escaped() -> None:
    assert "\x1b" not in refusal(llama(**{"moe_\x1b[2J": 1}), UnknownArchitectureError)


def test_fields_called_harmless_are_ones_that_would_be_refused() -> None:
    # A name that the pattern does not catch needs no exception; one in the list would be a dead entry.
    assert [name for name in HARMLESS_FIELDS if not STRUCTURAL.search(name)] == []


@pytest.mark.parametrize(
    "field",
    [
        "layer_types",
        "no_rope_layers",
        "moe_layer_freq",
        "mlp_layer_types",
        "intermediate_size",
        "interleave_moe_layer_step",
        "max_window_layers",
        "num_hidden_layers",
        "mamba_proj_bias",
    ],
)
def test_fields_that_matter_somewhere_are_not_called_harmless(field: str) -> None:
    assert field not in HARMLESS_FIELDS


def test_heads_that_do_not_divide_are_a_contradiction() -> None:
    assert "contradicts itself" in refusal(llama(num_key_value_heads=3), MalformedError)
    assert "does not divide" in refusal(llama(num_attention_heads=5), UnknownArchitectureError)


def test_an_embedding_of_another_width_is_projected() -> None:
    # OPT-350M embeds in 512 and projects to 1024 and back. Here 32 and 64: the table shrinks by 100·32, and
    # two projections of 32·64 come.
    config = llama(model_type="opt", max_position_embeddings=16)
    narrow = network_from_config({**config, "word_embed_proj_dim": 32}).parameters.counted
    even = network_from_config({**config, "word_embed_proj_dim": 64}).parameters.counted
    assert even - narrow == 100 * 32 - 2 * 32 * 64


def test_more_active_experts_than_experts_is_a_contradiction() -> None:
    config = llama(model_type="mixtral", num_local_experts=4, num_experts_per_tok=5)
    assert "5 of 4" in refusal(config, MalformedError)


def test_a_section_inherits_the_outer_tie() -> None:
    inner = saved("google__gemma-3-27b-it")["text_config"]
    outer = saved("google__gemma-3-27b-it") | {"text_config": inner, "tie_word_embeddings": False}
    assert not network_from_config(outer).tied_embeddings
    outer["text_config"] = inner | {"tie_word_embeddings": True}
    assert network_from_config(outer).tied_embeddings


def test_a_section_of_the_wrong_kind_is_named() -> None:
    assert "'text_config'" in refusal(saved("google__gemma-3-27b-it") | {"text_config": 3}, MalformedError)
    assert "text_config" in refusal({"model_type": "gemma3"}, MalformedError)


def test_layers_that_share_a_cache_store_matrices_they_do_not_use() -> None:
    # Gemma 3n E4B: 20 of 35 layers own their cache, of which 4 are full; the others' K and V stay unused.
    network = network_from_config(saved("google__gemma-3n-E4B-it"))
    owning = {layer.cache.window_tokens: layer.n_layers for layer in cache_layers(network)}
    assert owning == {None: 4, 512: 16}
    unused = 15 * (2 * 2048 * 2 * 256 + 256)
    assert network.parameters.text - network.parameters.active == unused


def test_assumed_extra_layers_are_told_and_stated_ones_are_used() -> None:
    config = saved("XiaomiMiMo__MiMo-V2-Flash")
    assumed = network_from_config(config)
    assert any("extra prediction layers" in note for note in assumed.notes)
    stated = network_from_config({**config, "num_nextn_predict_layers": 1})
    assert stated.notes == ()
    assert stated.parameters.mtp * 3 == assumed.parameters.mtp


def attention_windows(network: Network) -> list[int | None]:
    found: dict[int, int | None] = {}
    for group in network.groups:
        if group.mixer is not None:
            found.update(dict.fromkeys(group.layers, group.mixer.window_tokens))
    return [found[i] for i in sorted(found)]


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        # Llama's reference code has no window, whatever a config carries over from another family.
        ({"sliding_window": 8}, [None] * 6),
        ({"model_type": "mistral", "sliding_window": 8}, [8] * 6),
        ({"model_type": "mistral", "sliding_window": None}, [None] * 6),
        # Qwen: the layers from max_window_layers on, and only when the switch is on.
        ({"model_type": "qwen2", "sliding_window": 8, "max_window_layers": 4}, [None] * 6),
        (
            {"model_type": "qwen2", "sliding_window": 8, "max_window_layers": 4, "use_sliding_window": True},
            [None] * 4 + [8, 8],
        ),
        # Gemma 2 starts with a window and alternates; Gemma 3 has every sixth layer full.
        ({"model_type": "gemma2", "head_dim": 16, "sliding_window": 8}, [8, None] * 3),
        ({"model_type": "gemma3_text", "head_dim": 16, "sliding_window": 8}, [8] * 5 + [None]),
        (
            {"model_type": "cohere2", "sliding_window": 8, "sliding_window_pattern": 3},
            [8, 8, None, 8, 8, None],
        ),
        (
            {"model_type": "exaone4", "sliding_window": 8, "sliding_window_pattern": "LG"},
            [8, None] * 3,
        ),
        (
            {
                "model_type": "olmo3",
                "sliding_window": 8,
                "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
            },
            [8] * 5 + [None],
        ),
    ],
)
def test_which_layers_have_a_window(changes: dict[str, object], windows: list[int | None]) -> None:
    assert attention_windows(network_from_config(llama(num_hidden_layers=6, **changes))) == windows


def test_windowed_layers_without_a_window_are_malformed() -> None:
    config = llama(model_type="olmo3", layer_types=["sliding_attention"] * 2, sliding_window=None)
    assert "no window" in refusal(config, MalformedError)


def test_layer_types_that_are_short_or_unknown_are_refused() -> None:
    assert "1 entries for 2 layers" in refusal(llama(layer_types=["full_attention"]), MalformedError)
    assert "'ring'" in refusal(llama(layer_types=["ring"] * 2), UnknownArchitectureError)
    assert "'layer_types'" in refusal(llama(layer_types=[{}, {}]), MalformedError)


@pytest.mark.parametrize(
    ("fields", "sparse"),
    [
        ({}, [0, 1, 2, 3]),
        ({"first_k_dense_replace": 1}, [1, 2, 3]),
        ({"decoder_sparse_step": 2}, [1, 3]),
        ({"mlp_only_layers": [0, 2]}, [1, 3]),
        ({"moe_layer_freq": [0, 1, 1, 0]}, [1, 2]),
        ({"mlp_layer_types": ["dense", "sparse", "sparse", "dense"]}, [1, 2]),
        ({"interleave_moe_layer_step": 2}, [1, 3]),
        ({"moe_layer_start_index": 1, "moe_layer_end_index": 2}, [1, 2]),
        ({"moe_layer_start_index": 1, "moe_layer_end_index": -1}, [1, 2, 3]),
    ],
)
def test_which_layers_have_experts(fields: dict[str, object], sparse: list[int]) -> None:
    config = llama(
        model_type="qwen3_moe",
        num_hidden_layers=4,
        num_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        **fields,
    )
    network = network_from_config(config)
    found = [g.layers for g in network.groups if g.block is not None and g.block.kind.startswith("MoE")]
    assert sorted(i for layers in found for i in layers) == sparse


def test_head_dim_is_taken_as_given() -> None:
    # Qwen3 and Gemma have heads wider than hidden_size / heads; the division is only for configs without it.
    mixer = network_from_config(llama(head_dim=32)).groups[0].mixer
    assert isinstance(mixer, Attention)
    assert mixer.key_head_dim == 32


def test_a_nemotron_pattern_and_layer_count_must_agree() -> None:
    config = saved("nvidia__NVIDIA-Nemotron-Nano-9B-v2") | {"num_hidden_layers": 57}
    assert "57 layers" in refusal(config, MalformedError)
    config = saved("nvidia__NVIDIA-Nemotron-Nano-9B-v2") | {"hybrid_override_pattern": "M?"}
    assert "'?'" in refusal(config, UnknownArchitectureError)


def test_an_unknown_part_of_a_searched_block_is_refused() -> None:
    config = saved("nvidia__Llama-3_3-Nemotron-Super-49B-v1")
    config["block_configs"][3]["attention"]["window_length"] = 512
    assert "'window_length'" in refusal(config, UnknownArchitectureError)


def test_kimi_layers_must_be_shared_out_completely() -> None:
    config = saved("moonshotai__Kimi-Linear-48B-A3B-Instruct")
    config["linear_attn_config"]["kda_layers"] = [1]
    assert "share out" in refusal(config, MalformedError)


KNOWN = {path.stem: json.loads(path.read_text()) for path in sorted(CONFIGS.glob("*.json"))}


@pytest.mark.parametrize("name", KNOWN)
def test_groups_cover_every_layer_and_active_is_at_most_total(name: str) -> None:
    network = network_from_config(KNOWN[name])
    indices = sorted(i for group in network.groups for i in group.layers)
    assert indices == list(range(network.n_layers))
    parameters = network.parameters
    assert 0 < parameters.active <= parameters.text
    assert kv_bytes_per_token(network) + state_elements(network) > 0


def test_every_known_type_has_a_config_or_shares_its_builder_with_one_that_has() -> None:
    # A type counted against no published total (here or in test_reference_totals.py) and against no total of the
    # reference implementation is listed here, so that the list stays short.
    counted = set(RECORDED) | {config["model_type"] for _, _, config in REMOTE_CODE} | {"git", "openelm"}
    for config in KNOWN.values():
        counted |= {config["model_type"], config.get("text_config", {}).get("model_type")}
    uncounted = {name for name in BUILDERS if name not in counted}
    assert uncounted <= {
        # other names of a counted type
        "RefinedWeb", "RefinedWebModel", "Yi", "apriel", "aquila", "deepseek_ref", "dots3_note", "glm5_next",
        "grok", "grok-1", "grok-2", "inkling_model", "minimax_m3", "minimax_m3_sparse", "mllama_text_model",
        "qwen3_omni_moe_text", "rnd1", "skywork", "stablelm_epoch", "xverse",
        # only read, from code that comes with the weights
        "Dream", "PanguEmbedded", "deci", "grove_moe", "internlm", "jais", "llada_moe", "minicpm", "orion",
        "smallthinker", "solar",
    }  # fmt: skip


values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2, 3, 7, 64, 2**31, 2**40, 2**63, 10**30])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["full_attention", "sliding_attention", "mamba", "M*E-", "auto", "LLLG"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged_configs(draw: st.DrawFn) -> dict[str, Any]:
    """A known config in which one to four fields, at any depth, hold something else or are gone."""
    config: dict[str, Any] = json.loads(json.dumps(KNOWN[draw(st.sampled_from(sorted(KNOWN)))]))
    for _ in range(draw(st.integers(1, 4))):
        place = config
        sections = [name for name, value in place.items() if isinstance(value, dict) and value]
        inside: bool = draw(st.booleans())
        if sections and inside:
            place = place[draw(st.sampled_from(sorted(sections)))]
        name = draw(st.sampled_from(sorted(place)))
        action = draw(st.integers(0, 3))
        if action == 0:
            del place[name]
            if not place:
                break
        elif action == 1 and isinstance(place[name], list) and place[name]:
            place[name][draw(st.integers(0, len(place[name]) - 1))] = draw(values)
        else:
            place[name] = draw(values)
    return config


@settings(max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(config=damaged_configs())
@example(config=llama(num_hidden_layers=float("inf")))
@example(config=llama(vocab_size=2**40, hidden_size=2**40))
def test_damaged_configs_end_in_a_network_or_in_one_line(config: dict[str, Any]) -> None:
    try:
        network = network_from_config(config)
        assert network.parameters.counted > 0
        cache_layers(network)
    except PlannerError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1500

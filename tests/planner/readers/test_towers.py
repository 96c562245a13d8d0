"""Vision and audio towers: every count against the reference implementation, and what happens without one."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import MalformedError, PlannerError, UnknownArchitectureError
from planner.model.cache import kv_bytes, kv_bytes_per_token
from planner.model.network import Network, Tower
from planner.readers.config.fields import ConfigFields
from planner.readers.config.multimodal import text_part, towers_in_front
from planner.readers.config.network import network_from_config
from planner.readers.config.towers.registry import WRAPPERS

# What Hugging Face transformers 5.23 builds from each config on the meta device: elements of the state dict by
# module, under this reader's names of the parts. Rows are published configs (less what changes no shape), the
# reference's defaults, and defaults with many fields changed at once. `text` is there where a text type is known.
ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "towers.json").read_text())

# Types without a row, and what stands for one.
CHECKED_OTHERWISE = {
    "fast_vlm": "its encoder comes from timm by name and is not counted",
    "perception_lm": "its encoder comes from timm by name and is not counted",
    "gemma3n": "published totals of E2B and E4B",
    "gemma4_unified": "worked number below",
    "internvl_chat": "worked number below",
    "kimi_k3": "published total of Kimi K3",
    "kimi_vl": "worked number below",
    "minicpmo": "the parts of minicpmv and whisper",
    "minicpmv": "worked number below",
    "nemotron_h_omni": "worked number below",
    "phi3_v": "worked number below",
    "phi4mm": "not counted: its config does not describe its encoders",
    "qwen2_5_omni": "the thinker has rows",
    "qwen3_omni_moe": "the thinker has rows",
    "qwen4_exp": "the tower of qwen3_5",
}

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}
CLIP: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}


def llava(**changes: object) -> dict[str, Any]:
    config = {"model_type": "llava", "text_config": LLAMA, "vision_config": CLIP, "image_token_index": 99}
    return copy.deepcopy({name: value for name, value in {**config, **changes}.items() if value is not ...})


def counted(config: dict[str, Any], text_width: int) -> dict[str, int | None]:
    fields = ConfigFields(config, config["model_type"])
    text_part(fields)
    towers, _ = towers_in_front(fields, config["model_type"], text_width)
    return {tower.name: tower.parameters for tower in towers}


def unknown(network: Network) -> dict[str, str]:
    return {tower.name: tower.unknown for tower in network.towers if tower.unknown}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_part_is_the_reference_s(row: dict[str, Any]) -> None:
    found = counted(row["config"], row["text_width"])
    if row["config"]["model_type"] == "janus":
        assert found.pop("image generator") is None  # told as not counted
    assert found == row["towers"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["text"]], ids=lambda row: row["name"])
def test_the_language_model_behind_is_the_reference_s(row: dict[str, Any]) -> None:
    assert network_from_config(row["config"]).parameters.text == row["text"]


def test_every_type_is_checked_somewhere() -> None:
    rows = {row["config"]["model_type"] for row in ROWS}
    assert {name for name in WRAPPERS if name not in rows} == set(CHECKED_OTHERWISE)


def test_a_tower_worked_out_by_hand() -> None:
    # Patches 3·8·8·32 and class 32, positions (2·2 + 1)·32, two norms 2·64, and one layer: norms 2·64,
    # attention 4·(32·32 + 32), MLP 32·64 + 64 + 64·32 + 32. Projector 32·64 + 64 + 64·64 + 64.
    tower = 6144 + 32 + 160 + 128 + 128 + 4224 + 4192
    network = network_from_config(llava())
    assert network.towers == (
        Tower(name="vision tower", parameters=tower),
        Tower(name="vision projector", parameters=2112 + 4160),
    )
    assert network.parameters.total == network.parameters.text + tower + 6272
    assert network.notes == ()


def test_an_unknown_encoder_does_not_hinder_the_language_model() -> None:
    network = network_from_config(llava(vision_config={"model_type": "own\x1b[2J", "hidden_size": 32}))
    assert network.parameters.text == network_from_config(LLAMA).parameters.text
    assert network.parameters.total is None
    assert network.parameters.uncounted == ("vision tower",)
    # The projector needs only the encoder's width; what is counted is a floor under the total.
    assert network.parameters.counted == network.parameters.text + 6272
    (note,) = network.notes
    assert "not counted" in note
    assert "own" in note
    assert note.isprintable()


def test_an_unknown_structural_field_takes_its_tower_s_count_back() -> None:
    found = unknown(network_from_config(llava(vision_config={**CLIP, "num_memory_layers": 2})))
    assert list(found) == ["vision tower"]
    assert "'num_memory_layers'" in found["vision tower"]
    found = unknown(network_from_config(llava(num_memory_layers=2)))
    assert list(found) == ["other parts"]


def test_a_missing_section_or_field_is_told() -> None:
    assert "vision_config" in unknown(network_from_config(llava(vision_config=...)))["vision tower"]
    timm = network_from_config(
        {**llava(), "model_type": "perception_lm", "vision_config": {"model_type": "timm_wrapper"}}
    )
    assert "timm" in unknown(timm)["vision tower"]


def test_an_audio_section_that_a_type_is_not_known_to_have_is_told() -> None:
    assert unknown(network_from_config(llava(audio_config={"d_model": 8}))) == {
        "audio part": "this type is not known to have one"
    }


def test_a_type_nobody_knows_is_sized_by_its_language_model() -> None:
    network = network_from_config(llava(model_type="own_vl"))
    assert network.architecture == "own_vl"
    assert network.parameters.text == network_from_config(LLAMA).parameters.text
    assert unknown(network) == {"vision part": "this type is not known to have one"}
    with pytest.raises(UnknownArchitectureError, match="own_text"):
        network_from_config(llava(model_type="own_vl", text_config={**LLAMA, "model_type": "own_text"}))


def test_a_section_of_the_wrong_kind_stays_an_error() -> None:
    for wrong in (3, "clip"):
        with pytest.raises(MalformedError):
            network_from_config(llava(vision_config=wrong))
    with pytest.raises(MalformedError, match="hidden_size"):
        network_from_config(llava(vision_config={**CLIP, "hidden_size": "wide"}))
    with pytest.raises(MalformedError, match="image_size"):
        network_from_config(llava(vision_config={**CLIP, "image_size": 4}))


def test_text_fields_outside_a_section() -> None:
    # The first LLaVA publications name their encoder by repository; the language model stands at the top.
    network = network_from_config({**LLAMA, "model_type": "llava"})
    assert network.parameters.text == network_from_config(LLAMA).parameters.text
    assert list(unknown(network)) == ["vision tower", "vision projector"]


def test_an_omni_model_is_its_thinker() -> None:
    row = next(row for row in ROWS if row["name"] == "Qwen/Qwen2.5-Omni-7B thinker")
    outer = {
        "model_type": "qwen2_5_omni",
        "thinker_config": row["config"],
        "talker_config": {"hidden_size": 8},
    }
    network = network_from_config(outer)
    assert network.parameters.text == row["text"]
    assert {t.name: t.parameters for t in network.towers} == {**row["towers"], "speech output": None}


def test_llama_3_2_vision_keeps_an_image_once() -> None:
    # 11B: 32 layers of 8 KV heads of 128 in f16 are 32·4096 bytes a token; 8 layers more attend to an image of
    # 4 tiles of (560/14)² + 1 patches, 6404·4096 bytes each, whatever the text.
    row = next(row for row in ROWS if row["name"] == "meta-llama/Llama-3.2-11B-Vision-Instruct")
    network = network_from_config(row["config"])
    assert kv_bytes_per_token(network) == 32 * 4096
    for context in (1, 131_072):
        assert kv_bytes(network, context) == 32 * 4096 * context + 8 * 6404 * 4096
    assert network.parameters.total == 10_670_220_835  # as its repository states
    assert any("6,404" in note for note in network.notes)


def test_towers_that_an_absent_section_leaves_out() -> None:
    # Gemma 4's large sizes have no audio tower: the section is null, and nothing is missing.
    row = next(row for row in ROWS if row["name"] == "google/gemma-4-31B-it towers")
    assert set(counted(row["config"], row["text_width"])) == {"vision tower", "vision projector"}


def test_llama_4_without_a_section_is_told() -> None:
    config = json.loads(
        (Path(__file__).parent / "configs" / "meta-llama__Llama-4-Scout-17B-16E-Instruct.json").read_text()
    )
    network = network_from_config(config)
    assert network.parameters.towers == 871_932_416  # the published total less the language model
    assert any("vision_config" in note for note in network.notes)


SO400M: dict[str, Any] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "patch_size": 14,
    "num_attention_heads": 16,
}
# One SigLIP layer of 1152: norms 4·1152, attention 4·(1152² + 1152), MLP 2·1152·4304 + 4304 + 1152.
SO400M_LAYER = 4_608 + 5_313_024 + 9_921_872


def test_internvl_as_first_published() -> None:
    # InternViT-300M: 4·1024 + 4·1024² + 4·1024 of attention and norms, MLP 2·1024·4096 + 5120, scales 2·1024 in
    # 24 layers; patches 3·14²·1024 + 1024, class 1024, positions 1025·1024. Projector: norm 2·4096,
    # 4096·3584 + 3584 and 3584² + 3584.
    layer = 4_096 + 4_194_304 + 4_096 + 8_388_608 + 5_120 + 2_048
    config = {
        "model_type": "internvl_chat",
        "downsample_ratio": 0.5,
        "llm_config": LLAMA,
        "vision_config": {
            "model_type": "intern_vit_6b", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
            "image_size": 448, "patch_size": 14, "qkv_bias": True, "qk_normalization": False,
            "norm_type": "layer_norm", "num_attention_heads": 16,
        },
    }  # fmt: skip
    assert counted(config, 3584) == {
        "vision tower": 24 * layer + 602_112 + 1024 + 1024 + 1_049_600,
        "vision projector": 8_192 + 14_680_064 + 3_584 + 12_845_056 + 3_584,
    }


def test_minicpm_v_as_first_published() -> None:
    # SigLIP 400M at 980 pixels: patches 588·1152 + 1152, positions 70²·1152, norm 2·1152. Resampler at 3584:
    # queries 64·3584, in 1152·3584, attention 4·(3584² + 3584), three norms, out 3584².
    config = {
        **LLAMA, "model_type": "minicpmv", "query_num": 64,
        "vision_config": {**SO400M, "model_type": "siglip_vision_model", "image_size": 980},
    }  # fmt: skip
    found = counted(config, 3584)
    assert found == {
        "vision tower": 27 * SO400M_LAYER + 678_528 + 5_644_800 + 2_304,
        "vision projector": 229_376 + 4_128_768 + 51_394_560 + 21_504 + 12_845_056,
    }
    assert counted({**config, "drop_vision_last_layer": True}, 3584)["vision tower"] == (
        (found["vision tower"] or 0) - SO400M_LAYER
    )


def test_kimi_vl_as_first_published() -> None:
    # The layers are SigLIP's; positions 64²·1152, patches 588·1152 + 1152, norm 2·1152. Projector: norm 2·1152,
    # 4608² + 4608, 4608·2048 + 2048.
    config = {
        "model_type": "kimi_vl",
        "text_config": LLAMA,
        "vision_config": {
            **SO400M, "model_type": "moonvit", "init_pos_emb_height": 64, "init_pos_emb_width": 64,
            "merge_kernel_size": [2, 2],
        },
    }  # fmt: skip
    assert counted(config, 2048) == {
        "vision tower": 27 * SO400M_LAYER + 4_718_592 + 678_528 + 2_304,
        "vision projector": 2_304 + 21_238_272 + 9_439_232,
    }


def test_phi_3_vision_names_its_encoder() -> None:
    # CLIP-L at 336 pixels: 24 layers of norms 4·1024, attention 4·(1024² + 1024), MLP 2·1024·4096 + 5120;
    # patches 588·1024, class 1024, positions 577·1024, two norms. Projector: 4096·3072 + 3072,
    # 3072² + 3072, and two separators of 4096.
    layer = 4_096 + 4_198_400 + 8_393_728
    config = {
        **LLAMA,
        "model_type": "phi3_v",
        "embd_layer": {"embedding_cls": "image"},
        "img_processor": {"image_dim_out": 1024, "model_name": "openai/clip-vit-large-patch14-336"},
    }
    assert counted(config, 3072) == {
        "vision tower": 24 * layer + 602_112 + 1024 + 590_848 + 4_096,
        "vision projector": 12_585_984 + 9_440_256 + 8_192,
    }
    config["img_processor"] = {"model_name": "someone/else"}
    assert counted(config, 3072)["vision tower"] is None


def test_nemotron_omni() -> None:
    # C-RADIO at its defaults: 32 layers of norms 4·1280, attention 4·(1280² + 1280), MLP 8·1280² + 5·1280 and
    # scales 2·1280; positions 128²·1280, ten tokens, patches 768·1280 and of two frames 1536·1280, and two stored
    # indices. Projector: norm 5120, 5120·4096, 4096².
    layer = 5_120 + 6_558_720 + 13_113_600 + 2_560
    config = {"model_type": "nemotron_h_omni", "text_config": LLAMA, "vision_config": {"model_type": "radio"}}
    assert counted(config, 4096) == {
        "vision tower": 32 * layer + 20_971_520 + 12_800 + 983_040 + 1_966_080 + 2,
        "vision projector": 5_120 + 20_971_520 + 16_777_216,
    }


def test_gemma_4_without_towers() -> None:
    # Patches of 48² pixels: norm 2·6912, 6912·3840 + 3840, two norms of 3840, positions 2·1120·3840, and one matrix
    # 3840·64; sound 640·64.
    config = {
        "model_type": "gemma4_unified", "text_config": LLAMA,
        "vision_config": {"model_type": "gemma4_unified_vision"},
        "audio_config": {"model_type": "gemma4_unified_audio"},
    }  # fmt: skip
    assert counted(config, 64) == {
        "vision projector": 13_824 + 26_545_920 + 15_360 + 8_601_600 + 245_760,
        "audio projector": 40_960,
    }


values: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.sampled_from(
        [0, 1, -1, 2, 3, 7, 2**31, 2**40, 10**30, 0.5, 1e-9, float("nan"), float("inf"), "", "x"]
    )
    | st.lists(st.integers(0, 9), max_size=3)
    | st.dictionaries(st.text(max_size=4), st.integers(), max_size=2)
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A row's config in which one to three fields, at any depth, hold something else or are gone."""
    config: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(ROWS))["config"])
    for _ in range(draw(st.integers(1, 3))):
        place = config
        while sections := [name for name, value in place.items() if isinstance(value, dict) and value]:
            if draw(st.integers(0, 3)) == 0:
                break
            place = place[draw(st.sampled_from(sorted(sections)))]
        if not place:
            break
        name = draw(st.sampled_from(sorted(place)))
        if draw(st.booleans()):
            place[name] = draw(values)
        else:
            del place[name]
    return config


@settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(config=damaged())
def test_damaged_towers_end_in_a_network_or_in_one_line(config: dict[str, Any]) -> None:
    try:
        network = network_from_config(config)
    except PlannerError as error:
        assert str(error).isprintable()
        return
    assert all(tower.parameters is None or tower.parameters > 0 for tower in network.towers)
    assert (network.parameters.total is None) == bool(network.parameters.uncounted)
    assert all(note.isprintable() for note in network.notes)

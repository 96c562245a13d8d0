"""Whole repositories laid out, against what the hub counts in them.

The counts per element type are the hub's own, of files at fixed revisions: huggingface.js,
packages/hub/src/lib/parse-safetensors-metadata.spec.ts. Totals with scales are those of llmfit 1.1.17's
hf_models.json (hub totals of before 2026, which counted every stored element).
"""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.model.formats.layout import FormatLayout
from planner.model.weight import Use
from planner.readers.config.network import network_from_config
from planner.readers.config.quantization import storage_from_quantization
from profiles.loader import model_entry

CONFIGS = Path(__file__).parents[1] / "readers" / "configs"
GIB = 2**30
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [128, 128]}


def fixture(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return loaded


def laid_out(config: dict[str, Any], section: dict[str, Any] | None = None) -> FormatLayout:
    if section is not None:
        config = {**config, "quantization_config": section}
    return storage_from_quantization(config, network_from_config(config))


def llama_8b() -> dict[str, Any]:
    return {**model_entry("llama-3.1-8b-instruct")["config"], "torch_dtype": "bfloat16"}


def pack_quantized(
    weights: dict[str, Any], ignore: list[str], form: str = "pack-quantized"
) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": group},
        "ignore": ignore,
    }


def test_gpt_oss() -> None:
    section = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head",
        ],
    }  # fmt: skip
    small = laid_out(fixture("openai__gpt-oss-20b"), section)
    assert small.parameters_by_dtype == {"BF16": 1_804_459_584, "U8": 19_110_297_600}
    large = laid_out(fixture("openai__gpt-oss-120b"), section)
    assert large.parameters_by_dtype == {"BF16": 2_167_371_072, "U8": 114_661_785_600}
    # 57,330,892,800 packed bytes and 3,583,180,800 scales, as the same test file says.
    assert large.elements_by_dtype["U8"] == 57_330_892_800 + 3_583_180_800
    assert large.unmatched_patterns == ()


def test_kimi_k2_5() -> None:
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": True}
    ignore = [
        "lm_head",
        "re:.*self_attn.*",
        "re:.*shared_experts.*",
        r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
    ]
    found = laid_out(fixture("moonshotai__Kimi-K2.5"), pack_quantized(weights, ignore))
    assert found.parameters_by_dtype == {"F32": 23_040, "I32": 1_014_686_023_680, "BF16": 12_193_329_648}
    assert found.hub_parameters == 1_026_879_376_368


def test_kimi_k3() -> None:
    weights = {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32, "symmetric": True}
    ignore = [
        "re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*", "re:.*lm_head.*",
        "re:.*vision_tower.*", "re:.*mm_projector.*",
    ]  # fmt: skip
    found = laid_out(fixture("moonshotai__Kimi-K3"), pack_quantized(weights, ignore, "mxfp4-pack-quantized"))
    assert found.parameters_by_dtype == {"F32": 11_122_432, "BF16": 57_179_884_544, "U8": 2_722_740_830_208}


def test_deepseek_v4_pro() -> None:
    section = {**FP8, "scale_fmt": "ue8m0"}
    found = laid_out({**fixture("deepseek-ai__DeepSeek-V4-Pro"), "expert_dtype": "fp4"}, section)
    assert found.parameters_by_dtype == {
        "BF16": 2_816_899_328,
        "I64": 2_327_040,
        "F32": 87_776_414,
        "F8_E4M3": 23_169_335_296,
        "I8": 1_572_763_336_704,
    }
    assert found.elements_by_dtype["I8"] == 786_381_668_352  # packed bytes
    assert found.elements_by_dtype["F8_E8M0"] == 49_150_268_416  # block scales


def test_bitsandbytes_with_double_quantization() -> None:
    # unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit
    section = {
        "quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
    }  # fmt: skip
    found = laid_out(llama_8b(), section)
    assert found.parameters_by_dtype == {"BF16": 1_050_939_392, "U8": 6_979_321_856}
    # The hub once counted U8 twice per byte, scales too, and got 8,248,929,342. Quant states are of slightly
    # different lengths (an average of 172.7 bytes over 224 tensors, here 173).
    old = (
        found.elements_by_dtype["U8"] * 2 + found.elements_by_dtype["F32"] + found.parameters_by_dtype["BF16"]
    )
    assert old == pytest.approx(8_248_929_342, abs=224)


def test_gptq_with_the_biases_that_autogptq_added() -> None:
    # RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16: 1,376,256 elements of F16 are biases of zeros, one per
    # output of the seven matrices of 32 layers: 32 · (4096 + 2 · 1024 + 4096 + 2 · 14336 + 4096).
    section = {
        "quant_method": "gptq",
        "bits": 4,
        "group_size": 128,
        "desc_act": True,
        "sym": True,
        "lm_head": False,
    }
    found = laid_out({**llama_8b(), "torch_dtype": "float16"}, section)
    biases = 32 * (4096 + 2 * 1024 + 4096 + 2 * 14_336 + 4096)
    assert found.parameters_by_dtype == {"I32": 6_979_321_856, "F16": 1_052_315_648 - biases}


def test_compressed_tensors_with_reordered_groups() -> None:
    # RedHatAI/Llama-3.3-70B-Instruct-quantized.w4a16: 6,225,920 indices, one per input column.
    weights = {
        "num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": True, "actorder": "group",
    }  # fmt: skip
    config = {**model_entry("llama-3.3-70b-instruct")["config"], "torch_dtype": "bfloat16"}
    found = laid_out(config, pack_quantized(weights, ["lm_head"]))
    assert found.parameters_by_dtype == {"I32": 68_451_041_280, "BF16": 2_102_665_216}
    plain = laid_out(config, pack_quantized({**weights, "actorder": None}, ["lm_head"]))
    assert found.elements_by_dtype["I32"] - plain.elements_by_dtype["I32"] == 6_225_920


def _kept(names: list[str], n_layers: int, *outer: str) -> dict[str, Any]:
    per_layer = [f"model.layers.{i}.{name}" for i in range(n_layers) for name in names]
    return {**FP8, "modules_to_not_convert": [*outer, *per_layer]}


@pytest.mark.parametrize(
    ("name", "section", "stored_elements"),
    [
        ("Qwen__Qwen3-32B-FP8", FP8, 32_764_027_904),
        ("Qwen__Qwen3-30B-A3B-FP8", _kept(["mlp.gate", "input_layernorm"], 48, "lm_head"), 30_533_947_392),
        ("Qwen__Qwen3-235B-A22B-FP8", _kept(["mlp.gate"], 94, "lm_head"), 235_107_904_512),
        ("deepseek-ai__DeepSeek-V3", FP8, 684_531_386_000),
        ("zai-org__GLM-5-FP8", _kept(["mlp.gate", "self_attn.indexers_proj", "eh_proj"], 79, "lm_head"), 753_910_024_032),
    ],
)  # fmt: skip
def test_block_fp8_totals_count_every_scale(name: str, section: dict[str, Any], stored_elements: int) -> None:
    assert laid_out(fixture(name), section).stored_elements == stored_elements


def test_mimo_v2_flash_keeps_its_output_projections() -> None:
    # Its config lists nothing; the hub total leaves no room for scales of the output projections of 48 layers
    # and 3 extra ones. 576 elements of 309.8 billion stay unexplained.
    found = laid_out(fixture("XiaomiMiMo__MiMo-V2-Flash"), FP8)
    assert found.stored_elements - 309_785_318_400 == -576


def test_sizes_of_published_repositories() -> None:
    # Sizes on the hub: openai/gpt-oss-20b 13.8 GB, gpt-oss-120b 65.2 GB of safetensors.
    section = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    assert laid_out(fixture("openai__gpt-oss-20b"), section).file_bytes == pytest.approx(13.8e9, rel=0.005)
    assert laid_out(fixture("openai__gpt-oss-120b"), section).file_bytes == pytest.approx(65.2e9, rel=0.005)


def test_loaded_weights_of_engines() -> None:
    # vLLM "Model loading took": Llama-3.3-70B FP8-dynamic on two GPUs 33.88 GiB each, Llama-3.1-70B W8A8 67.72 GiB.
    config = {**model_entry("llama-3.3-70b-instruct")["config"], "torch_dtype": "bfloat16"}
    fp8 = pack_quantized(
        {"num_bits": 8, "type": "float", "strategy": "channel"}, ["lm_head"], "float-quantized"
    )
    assert laid_out(config, fp8).storage.total_bytes / 2 / GIB == pytest.approx(33.88, rel=0.002)
    int8 = pack_quantized({"num_bits": 8, "type": "int", "strategy": "channel"}, ["lm_head"], "int-quantized")
    assert laid_out(config, int8).storage.total_bytes / GIB == pytest.approx(67.72, rel=0.002)


def test_unquantized_repositories_are_laid_out_in_their_own_type() -> None:
    found = laid_out(llama_8b())
    assert found.storage.label == "BF16"
    assert found.file_bytes == 2 * 8_030_261_248
    assert found.hub_parameters == found.stored_elements == 8_030_261_248


def test_parts_sum_to_the_whole_and_extra_layers_stay_apart() -> None:
    config = fixture("Qwen__Qwen3.5-27B")
    found = laid_out(config, FP8)
    network = network_from_config(config)
    assert found.storage.n_elements == network.parameters.text
    assert all(w.use is not Use.UNUSED for w in found.storage.weights)
    assert (
        found.file_bytes
        == found.storage.total_bytes + found.extra_bytes + found.tower_bytes + found.copy_bytes
    )
    assert found.extra_bytes > network.parameters.mtp  # at least a byte per weight
    assert found.tower_bytes == 2 * network.parameters.towers


def test_a_fused_module_is_shared_out_over_its_weights() -> None:
    # kv_b_proj of DeepSeek V3: 512 inputs, 128 heads of 128 + 128 outputs, in 256 · 4 blocks of one F32 scale.
    found = laid_out(fixture("deepseek-ai__DeepSeek-V3"), FP8)
    halves = [w for w in found.storage.weights if w.layer == 5 and w.role in ("attn_k_b", "attn_v_b")]
    assert sum(w.n_bytes for w in halves) == 512 * 128 * 256 + 4 * 256 * 4
    assert halves[0].n_bytes == halves[1].n_bytes


def test_patterns_that_match_nothing_are_reported() -> None:
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}
    found = laid_out(llama_8b(), pack_quantized(weights, ["lm_head", "re:.*block_sparse_moe.gate"]))
    assert found.unmatched_patterns == ("re:.*block_sparse_moe.gate",)


def test_tower_patterns_are_not_reported_for_models_with_towers() -> None:
    weights = {"num_bits": 4, "type": "float", "group_size": 16}
    found = laid_out(
        fixture("Qwen__Qwen3.5-27B"), pack_quantized(weights, ["lm_head", "re:.*visual.*", "re:^mtp.*"])
    )
    assert found.unmatched_patterns == ()

"""Settings of every quantization library, where they stand, and how broken ones are refused."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import MalformedError, PlannerError, UnknownArchitectureError
from planner.model.formats.plan import QuantizationPlan
from planner.readers.config.network import network_from_config
from planner.readers.config.quantization import (
    quantization_plan,
    quantization_section,
    storage_from_quantization,
)
from planner.readers.config.quantization_methods.others import REFUSED

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1024, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}  # fmt: skip
MOE: dict[str, Any] = {
    "model_type": "qwen3_moe", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 64, "intermediate_size": 512, "moe_intermediate_size": 128,
    "num_experts": 4, "num_experts_per_tok": 2, "vocab_size": 1024, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}  # fmt: skip


def plan(section: dict[str, Any], **outside: Any) -> QuantizationPlan:
    return quantization_plan(
        {"model_type": "llama", "torch_dtype": "bfloat16", **outside, "quantization_config": section}
    )


def types(section: dict[str, Any], config: dict[str, Any] = LLAMA, **side: Any) -> dict[str, set[str]]:
    """Types by role over all layers, of matrices only."""
    config = {**config, "quantization_config": section} if section else config
    found: dict[str, set[str]] = {}
    for weight in storage_from_quantization(config, network_from_config(config), **side).storage.weights:
        if len(weight.shape) > 1:
            found.setdefault(weight.role, set()).add(weight.type_name)
    return found


def test_gptq_keeps_embeddings_and_head() -> None:
    found = types({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True})
    assert found["attn_q"] == found["ffn_down"] == {"GPTQ 4-bit g128"}
    assert found["token_embd"] == found["output"] == {"BF16"}


def test_gptq_quantizes_the_head_when_told() -> None:
    found = types({"quant_method": "gptq", "bits": 8, "group_size": -1, "lm_head": True})
    assert found["output"] == {"GPTQ 8-bit per channel"}


def test_gptqmodel_overrides_by_name() -> None:
    section = {
        "quant_method": "gptq", "bits": 4, "group_size": 32,
        "dynamic": {r"-:.*\.0\.mlp\.down.*": {}, r"+:.*\.1\.mlp\.up.*": {"bits": 8, "group_size": 64}},
    }  # fmt: skip
    found = types(section)
    assert found["ffn_down"] == {"BF16", "GPTQ 4-bit g32"}
    assert found["ffn_up"] == {"GPTQ 4-bit g32", "GPTQ 8-bit g64"}


def test_awq_and_its_older_file() -> None:
    section = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
    assert types(section)["ffn_up"] == {"AWQ 4-bit g128"}
    skipped = types({**section, "modules_to_not_convert": ["self_attn"]})
    assert skipped["attn_q"] == {"BF16"}
    assert skipped["ffn_up"] == {"AWQ 4-bit g128"}
    older = {"quant_config.json": {"zero_point": True, "q_group_size": 64, "w_bit": 4, "version": "GEMM"}}
    assert types({}, side_files=older)["ffn_up"] == {"AWQ 4-bit g64"}
    gptq = {"quantize_config.json": {"bits": 4, "group_size": 128, "desc_act": True}}
    assert types({}, side_files=gptq)["ffn_up"] == {"GPTQ 4-bit g128"}


def test_fp8_keeps_routers_head_and_what_is_listed() -> None:
    section = {
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
        "modules_to_not_convert": ["model.layers.0"],
    }
    found = types(section, MOE)
    assert found["attn_q"] == {"BF16", "FP8 128x128"}
    assert found["ffn_gate_inp"] == found["output"] == {"BF16"}


def test_per_tensor_fp8_with_static_activations() -> None:
    assert types({"quant_method": "fp8", "activation_scheme": "static"})["attn_k"] == {"FP8 per tensor"}
    assert types({"quant_method": "fbgemm_fp8"})["attn_k"] == {"FP8 per channel"}
    assert types({"quant_method": "mxfp8"})["attn_k"] == {"MXFP8"}


def test_compressed_tensors_groups_and_names() -> None:
    four = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": True}
    eight = {"num_bits": 8, "type": "float", "strategy": "channel"}
    section = {
        "quant_method": "compressed-tensors", "format": "mixed-precision",
        "config_groups": {
            "group_0": {"targets": ["re:.*mlp.*"], "weights": four, "format": "pack-quantized"},
            "group_1": {"targets": ["Linear"], "weights": eight, "format": "float-quantized"},
        },
        "ignore": ["lm_head", "model.layers.1.self_attn.q_proj"],
        "kv_cache_scheme": {"num_bits": 8, "type": "float", "dynamic": False},
    }  # fmt: skip
    found = types(section)
    assert found["ffn_up"] == {"INT4 g128"}
    assert found["attn_k"] == {"FP8 per channel"}
    assert found["attn_q"] == {"FP8 per channel", "BF16"}
    assert found["output"] == {"BF16"}
    assert plan(section).kv_cache == "FP8"


def test_compressed_tensors_without_ignored_head_quantizes_it() -> None:
    weights = {"num_bits": 4, "type": "float", "group_size": 16, "strategy": "tensor_group"}
    section = {
        "quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}, "ignore": [],
    }  # fmt: skip
    assert types(section)["output"] == {"NVFP4"}


def test_modelopt_from_config_and_from_its_own_file() -> None:
    group = {
        "group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "float", "group_size": 16}}
    }
    section = {
        "quant_method": "modelopt", "quant_algo": "NVFP4", "config_groups": group,
        "ignore": ["lm_head", "model.layers.0*", "*.self_attn.o_proj"],
        "kv_cache_scheme": {"num_bits": 8, "type": "float"},
    }  # fmt: skip
    found = types(section)
    assert found["attn_output"] == {"BF16"}
    assert found["ffn_up"] == {"BF16", "NVFP4"}
    assert plan(section).kv_cache == "FP8"
    own = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8",
                                                              "exclude_modules": ["lm_head"]}}  # fmt: skip
    assert types({}, side_files={"hf_quant_config.json": own})["ffn_up"] == {"FP8 per tensor"}


def test_modelopt_mixtures_name_each_layer() -> None:
    layers = {
        "model.layers.0.mlp.gate_proj": {"quant_algo": "W4A16_NVFP4", "group_size": 16},
        "model.layers.0.self_attn.q_proj": {"quant_algo": "FP8"},
    }
    section = {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers, "producer": {"name": "modelopt"}}
    found = types(section)
    assert found["ffn_gate"] == {"NVFP4", "BF16"}
    assert found["attn_q"] == {"FP8 per tensor", "BF16"}
    assert found["ffn_up"] == {"BF16"}


def test_single_experts_stand_for_all_of_a_layer() -> None:
    names = {f"model.layers.0.mlp.experts.{e}.up_proj": {"quant_algo": "NVFP4"} for e in range(4)}
    found = types({"quant_algo": "MIXED_PRECISION", "quantized_layers": names}, MOE)
    assert found["ffn_up_exps"] == {"NVFP4", "BF16"}


def test_bitsandbytes() -> None:
    eight = types({"quant_method": "bitsandbytes", "load_in_8bit": True})
    assert eight["ffn_up"] == {"bnb LLM.int8()"}
    assert eight["output"] == {"BF16"}
    four = {"quant_method": "bitsandbytes", "_load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    assert types({**four, "bnb_4bit_use_double_quant": True})["ffn_up"] == {"bnb NF4 double"}
    # An explicit list replaces the default one, which keeps the head.
    assert types({**four, "llm_int8_skip_modules": ["self_attn"]})["output"] == {"bnb NF4"}


def test_mlx_quantizes_tables_and_routers_and_takes_overrides() -> None:
    config = {**MOE, "quantization": {"group_size": 64, "bits": 4, "model.layers.0.mlp.gate": {"group_size": 64, "bits": 8},
                                      "model.layers.1.mlp.switch_mlp.down_proj": {"group_size": 32, "bits": 6},
                                      "lm_head": False}}  # fmt: skip
    found = types({}, config)
    assert found["token_embd"] == {"MLX 4-bit g64"}
    assert found["ffn_gate_inp"] == {"MLX 4-bit g64", "MLX 8-bit g64"}
    assert found["ffn_down_exps"] == {"MLX 4-bit g64", "MLX 6-bit g32"}
    assert found["output"] == {"BF16"}
    assert types({}, {**LLAMA, "quantization": {"bits": 4, "mode": "mxfp4", "group_size": 32}})["ffn_up"] == {
        "MLX MXFP4"
    }


def test_hqq_quark_torchao_autoround_and_exl() -> None:
    weights = {"weight_quant_params": {"nbits": 4, "group_size": 64, "axis": 1}}
    hqq = types({"quant_method": "hqq", "quant_config": weights, "skip_modules": ["lm_head"]})
    assert hqq["ffn_up"] == {"HQQ 4-bit g64"}
    assert hqq["output"] == {"BF16"}
    fp4 = {"weight": {"dtype": "fp4", "group_size": 32, "qscheme": "per_group"}}
    fp8 = {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}, "input_tensors": {"is_dynamic": False}}
    quark = types({"quant_method": "quark", "global_quant_config": fp4, "exclude": ["lm_head"],
                   "layer_quant_config": {"*q_proj": fp8}})  # fmt: skip
    assert quark["ffn_up"] == {"MXFP4"}
    assert quark["attn_q"] == {"FP8 per tensor"}
    kind = {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}}
    assert types({"quant_method": "torchao", "quant_type": kind})["ffn_up"] == {"TorchAO int4 g128"}
    old = {"quant_method": "torchao", "quant_type": "int8_weight_only", "quant_type_kwargs": {}}
    assert types(old)["ffn_up"] == {"TorchAO int8"}
    rounded = {"quant_method": "auto-round", "bits": 4, "group_size": 128, "packing_format": "auto_round:auto_gptq",
               "extra_config": {"model.layers.0.mlp.up_proj": {"bits": 16}}}  # fmt: skip
    assert types(rounded)["ffn_up"] == {"GPTQ 4-bit g128", "BF16"}
    exl = {"quant_method": "exl2", "bits": 4.65, "head_bits": 8}
    assert types(exl)["ffn_up"] == {"EXL2 4.65 bpw on average"}
    assert types(exl)["output"] == {"EXL2 8 bpw on average"}
    assert plan(exl).average_bits


def test_settings_of_multimodal_models_stand_in_the_text_section() -> None:
    section = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    assert (
        quantization_section({"model_type": "x", "text_config": {"quantization_config": section}}) == section
    )
    assert quantization_section({"model_type": "x", "compression_config": {"config_groups": {}}}) is not None
    assert quantization_section({"model_type": "x"}) is None


def test_element_type_of_what_is_kept() -> None:
    assert quantization_plan({"torch_dtype": "float16"}).kept.dtype == "F16"
    assert quantization_plan({"dtype": "torch.float32"}).kept.dtype == "F32"
    assert quantization_plan({"text_config": {"dtype": "bfloat16"}}).kept.dtype == "BF16"
    assert quantization_plan({}).kept.dtype == "BF16"


@pytest.mark.parametrize("method", sorted(REFUSED))
def test_methods_that_are_not_sized_are_refused_by_name(method: str) -> None:
    with pytest.raises(UnknownArchitectureError, match=method):
        plan({"quant_method": method, "bits": 2})


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ({"quant_method": "gptqq"}, "nearest known are gptq"),
        ({"bits": 4}, "no quant_method"),
        ({"quant_method": "gptq"}, "bits"),
        ({"quant_method": "gptq", "bits": 5}, "one of 2, 3, 4, 8"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "group_size"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "exotic"}, "'exotic'"),
        ({"quant_method": "awq", "bits": 8}, "8 bits"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "two positive numbers"),
        ({"quant_method": "fp8", "fmt": "e3m4"}, "'e3m4'"),
        ({"quant_method": "bitsandbytes"}, "neither or both"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP2"}, "'NVFP2'"),
        ({"quant_method": "modelopt"}, "without quantized_layers"),
        ({"quant_method": "compressed-tensors"}, "no config_groups"),
        ({"quant_method": "exl2", "bits": 99}, "between 0.5 and 16"),
        ({"quant_method": "torchao", "quant_type": "int2_weight_only"}, "'int2_weight_only'"),
    ],
)
def test_broken_settings_are_refused_with_what_is_wrong(section: dict[str, Any], what: str) -> None:
    with pytest.raises((MalformedError, UnknownArchitectureError, PlannerError), match=what):
        plan(section)


def test_two_four_sparsity_is_refused() -> None:
    section = {
        "quant_method": "compressed-tensors",
        "config_groups": {},
        "sparsity_config": {"format": "sparse-24-bitmask"},
    }
    with pytest.raises(UnknownArchitectureError, match="sparse"):
        plan(section)


def test_too_many_patterns_are_refused() -> None:
    with pytest.raises(MalformedError, match="no known model has so many"):
        plan(
            {
                "quant_method": "compressed-tensors",
                "config_groups": {},
                "ignore": [f"re:.*{i}" for i in range(3000)],
            }
        )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats(allow_nan=True) | st.text(max_size=8)
    | st.sampled_from(["Linear", "re:.*", "lm_head", "NVFP4", "int", "float", "group", "model.layers.0*", "(a+)+"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from(
    ["bits", "group_size", "weight_block_size", "modules_to_not_convert", "ignore", "config_groups", "quant_algo",
     "quantized_layers", "dynamic", "quant_config", "load_in_4bit", "bnb_4bit_quant_type", "quant_type", "version",
     "global_quant_config", "layer_quant_config", "exclude", "head_bits", "format", "extra_config", "fmt", "weights",
     "targets", "sparsity_config", "kv_cache_scheme", "mode", "quantization"]
)  # fmt: skip
METHODS = st.sampled_from(
    ["gptq", "awq", "fp8", "compressed-tensors", "modelopt", "bitsandbytes", "hqq", "quark", "torchao", "exl2", "exl3",
     "mxfp4", "auto-round", "mlx", "fbgemm_fp8", "mxfp8", "aqlm", ""]
)  # fmt: skip
NETWORK = network_from_config(MOE)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(METHODS, st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_settings_give_a_storage_or_a_typed_error(method: str, rest: dict[str, Any]) -> None:
    config = {**MOE, "quantization_config": {"quant_method": method, **rest}}
    if "quantization" in rest:
        config["quantization"] = rest["quantization"]
    try:
        found = storage_from_quantization(config, NETWORK)
    except PlannerError as error:
        assert "\n" not in str(error)
        return
    assert found.storage.n_elements == NETWORK.parameters.text
    assert found.file_bytes > 0

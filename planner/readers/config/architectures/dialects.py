"""Plain decoders, one row each: what the reference code of a `model_type` does beyond its config.

Checked against the published parameter totals in tests/planner/readers/test_published_totals.py.
"""

from collections.abc import Mapping
from typing import Any

from planner.readers.config.architectures.decoder import Dialect
from planner.readers.config.architectures.layer_extras import (
    bitnet_norms,
    differential_lambdas,
    doge_masks,
    grove_experts,
    head_gate_bias,
    xielu_scalars,
)
from planner.readers.config.architectures.mixture import MixtureRules

_LLAMA = Dialect(output_bias="attention_bias", mlp_bias="mlp_bias")
_GPT: dict[str, Any] = {
    "gated": False, "qkv_bias": True, "output_bias": True, "mlp_bias": True, "norm_bias": True,
}  # fmt: skip
# One norm a layer, attention without biases, a head with one.
_PARALLEL_GPT: dict[str, Any] = _GPT | {
    "qkv_bias": False, "output_bias": False, "norms_per_layer": 1, "head_bias": True, "dense_multiple": 4,
}  # fmt: skip

DIALECTS: Mapping[str, Dialect] = {
    "llama": _LLAMA,
    "granite": _LLAMA,
    "smollm3": Dialect(
        tied=True, output_bias="attention_bias", mlp_bias="mlp_bias", windows="qwen",
        unused=("no_rope_layer_interval",),
    ),
    "mistral": Dialect(qkv_bias=False, windows="all"),
    "ministral": Dialect(qkv_bias=False, windows="all"),
    "ministral3": Dialect(qkv_bias=False, windows="all"),
    "mixtral": Dialect(qkv_bias=False, windows="all"),
    "granitemoe": Dialect(output_bias="attention_bias"),
    "qwen2": Dialect(qkv_bias=True, windows="qwen"),
    "qwen2_moe": Dialect(qkv_bias="qkv_bias=true", windows="qwen", mixture=MixtureRules(shared_gate=True)),
    "mimo": Dialect(qkv_bias=True, windows="qwen", mtp="plain", unused=("attention_bias",)),
    "qwen3": Dialect(qk_norm="head", output_bias="attention_bias", windows="qwen"),
    "qwen3_moe": Dialect(
        qk_norm="head", output_bias="attention_bias", windows="qwen", unused=("use_qk_norm",),
    ),
    "gemma": Dialect(tied=True, output_bias="attention_bias"),
    "gemma2": Dialect(
        tied=True, output_bias="attention_bias", norms_per_layer=4, windows="even",
    ),
    "gemma3_text": Dialect(
        tied=True, output_bias="attention_bias", norms_per_layer=4, qk_norm="head",
        windows="every_sixth_full",
    ),
    "gpt_oss": Dialect(
        qkv_bias="attention_bias", output_bias="attention_bias", sinks=True, windows="even",
        mixture=MixtureRules(expert_bias=True, router_bias=True),
    ),
    "phi3": Dialect(qkv_bias=False, fused_qkv=True, fused_gate=True, windows="all"),
    "phimoe": Dialect(
        output_bias="attention_bias", norm_bias=True, head_bias="lm_head_bias", windows="all",
    ),
    "olmo": Dialect(norms_per_layer=0, final_norm=False, output_bias="attention_bias"),
    "olmo2": Dialect(qk_norm="full", output_bias="attention_bias"),
    "olmo3": Dialect(qk_norm="full", output_bias="attention_bias", windows="every_fourth_full"),
    "olmoe": Dialect(qk_norm="full", output_bias="attention_bias"),
    "cohere": Dialect(tied=True, norms_per_layer=1, qk_norm="full", qk_norm_if="use_qk_norm",
                      output_bias="attention_bias"),
    "seed_oss": Dialect(output_bias="attention_out_bias", mlp_bias="mlp_bias"),
    "exaone": Dialect(qkv_bias=False),
    "exaone4": Dialect(qkv_bias=False, qk_norm="head", mtp="plain", unused=("mtp_share_layers",)),
    "glm4": Dialect(fused_gate=True, norms_per_layer=4),
    "glm4_moe": Dialect(
        qk_norm="head", qk_norm_if="use_qk_norm", mixture=MixtureRules(correction_bias=True),
        mtp="copied_embeddings",
    ),
    "hunyuan_v1_dense": Dialect(tied=True, qk_norm="head", qk_norm_if="use_qk_norm=true",
                                unused=("cla_share_factor",),
                                output_bias="attention_bias", mlp_bias="mlp_bias"),
    "stablelm": Dialect(
        qkv_bias="use_qkv_bias", norm_bias=True, qk_norm="full", qk_norm_if="qk_layernorm",
        one_norm_if="use_parallel_residual",
    ),
    "nemotron": Dialect(gated=False, norm_bias=True, output_bias="attention_bias", mlp_bias="mlp_bias"),
    "starcoder2": Dialect(tied=True, gated=False, norm_bias=True, qkv_bias="use_bias", output_bias="use_bias",
                          mlp_bias="use_bias", windows="all"),
    "cohere2": Dialect(
        tied=True, norms_per_layer=1, output_bias="attention_bias", windows="every_fourth_full",
        unused=("layer_switch", "order_of_interleaved_layers", "use_parallel_block"),
    ),
    "arcee": Dialect(gated=False, output_bias="attention_bias", mlp_bias="mlp_bias"),
    "apertus": Dialect(
        gated=False, qk_norm="head", output_bias="attention_bias", mlp_bias="mlp_bias", extras=xielu_scalars,
        unused=("qk_norm",),
    ),
    "glm": Dialect(fused_gate=True),
    "ernie4_5": Dialect(tied=True, qkv_bias="use_bias", output_bias="use_bias", mlp_bias="use_bias"),
    "internlm2": Dialect(fused_qkv=True, qkv_bias="bias", output_bias="bias"),
    "internlm3": Dialect(qkv_bias="qkv_bias", output_bias="bias", mlp_bias="bias"),
    "bailing_moe": Dialect(fused_qkv=True, qkv_bias="use_qkv_bias", output_bias="use_bias"),
    "bailing_moe_v2": Dialect(
        fused_qkv=True, qkv_bias="use_qkv_bias", output_bias="use_bias", qk_norm="head",
        qk_norm_if="use_qk_norm=true", mtp="plain", unused=("use_rmsnorm", "max_window_layers"),
        mixture=MixtureRules(correction_bias="moe_router_enable_expert_bias"),
    ),
    "hunyuan_v1_moe": Dialect(
        tied=True, qk_norm="head", qk_norm_if="use_qk_norm=true", output_bias="attention_bias",
        mlp_bias="mlp_bias", mixture=MixtureRules(shared_like_expert=True),
        unused=("use_mixed_mlp_moe", "moe_layer_num_skipped", "cla_share_factor"),
    ),
    "exaone_moe": Dialect(
        qkv_bias=False, qk_norm="head", mixture=MixtureRules(correction_bias=True), mtp="dense",
        unused=("first_last_k_dense_replace",),
    ),
    "hy_v3": Dialect(
        qkv_bias=False, qk_norm="head", qk_norm_if="qk_norm=true", mtp="plain", dense_first=1,
        mixture=MixtureRules(correction_bias=True), unused=("moe_router_enable_expert_bias",),
    ),
    "ernie4_5_moe": Dialect(
        tied=True, qkv_bias="use_bias", output_bias="use_bias", mlp_bias="use_bias",
        head_bias="use_bias",
        mixture=MixtureRules(correction_bias="moe_use_aux_free=true", shared_bias="use_bias"), unused=("moe_layer_interval",),
    ),
    "afmoe": Dialect(
        qkv_bias=False, qk_norm="head", norms_per_layer=4, output_gate="matrix",
        mixture=MixtureRules(correction_bias=True), windows="every_fourth_full",
        unused=("global_attn_every_n_layers", "num_expert_groups", "num_limited_groups", "route_norm"),
    ),
    # Decoders from before 2023: LayerNorms and biases everywhere, two matrices in the MLP.
    "gpt2": Dialect(
        **_GPT, tied=True, fused_qkv=True, learned_positions=True, dense_multiple=4,
        refused_if=("add_cross_attention",), unused=("scale_attn_by_inverse_layer_idx",),
    ),
    "gpt_neox": Dialect(
        **_GPT | {"qkv_bias": "attention_bias=true", "output_bias": "attention_bias=true"}, fused_qkv=True,
    ),
    "bloom": Dialect(**_GPT, tied=True, fused_qkv=True, embedding_norm=True, dense_multiple=4),
    "opt": Dialect(
        **_GPT | dict.fromkeys(("qkv_bias", "output_bias", "mlp_bias"), "enable_bias=true"),
        tied=True, learned_positions=True, spare_positions=2, final_norm="do_layer_norm_before=true",
        norm_weights_if="layer_norm_elementwise_affine=true", embedding_width="word_embed_proj_dim",
        refused_if=("_remove_final_layer_norm",),
    ),
    "phi": Dialect(
        **_GPT, norms_per_layer=1, head_bias=True, dense_multiple=4, qk_norm="head", qk_norm_bias=True,
        qk_norm_if="qk_layernorm",
    ),
    "minimax_m2": Dialect(
        qkv_bias=False, qk_norm="full", qk_norm_if="use_qk_norm=true",
        mixture=MixtureRules(correction_bias="use_routing_bias=true"),
        # The extra prediction layers that these fields describe are not in the published files.
        unused=("qk_norm_type", "use_mtp", "mtp_transformer_layers", "attn_type_list"),
    ),
    "dots1": Dialect(qk_norm="head", output_bias="attention_bias", windows="qwen",
                     mixture=MixtureRules(correction_bias=True)),
    # Llamas under other names.
    **dict.fromkeys(("iquestcoder", "granite_docling_text"), _LLAMA),
    "helium": Dialect(mlp_bias="mlp_bias"),
    "cwm": Dialect(qkv_bias=False, windows="first_of_four_full"),
    "granite_swa": Dialect(
        output_bias="attention_bias", mlp_bias="mlp_bias", sinks=True, windows="first_of_four_full",
    ),
    "granitemoe_swa": Dialect(output_bias="attention_bias", sinks=True, windows="first_of_four_full"),
    "granitemoeshared": Dialect(output_bias="attention_bias"),
    "hyperclovax": Dialect(
        output_bias="attention_bias", mlp_bias="mlp_bias", four_norms_if="use_post_norm=true",
    ),
    "bitnet": Dialect(output_bias="attention_bias", extras=bitnet_norms),
    "diffllama": Dialect(output_bias="attention_bias", extras=differential_lambdas),
    "doge": Dialect(
        qk_norm="head", output_bias="attention_bias", mlp_bias="mlp_bias", extras=doge_masks,
        refused_if=("is_moe",), experts_if=False,
        unused=("keep_window_size", "num_experts", "num_experts_per_tok"),
    ),
    "vaultgemma": Dialect(output_bias="attention_bias", windows="even"),
    "nanochat": Dialect(
        gated=False, norms_per_layer=0, final_norm=False, output_bias="attention_bias",
    ),
    "jais2": Dialect(gated=False, norm_bias=True, output_bias="attention_bias", mlp_bias="mlp_bias"),
    "muse_glimmer_text": Dialect(
        norms_per_layer=4, output_bias="attention_bias", output_gate="matrix", windows="fourth_from_last_full",
    ),
    "molmo2_text": Dialect(
        qk_norm="head", qkv_bias="attention_bias", added_vocabulary="additional_vocab_size",
        unused=("qk_norm_type", "rope_scaling_layers"), refused_if=("norm_after",),
    ),
    "cosmos3_edge_text": Dialect(gated=False, output_bias="attention_bias", mlp_bias="mlp_bias"),
    # Models whose code comes with their weights.
    **dict.fromkeys(("Yi", "baichuan", "xverse", "skywork", "aquila"), Dialect(qkv_bias=False)),
    "apriel": _LLAMA,
    "solar": Dialect(
        output_bias="attention_bias", mlp_bias="mlp_bias", windows="all",
        unused=("bskcn_1", "bskcn_2", "bskcn_3", "bskcn_4", "bskcn_tv"),
    ),
    "deci": Dialect(output_bias="attention_bias", mlp_bias="mlp_bias"),
    "internlm": Dialect(qkv_bias="bias=true", output_bias="bias=true"),
    "PanguEmbedded": Dialect(qkv_bias="bias=true", output_bias="bias=true"),
    "Dream": Dialect(qkv_bias=True, windows="qwen"),
    "orion": Dialect(qkv_bias=False, norm_bias=True),
    "minicpm": Dialect(tied=True, output_bias="attention_bias", unused=("mup_denominator",)),
    "chatglm": Dialect(
        fused_qkv=True, fused_gate=True, qkv_bias="add_qkv_bias", output_bias="add_bias_linear",
        mlp_bias="add_bias_linear", dense_size_names=("ffn_hidden_size",),
        unused=("rmsnorm", "post_layer_norm", "apply_residual_connection_post_layernorm",
                "fp32_residual_connection", "multi_query_attention", "bias_dropout_fusion", "layernorm_epsilon"),
    ),
    "qwen": Dialect(
        qkv_bias=True, fused_qkv=True, dense_divisor=2,
        unused=("no_bias", "use_dynamic_ntk", "use_logn_attn", "use_cache_kernel"),
    ),
    "jais": Dialect(
        **_GPT | {"gated": True}, tied=True, fused_qkv=True, unused=("position_embedding_type",),
    ),
    "llada": Dialect(
        qkv_bias="include_qkv_bias", output_bias="include_bias", mlp_bias="include_bias",
        dense_size_names=("mlp_hidden_size",), refused_if=("multi_query_attention", "attention_layer_norm"),
        unused=("block_type", "block_group_size", "layer_norm_type", "layer_norm_with_affine",
                "attention_layer_norm_with_affine", "bias_for_layer_norm", "embedding_size",
                "input_emb_norm", "scale_logits", "flash_attention", "rope_full_precision", "mlp_ratio"),
    ),
    "deepseek": Dialect(output_bias="attention_bias"),
    "smallthinker": Dialect(
        qkv_bias=False, tied=True,
        unused=("moe_enable_early_router", "moe_primary_router_apply_softmax", "moe_enable_secondary_experts",
                "moe_num_secondary_experts", "moe_secondary_expert_size", "rope_layout"),
    ),
    "grove_moe": Dialect(
        qk_norm="head", output_bias="attention_bias", windows="qwen", extras=grove_experts,
    ),
    "llada_moe": Dialect(
        qk_norm="head", qk_norm_if="qk_layernorm", output_bias="attention_bias",
        dense_size_names=("dense_intermediate_size", "intermediate_size"), unused=("router_num_group",),
    ),
    "rnd1": Dialect(qk_norm="head", output_bias="attention_bias", windows="qwen"),
    "stablelm_epoch": Dialect(
        qkv_bias="use_qkv_bias", norm_bias=True, qk_norm="full", qk_norm_if="qk_layernorm",
        one_norm_if="use_parallel_residual",
    ),
    # Text parts of models with towers.
    "qwen2_vl_text": Dialect(qkv_bias=True, windows="qwen"),
    "qwen2_5_vl_text": Dialect(qkv_bias=True, windows="qwen"),
    "qwen3_vl_text": Dialect(qk_norm="head", output_bias="attention_bias"),
    "qwen3_vl_moe_text": Dialect(qk_norm="head", output_bias="attention_bias"),
    "qwen3_omni_moe_text": Dialect(qk_norm="head", output_bias="attention_bias", windows="qwen"),
    "glm4v_text": Dialect(
        fused_gate=True, norms_per_layer=4, qkv_bias=True, unused=("attention_bias",)
    ),
    "glm4v_moe_text": Dialect(mixture=MixtureRules(correction_bias=True)),
    "glm_ocr_text": Dialect(fused_gate=True, norms_per_layer=4, qkv_bias=False),
    "aria_text": Dialect(output_bias="attention_bias", mlp_bias="mlp_bias"),
    # Mixtures of experts.
    "flex_olmo": Dialect(qk_norm="full", output_bias="attention_bias"),
    "flint": Dialect(
        qk_norm="head", output_bias="attention_bias", sinks=True, windows="flint", dense_first=2,
    ),
    "kolibri1": Dialect(
        qkv_bias=False, qk_norm="head", norms_per_layer=4, windows="every_fifth_full",
        mixture=MixtureRules(correction_bias=True),
    ),
    "laguna": Dialect(
        output_bias="attention_bias", qk_norm="head", output_gate="gating",
        mixture=MixtureRules(correction_bias=True), dense_first=1,
    ),
    "beam": Dialect(
        output_bias="attention_bias", qk_norm="head", norms_per_layer=4, output_gate="matrix",
        extras=head_gate_bias, windows="every_sixth_and_last_full", dense_first=3,
        mixture=MixtureRules(correction_bias=True),
    ),
    "mellum": Dialect(output_bias="attention_bias", qk_norm="head"),
    "solar_open": Dialect(),  # its files hold no correction bias
    "cohere2_moe": Dialect(
        norms_per_layer=1, output_bias="attention_bias", windows="cohere2_moe",
        dense_size_names=("prefix_dense_intermediate_size", "intermediate_size"),
        unused=("prefix_dense_sliding_window_pattern",),
    ),
    # Decoders from before 2023.
    "biogpt": Dialect(**_GPT, learned_positions=True, spare_positions=2),
    "xglm": Dialect(**_GPT, refused_if=("add_cross_attention",)),
    "openai-gpt": Dialect(**_GPT, fused_qkv=True, learned_positions=True, final_norm=False, dense_multiple=4),
    "codegen": Dialect(**_PARALLEL_GPT, fused_qkv=True),
    "gptj": Dialect(**_PARALLEL_GPT),
    "gpt_bigcode": Dialect(
        **_GPT, fused_qkv=True, learned_positions=True, dense_multiple=4, one_kv_head_if="multi_query=true",
    ),
    "gpt_neo": Dialect(
        **_GPT | {"qkv_bias": False}, learned_positions=True, dense_multiple=4, windows="even",
        unused=("attention_types",),
    ),
    "persimmon": Dialect(
        **_GPT, fused_qkv=True, qk_norm="head", qk_norm_bias=True, qk_norm_if="qk_layernorm=true",
    ),
    "llama4_text": Dialect(
        output_bias="attention_bias", dense_size_names=("intermediate_size_mlp",),
        windows="every_fourth_full", mixture=MixtureRules(shared_like_expert=True),
        unused=("use_qk_norm",),  # an L2 norm without weights
    ),
}  # fmt: skip

"""The names of Hugging Face modules for llama.cpp's tensor roles, under all the names that families use.

The names are those of the reference implementations (transformers, and the publishers' own files for
DeepSeek V4, MiniMax and Nemotron-H). Alternatives are separated by blanks; {e} stands for an expert's number.
A config only ever names its own family's modules, so one list per role serves them all.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MULTIMODAL_LAYERS = ("model.language_model.layers", "language_model.model.layers", "model.layers")
LAYERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "nemotron_h": ("backbone.layers", "model.layers"),
        "deepseek_v4": ("layers", "model.layers"),
        "deepseek_ref": ("layers", "model.layers"),
        "gpt2": ("transformer.h",),
        "falcon": ("transformer.h",),
        "bloom": ("transformer.h",),
        "gpt_neox": ("gpt_neox.layers",),
        "mamba": ("backbone.layers",),
        "falcon_mamba": ("backbone.layers",),
        "opt": ("model.decoder.layers",),
    }
)
OUTER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "token_embd": "embed_tokens embed embeddings wte word_embeddings embed_in tok_embeddings",
        "output": "lm_head head embed_out output",
        "output_norm": "norm norm_f final_layernorm ln_f",
        "per_layer_token_embd": "embed_tokens_per_layer",
        "per_layer_model_proj": "per_layer_model_projection",
        "per_layer_proj_norm": "per_layer_projection_norm",
        "altup_proj": "altup_projections",
        "altup_unembd_proj": "altup_unembed_projections",
        "position_embd": "wpe embed_positions",
    }
)
OUTER_PREFIXES = (
    "model.",
    "model.language_model.",
    "language_model.model.",
    "backbone.",
    "transformer.",
    "",
)
HEAD_PREFIXES = ("", "language_model.", "model.", "model.language_model.", "mtp.")
ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attn_norm": "input_layernorm ln_1 norm attn_norm",
        "ffn_norm": "post_attention_layernorm pre_feedforward_layernorm ln_2 ffn_norm",
        "post_attention_norm": "post_attention_layernorm post_self_attn_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm post_mlp_layernorm",
        "attn_q": "self_attn.q_proj attention.q_proj mixer.q_proj attn.q_proj temporal_block.q_proj",
        "attn_k": "self_attn.k_proj attention.k_proj mixer.k_proj attn.k_proj temporal_block.k_proj",
        "attn_v": "self_attn.v_proj attention.v_proj mixer.v_proj attn.v_proj temporal_block.v_proj",
        "attn_output": "self_attn.o_proj self_attn.out_proj self_attn.dense attention.o_proj attention.wo"
        " attention.dense self_attention.dense mixer.o_proj attn.c_proj",
        "attn_qkv": "self_attn.qkv_proj self_attn.query_key_value attention.wqkv attention.query_key_value"
        " self_attention.query_key_value attn.c_attn",
        "attn_gate": "self_attn.gate_proj self_attn.g_proj self_attn.output_gate",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "attn_q_a": "self_attn.q_a_proj attn.wq_a",
        "attn_q_a_norm": "self_attn.q_a_layernorm attn.q_norm",
        "attn_q_b": "self_attn.q_b_proj attn.wq_b",
        "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
        "attn_kv_a_norm": "self_attn.kv_a_layernorm attn.kv_norm",
        "attn_k_b": "self_attn.kv_b_proj",
        "attn_v_b": "self_attn.kv_b_proj",
        "attn_kv": "attn.wkv self_attn.kv_proj",
        "attn_output_a": "attn.wo_a self_attn.o_a_proj",
        "attn_output_b": "attn.wo_b self_attn.o_b_proj",
        "attn_sinks": "self_attn.sinks attn.attn_sink",
        "indexer.attn_q_b": "self_attn.indexer.wq_b attn.indexer.wq_b",
        "indexer.attn_k": "self_attn.indexer.wk",
        "indexer.k_norm": "self_attn.indexer.k_norm",
        "indexer.proj": "self_attn.indexer.weights_proj self_attn.indexers_proj attn.indexer.weights_proj",
        "indexer_compressor_kv": "attn.indexer.compressor.wkv",
        "indexer_compressor_gate": "attn.indexer.compressor.wgate",
        "indexer_compressor_ape": "attn.indexer.compressor.ape",
        "indexer_compressor_norm": "attn.indexer.compressor.norm",
        "attn_compressor_kv": "attn.compressor.wkv",
        "attn_compressor_gate": "attn.compressor.wgate",
        "attn_compressor_ape": "attn.compressor.ape",
        "attn_compressor_norm": "attn.compressor.norm",
        "ffn_gate": "mlp.gate_proj feed_forward.gate_proj feed_forward.w1 shared_mlp.gate_proj",
        "ffn_up": "mlp.up_proj feed_forward.up_proj feed_forward.w3 mixer.up_proj mlp.c_fc mlp.fc1"
        " mlp.dense_h_to_4h mlp.gate_up_proj fc1",
        "ffn_down": "mlp.down_proj feed_forward.down_proj feed_forward.w2 mixer.down_proj mlp.c_proj mlp.fc2"
        " mlp.dense_4h_to_h fc2",
        "ffn_gate_inp": "mlp.gate mlp.router block_sparse_moe.gate feed_forward.router feed_forward.gate mixer.gate"
        " ffn.gate router router.proj mlp.gate.wg moe.gate",
        "exp_probs_b": "mlp.gate.e_score_correction_bias block_sparse_moe.e_score_correction_bias"
        " mixer.gate.e_score_correction_bias ffn.gate.bias",
        "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
        "ffn_gate_tid2eid": "ffn.gate.tid2eid",
        "ffn_gate_exps": "mlp.experts.{e}.gate_proj block_sparse_moe.experts.{e}.w1"
        " feed_forward.experts.{e}.w1 ffn.experts.{e}.w1",
        "ffn_up_exps": "mlp.experts.{e}.up_proj block_sparse_moe.experts.{e}.w3"
        " feed_forward.experts.{e}.w3 mixer.experts.{e}.up_proj ffn.experts.{e}.w3",
        "ffn_down_exps": "mlp.experts.{e}.down_proj block_sparse_moe.experts.{e}.w2"
        " feed_forward.experts.{e}.w2 mixer.experts.{e}.down_proj ffn.experts.{e}.w2",
        "ffn_gate_up_exps": "mlp.experts.gate_up_proj feed_forward.experts.gate_up_proj experts.gate_up_proj",
        "ffn_gate_shexp": "mlp.shared_experts.gate_proj mlp.shared_expert.gate_proj"
        " feed_forward.shared_expert.gate_proj block_sparse_moe.shared_experts.gate_proj ffn.shared_experts.w1",
        "ffn_up_shexp": "mlp.shared_experts.up_proj mlp.shared_expert.up_proj feed_forward.shared_expert.up_proj"
        " block_sparse_moe.shared_experts.up_proj mixer.shared_experts.up_proj ffn.shared_experts.w3",
        "ffn_down_shexp": "mlp.shared_experts.down_proj mlp.shared_expert.down_proj"
        " feed_forward.shared_expert.down_proj block_sparse_moe.shared_experts.down_proj"
        " mixer.shared_experts.down_proj ffn.shared_experts.w2",
        "ffn_latent_down": "mixer.fc1_latent_proj mlp.fc1_latent_proj mlp.down_latent_proj",
        "ffn_latent_up": "mixer.fc2_latent_proj mlp.fc2_latent_proj mlp.up_latent_proj",
        "ssm_in": "mixer.in_proj mamba.in_proj linear_attn.in_proj_qkvz",
        "ssm_out": "mixer.out_proj mamba.out_proj",
        "ssm_x": "mixer.x_proj mamba.x_proj",
        "ssm_dt": "mixer.dt_proj mamba.dt_proj",
        "ssm_conv1d": "mixer.conv1d mamba.conv1d",
        "ssm_f_a": "self_attn.f_a_proj",
        "ssm_f_b": "self_attn.f_b_proj",
        "ssm_g": "self_attn.g_proj",
        "ssm_g_a": "self_attn.g_a_proj",
        "ssm_g_b": "self_attn.g_b_proj",
        "ssm_beta": "self_attn.b_proj",
        "ssm_conv1d_q": "self_attn.q_conv1d",
        "ssm_conv1d_k": "self_attn.k_conv1d",
        "ssm_conv1d_v": "self_attn.v_conv1d",
        "shortconv.conv": "conv.conv",
        "shortconv.in_proj": "conv.in_proj",
        "shortconv.out_proj": "conv.out_proj",
        "nextn.eh_proj": "eh_proj fc",
        "nextn.enorm": "enorm",
        "nextn.hnorm": "hnorm",
        "nextn.shared_head_norm": "shared_head.norm",
        "nextn.shared_head_head": "shared_head.head",
        "nextn.embed_tokens": "embed_tokens",
        "time_mix_receptance": "attn.r_proj attention.receptance",
        "time_mix_key": "attn.k_proj attention.key",
        "time_mix_value": "attn.v_proj attention.value",
        "time_mix_output": "attn.o_proj attention.output",
        "channel_mix_key": "ffn.key feed_forward.key",
        "channel_mix_value": "ffn.value feed_forward.value",
        "lru_x": "temporal_block.linear_x",
        "lru_y": "temporal_block.linear_y",
        "lru_out": "temporal_block.linear_out",
        "altup_router": "altup.modality_router",
        "inp_gate": "per_layer_input_gate",
        "proj": "per_layer_projection",
        "laurel_l": "laurel.linear_left",
        "laurel_r": "laurel.linear_right",
    }
)
DELTA_ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attn_qkv": "linear_attn.in_proj_qkv linear_attn.in_proj_qkvz",
        "attn_gate": "linear_attn.in_proj_z linear_attn.in_proj_qkvz",
        "ssm_ba": "linear_attn.in_proj_b linear_attn.in_proj_a linear_attn.in_proj_ba",
        "ssm_beta": "linear_attn.in_proj_b",
        "ssm_alpha": "linear_attn.in_proj_a",
        "ssm_conv1d": "linear_attn.conv1d",
        "ssm_norm": "linear_attn.norm",
        "ssm_out": "linear_attn.out_proj",
    }
)

"""Reads a hub `config.json` into a network: which architecture, and what its fields say.

Every supported `model_type` is listed in one of the files under `architectures/`. A type that is not, or a
structural field that nobody asked for, is refused by name: a silent wrong number is worse than none.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.network import Network, Tower
from planner.readers.architectures import delta_hybrid, latent_decoder, nemotron_h
from planner.readers.architectures.decoder import decoder_network
from planner.readers.architectures.dialects import DIALECTS
from planner.readers.architectures.vision import TOWERS
from planner.readers.config_fields import ConfigFields

Builder = Callable[[ConfigFields], Network]

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {name: partial(decoder_network, dialect=dialect) for name, dialect in DIALECTS.items()}
    | dict.fromkeys(latent_decoder.MODEL_TYPES, latent_decoder.latent_network)
    | dict.fromkeys(delta_hybrid.MODEL_TYPES, delta_hybrid.delta_hybrid_network)
    | dict.fromkeys(nemotron_h.MODEL_TYPES, nemotron_h.nemotron_h_network)
)
# Wrapper types whose text part is described by a section; the value is the type to assume for that section.
_WRAPPERS: Mapping[str, str] = {
    "gemma3": "gemma3_text",
    "llama4": "llama4_text",
    "qwen3_vl": "qwen3",
    "qwen3_vl_moe": "qwen3_moe",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "mistral3": "mistral",
    "kimi_k25": "kimi_k2",
}
_SECTION_TYPES: Mapping[str, str] = {"qwen3_vl_text": "qwen3", "qwen3_vl_moe_text": "qwen3_moe"}
# Words that mark a field as describing shapes: unread, it may hide a part the planner does not know.
_STRUCTURAL = re.compile(
    r"(^|_)(experts?|moe|heads?|layers?|hidden|intermediate|ffn|mlp|lora|rank|latent|ssm|mamba|conv|embed"
    r"|window|block|compress|ratio|ratios|sinks?|gate|shared|dense|altup|laurel|mtp|nextn|index)(_|$)"
)
# Structural by name but without influence on size, state or work; each is a training, routing-score,
# initialisation, generation or rotary-embedding setting of the reference code.
_HARMLESS = frozenset(
    """
    hidden_act hidden_activation hidden_dropout hidden_dropout_prob output_hidden_states embd_pdrop
    mlp_hidden_act mamba_hidden_act moe_router_dtype router_aux_loss_coef n_group topk_group num_expert_group
    ep_size rope_theta embedding_multiplier residual_multiplier scale_emb embed_dropout chunk_size
    chunk_size_feed_forward use_mamba_kernels mamba_ssm_dtype mamba_ssm_cache_dtype ssm_dtype
    expert_dropout layerdrop cross_attention_hidden_size layer_norm_eps layer_norm_epsilon layernorm_epsilon
    num_logits_to_keep norm_topk_prob index_skip_topk_offset index_share_for_mtp_iteration index_topk_freq
    index_topk_pattern indexer_rope_interleave qk_head_dim rotary_emb_base use_cache max_window_layers
    add_cross_attention tie_encoder_decoder query_pre_attn_scalar encoder_no_repeat_ngram_size
    mtp_use_dedicated_embeddings mtp_transformer_layers use_mtp first_layer_fp8 expand mlp_layer_types
    routed_scaling_factor moe_router_enable_expert_bias moe_router_use_sigmoid head_dtype
    initializer_range swiglu_limit interleave_moe_layer_step moe_layer_freq no_rope_layer_interval
    no_rope_layers attn_temperature_tuning layer_types num_hidden_layers embedding_size_legacy
    vision_feature_layer projector_hidden_act moe_aux_loss_coef use_double_wide_mlp_legacy mamba_proj_bias
    attention_head_dim keys_to_ignore_at_inference time_step_limit image_token_index is_hybrid
    intermediate_size mamba_expand max_window_size moe_shared_expert_overlap output_gate_type
    """.split()
)


def network_from_config(config: Mapping[str, object]) -> Network:
    """The network that a config.json describes.

    Raises UnknownArchitectureError for a type or part the planner does not know, MissingFactError for an
    absent field without a reference default, MalformedError for a value of the wrong kind.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise MalformedError("config.json has no model_type; the planner needs it to know the architecture")
    fields = ConfigFields(config, model_type)
    text = fields
    towers: tuple[Tower, ...] = ()
    if model_type in _WRAPPERS:
        text, towers = _unwrap(fields, model_type)
    builder = BUILDERS.get(text.model_type)
    if builder is None:
        raise UnknownArchitectureError(_unknown_type(text.model_type))
    try:
        network = builder(text)
    except ValueError as error:
        raise MalformedError(f"config.json of a {model_type} model contradicts itself: {error}") from error
    if model_type in _WRAPPERS:
        towers = _towers(fields, model_type, network.hidden_size)
    _refuse_unread(text)
    return replace(network, architecture=model_type, towers=towers)


def _unwrap(fields: ConfigFields, model_type: str) -> tuple[ConfigFields, tuple[Tower, ...]]:
    text = fields.section("text_config", "llm_config", "language_config", "thinker_config")
    if text is None:
        raise MalformedError(f"config.json of a {model_type} model has no text_config section")
    inner = _SECTION_TYPES.get(text.model_type, text.model_type)
    if inner == model_type:
        inner = _WRAPPERS[model_type]
    text.model_type = inner
    return text, ()


def _towers(fields: ConfigFields, model_type: str, text_hidden_size: int) -> tuple[Tower, ...]:
    vision = fields.section("vision_config")
    if vision is None:
        raise UnknownArchitectureError(
            f"{model_type}: the model has a vision tower, but its config has no vision_config to count it from"
        )
    reader = TOWERS.get(vision.model_type) or TOWERS.get(model_type)
    if reader is None:
        raise UnknownArchitectureError(f"{model_type}: vision tower {vision.model_type!r} is not understood yet")
    if fields.has("audio_config"):
        raise UnknownArchitectureError(f"{model_type}: audio towers are not understood yet")
    return (reader(vision, text_hidden_size),)


def _refuse_unread(fields: ConfigFields) -> None:
    unknown = [
        name for name in fields.unread()
        if _STRUCTURAL.search(name) and name not in _HARMLESS and fields.raw(name) not in (False, 0, "")
    ]  # fmt: skip
    if unknown:
        shown = ", ".join(name[:40] for name in unknown[:4])
        raise UnknownArchitectureError(
            f"{fields.model_type}: the config has fields this planner does not know ({shown}); "
            "its numbers could be wrong, so it gives none"
        )


def _unknown_type(model_type: str) -> str:
    near = get_close_matches(model_type, [*BUILDERS, *_WRAPPERS], n=2)
    hint = f"; the nearest known are {' and '.join(near)}" if near else ""
    return f"model_type {model_type[:60]!r} is not understood yet{hint}"

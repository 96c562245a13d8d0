"""Kimi Linear and Kimi K3: Kimi delta attention in most layers, latent attention in the rest, experts."""

from dataclasses import replace

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.feed_forward import FeedForward
from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.latent import LatentAttention
from planner.model.network import Network, embeddings
from planner.model.weight import Weight, vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("kimi_linear",)


def kimi_linear_network(fields: ConfigFields) -> Network:
    """The network of a Kimi Linear config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    # MLA has neither KV heads nor one head width; how experts are grouped does not change their number.
    fields.unused("num_key_value_heads", "head_dim", "moe_layer_freq", "topk_group", "mla_use_nope")
    fields.unused("qk_head_dim")  # the sum of two others
    if fields.few("num_nextn_predict_layers"):
        raise UnknownArchitectureError("kimi_linear: extra prediction layers are not understood yet")
    latent, delta, uses_latent = _mixers(fields, n_layers)
    experts = mixture(fields, MixtureRules(correction_bias=True))
    if experts is not None and fields.flag("latent_moe_use_norm"):
        experts = replace(experts, latent_norm=experts.expert_hidden_size is not None)
    sparse = expert_layers(fields, n_layers, default_dense=1) if experts else (False,) * n_layers
    dense = None if all(sparse) else FeedForward(intermediate_size=fields.count("intermediate_size"))
    norms = norm_vectors(hidden_size, 2)
    outer = embeddings(hidden_size, vocab_size, tied=(tied := tie(fields, default=False)))
    if fields.positive("attn_res_block_size"):
        # Attention residuals: a norm and a query vector before each half of a layer and before the head.
        norms += _residual_mix("attn_res", hidden_size) + _residual_mix("ffn_res", hidden_size)
        outer += _residual_mix("output_res", hidden_size)
    layers = [
        PlannedLayer(latent if is_latent else delta, experts if is_sparse else dense, norms)
        for is_latent, is_sparse in zip(uses_latent, sparse, strict=True)
    ]
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=outer,
        context_tokens=fields.positive("max_position_embeddings", "model_max_length"),
    )


def _residual_mix(role: str, hidden_size: int) -> tuple[Weight, ...]:
    return (vector(f"{role}_norm", hidden_size), vector(f"{role}_proj", hidden_size))


def _mixers(
    fields: ConfigFields, n_layers: int
) -> tuple[LatentAttention, KimiDeltaAttention, tuple[bool, ...]]:
    latent = LatentAttention(
        n_heads=fields.count("num_attention_heads"),
        q_lora_rank=fields.positive("q_lora_rank"),
        kv_lora_rank=fields.count("kv_lora_rank"),
        qk_nope_head_dim=fields.count("qk_nope_head_dim"),
        qk_rope_head_dim=fields.count("qk_rope_head_dim"),
        v_head_dim=fields.count("v_head_dim"),
        output_gate=fields.flag("mla_use_output_gate"),
    )
    linear = fields.section("linear_attn_config")
    if linear is None:
        return latent, *_mixers_by_name(fields, n_layers)
    full_rank = linear.flag("use_full_rank_gate")
    head_dim = linear.count("head_dim")
    delta = KimiDeltaAttention(
        n_heads=linear.count("num_heads"),
        head_dim=head_dim,
        conv_kernel=linear.count("short_conv_kernel_size"),
        full_rank_gate=full_rank,
        # K3's files hold 128 decay entries a layer for its 96 heads; engines drop the rest.
        decay_elements=max(head_dim, linear.count("num_heads")) if full_rank else None,
    )
    full = set(linear.counts("full_attn_layers") or ())  # both lists count layers from 1
    kda = set(linear.counts("kda_layers") or ())
    if full & kda or full | kda != set(range(1, n_layers + 1)):
        raise MalformedError(
            f"config.json: full_attn_layers and kda_layers do not share out {n_layers} layers"
        )
    return latent, delta, tuple(i + 1 in full for i in range(n_layers))


def _mixers_by_name(fields: ConfigFields, n_layers: int) -> tuple[KimiDeltaAttention, tuple[bool, ...]]:
    """The form that transformers writes: the kind of each layer by name, sizes beside the others."""
    delta = KimiDeltaAttention(
        n_heads=fields.count("linear_num_heads"),
        head_dim=fields.count("linear_head_dim"),
        conv_kernel=fields.count("linear_conv_kernel_dim"),
    )
    named = fields.words("layer_types")
    if named is None:
        return delta, tuple(i > 0 and i % 4 == 0 for i in range(n_layers))
    if len(named) < n_layers or not set(named) <= {"full_attention", "linear_attention"}:
        raise MalformedError("config.json: layer_types must say full or linear attention for every layer")
    return delta, tuple(kind == "full_attention" for kind in named[:n_layers])

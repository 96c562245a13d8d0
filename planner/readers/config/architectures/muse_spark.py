"""Muse Spark: gated attention with windows, experts in a latent space, a gate on each residual."""

from dataclasses import replace

from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.weight import vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    attention_kinds,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("muse_spark_text",)


def muse_spark_network(fields: ConfigFields) -> Network:
    """The network of a Muse Spark text config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("residual_gate_temperature")
    head_dim = fields.count("head_dim")
    bias = fields.flag("attention_bias")
    full = Attention(
        n_heads=fields.count("num_attention_heads"),
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        qkv_bias=bias,
        output_bias=bias,
        output_gate="matrix",
    )
    kinds, window = attention_kinds(fields, n_layers, "fourth_from_last_full")
    experts = mixture(fields, MixtureRules(correction_bias=True))
    if experts is not None:
        experts = replace(experts, latent_norm=experts.expert_hidden_size is not None)
    sparse = expert_layers(fields, n_layers) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    norms = (
        *norm_vectors(hidden_size, 3),
        vector("attn_residual_gate", hidden_size),
        vector("ffn_residual_gate", hidden_size),
    )
    # A second norm of the latent space, behind the experts.
    inner = (vector("ffn_latent_post_norm", experts.expert_hidden_size or hidden_size),) if experts else ()
    layers = [
        PlannedLayer(
            replace(full, window_tokens=None if kind == "full" else window),
            experts if is_sparse else dense,
            norms + inner if is_sparse else norms,
        )
        for kind, is_sparse in zip(kinds, sparse, strict=True)
    ]
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
    )

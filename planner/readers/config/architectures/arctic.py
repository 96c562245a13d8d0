"""Snowflake Arctic: a dense residual MLP beside experts in every layer."""

from dataclasses import replace

from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("arctic",)


def arctic_network(fields: ConfigFields) -> Network:
    """The network of an Arctic config; the residual MLP is as wide as the hidden size."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    n_heads = fields.count("num_attention_heads")
    if hidden_size % n_heads:
        raise ValueError(f"a hidden size of {hidden_size} does not divide over {n_heads} heads")
    attention = Attention(
        n_heads=n_heads,
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=hidden_size // n_heads,
        value_head_dim=hidden_size // n_heads,
        qkv_bias=fields.flag("attention_bias"),
    )
    plain = FeedForward(intermediate_size=fields.count("intermediate_size"))
    experts = mixture(fields, MixtureRules())
    every = fields.count("moe_layer_frequency", default=2)
    residual = fields.flag("use_residual") and fields.flag("parallel_attn_mlp_res", default=True)
    layers = []
    for i in range(n_layers):
        sparse = experts is not None and (i + 1) % every == 0
        block = plain if experts is None or not sparse else experts
        if experts is not None and sparse and residual:
            block = replace(experts, residual=FeedForward(intermediate_size=hidden_size))
        layers.append(
            PlannedLayer(attention, block, norm_vectors(hidden_size, 3 if sparse and residual else 2))
        )
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

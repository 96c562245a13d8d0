"""OLMo Hybrid: gated DeltaNet in three of four layers, full attention with wide query and key norms in the rest."""

from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    attention_kinds,
    group_layers,
    layer_count,
)
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("olmo_hybrid",)


def olmo_hybrid_network(fields: ConfigFields) -> Network:
    """The network of an OLMo Hybrid config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    n_heads = fields.count("num_attention_heads")
    if hidden_size % n_heads:
        raise ValueError(f"a hidden size of {hidden_size} does not divide over {n_heads} heads")
    bias = fields.flag("attention_bias")
    full = Attention(
        n_heads=n_heads,
        n_kv_heads=fields.count("num_key_value_heads", default=n_heads),
        key_head_dim=hidden_size // n_heads,
        value_head_dim=hidden_size // n_heads,
        qkv_bias=bias,
        output_bias=bias,
        qk_norm="full",
    )
    n_key_heads = fields.count("linear_num_key_heads", default=n_heads)
    key_dim = fields.count("linear_key_head_dim", default=int(0.75 * hidden_size / n_key_heads))
    linear = GatedDeltaNet(
        n_key_heads=n_key_heads,
        n_value_heads=fields.count("linear_num_value_heads", default=n_heads),
        key_head_dim=key_dim,
        value_head_dim=fields.count("linear_value_head_dim", default=2 * key_dim),
        conv_kernel=fields.count("linear_conv_kernel_dim", default=4),
        split_beta_alpha=True,
    )
    if fields.has("layer_types"):
        kinds, _ = attention_kinds(fields, n_layers, "none")
        attends = [kind == "full" for kind in kinds]
    else:
        attends = [i % 4 == 3 for i in range(n_layers)]
        attends[-1] |= not any(attends)
    mlp = FeedForward(intermediate_size=fields.count("intermediate_size"))
    norms = norm_vectors(hidden_size, 2)
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(
            [PlannedLayer(full if is_attention else linear, mlp, norms) for is_attention in attends]
        ),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
    )

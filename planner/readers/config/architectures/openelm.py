"""OpenELM: every layer has its own number of heads and its own MLP width."""

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("openelm",)


def openelm_network(fields: ConfigFields) -> Network:
    """The network of an OpenELM config (arXiv:2404.14619)."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("model_dim", "hidden_size")
    vocab_size = fields.count("vocab_size")
    head_dim = fields.count("head_dim")
    query = fields.counts("num_query_heads") or ()
    kv = fields.counts("num_kv_heads") or ()
    multipliers = fields.items("ffn_multipliers") or ()
    if min(len(query), len(kv), len(multipliers)) < n_layers:
        raise MalformedError(
            "config.json: num_query_heads, num_kv_heads and ffn_multipliers must say a number for every layer"
        )
    # How those lists were made.
    fields.unused("num_gqa_groups", "qkv_multipliers", "normalization_layer_name", "activation_fn_name")
    divisor = fields.count("ffn_dim_divisor", default=256)
    qk_norm = fields.flag("normalize_qk_projections")
    gated = fields.flag("ffn_with_glu", default=True)
    norms = norm_vectors(hidden_size, 2)
    layers = []
    for i in range(n_layers):
        multiplier = multipliers[i]
        if (
            isinstance(multiplier, bool)
            or not isinstance(multiplier, (int, float))
            or not 0 < multiplier < 100
        ):
            raise MalformedError("config.json: ffn_multipliers holds something else than positive numbers")
        attention = Attention(
            n_heads=query[i],
            n_kv_heads=kv[i],
            key_head_dim=head_dim,
            value_head_dim=head_dim,
            fused_qkv=True,
            qk_norm="head" if qk_norm else "none",
        )
        size = _divisible(multiplier * hidden_size, divisor)
        mlp = FeedForward(intermediate_size=size, gated=gated, fused_gate=gated)
        layers.append(PlannedLayer(attention, mlp, norms))
    tied = fields.flag("share_input_output_layers", "tie_word_embeddings", default=True)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_context_length"),
    )


def _divisible(value: float, divisor: int) -> int:
    """The nearest multiple of the divisor, at least one of it and not more than a tenth below the value."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded

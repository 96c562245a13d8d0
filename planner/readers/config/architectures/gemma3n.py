"""Gemma 3n: per-layer embeddings, alternating updates over four streams, learned residuals, shared caches."""

from dataclasses import replace

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.weight import Weight, matrix, vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.gemma4 import per_layer_input, per_layer_tables
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    attention_kinds,
    group_layers,
    layer_count,
)
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("gemma3n_text",)


def gemma3n_network(fields: ConfigFields) -> Network:
    """The network of a Gemma 3n text config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    kinds, window = attention_kinds(fields, n_layers, "every_fifth_full")
    head_dim = fields.count("head_dim")
    bias = fields.flag("attention_bias")
    attention = Attention(
        n_heads=fields.count("num_attention_heads"),
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        qkv_bias=bias,
        output_bias=bias,
        qk_norm="head",
        stores_shared_kv=True,
    )
    n_shared = min(fields.maybe_count("num_kv_shared_layers") or 0, n_layers)
    streams = fields.count("altup_num_inputs")
    fields.unused("altup_active_idx", "altup_coef_clip", "altup_correct_scale")
    per_layer = fields.count("hidden_size_per_layer_input")
    extras = _layer_extras(hidden_size, streams, fields.count("laurel_rank"), per_layer)
    others = norm_vectors(hidden_size, 4) + extras
    layers = [
        PlannedLayer(
            replace(
                attention,
                window_tokens=None if kind == "full" else window,
                shares_kv=i >= n_layers - n_shared,
            ),
            FeedForward(intermediate_size=size),
            others,
        )
        for i, (kind, size) in enumerate(zip(kinds, _sizes(fields, n_layers), strict=True))
    ]
    tied = tie(fields, default=True)
    outer = embeddings(hidden_size, vocab_size, tied=tied)
    rows = fields.count("vocab_size_per_layer_input")
    outer += per_layer_tables(hidden_size, per_layer * n_layers, per_layer, rows)
    # What spreads the embedding over the streams, and gathers them again in front of the head.
    outer += tuple(
        Weight(role=role, shape=(hidden_size, hidden_size, streams - 1))
        for role in ("altup_proj", "altup_unembd_proj")
        if streams > 1
    )
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=outer,
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _layer_extras(hidden_size: int, streams: int, laurel_rank: int, per_layer: int) -> tuple[Weight, ...]:
    """AltUp's router and coefficients, the learned residual (LAuReL) and the per-layer input."""
    return (
        vector("altup_correct_scale", hidden_size),
        matrix("altup_correct_coef", streams, streams),
        matrix("altup_predict_coef", streams, streams**2),
        matrix("altup_router", hidden_size, streams),
        vector("altup_router_norm", hidden_size),
        matrix("laurel_l", hidden_size, laurel_rank),
        matrix("laurel_r", laurel_rank, hidden_size),
        vector("laurel_post_norm", hidden_size),
        *per_layer_input(hidden_size, per_layer),
    )


def _sizes(fields: ConfigFields, n_layers: int) -> tuple[int, ...]:
    """The MLP's width, one number or one for each layer."""
    if not isinstance(fields.raw("intermediate_size"), list):
        return (fields.count("intermediate_size"),) * n_layers
    sizes = fields.counts("intermediate_size") or ()
    if len(sizes) < n_layers:
        raise MalformedError(f"config.json: intermediate_size has {len(sizes)} of {n_layers} entries")
    return sizes[:n_layers]

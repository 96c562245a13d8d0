"""Gemma 4: two kinds of attention with their own head widths, per-layer inputs, experts beside a dense MLP."""

from dataclasses import replace

from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Block, Network, embeddings
from planner.model.weight import Use, Weight, matrix, vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    LayerKind,
    PlannedLayer,
    attention_kinds,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.architectures.per_layer import layer_overrides
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("gemma4_text", "gemma4_unified_text")
_FULL_HEAD_DIM = 512  # the reference code's default


def gemma4_network(fields: ConfigFields) -> Network:
    """The network of a Gemma 4 text config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    kinds, window = attention_kinds(fields, n_layers, "every_sixth_full")
    kinds = (*kinds[:-1], "full")  # whatever the list says
    n_shared = min(fields.maybe_count("num_kv_shared_layers") or 0, n_layers)
    mixers = _attention_by_layer(fields, kinds, window)
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    wide = FeedForward(intermediate_size=2 * dense.intermediate_size)
    doubled = fields.flag("use_double_wide_mlp")
    experts = mixture(fields, MixtureRules()) if fields.flag("enable_moe_block") else None
    fields.unused("num_experts", "top_k_experts", "moe_intermediate_size", "expert_intermediate_size")
    per_layer = fields.positive("hidden_size_per_layer_input")
    norms = (*norm_vectors(hidden_size, 4), vector("layer_output_scale", 1))
    if experts is not None:
        extra_norms = ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2", "ffn_gate_inp.scale")
        norms += tuple(vector(role, hidden_size) for role in extra_norms)
        norms += (vector("ffn_down_exps.scale", experts.n_experts),)
    if per_layer:
        norms += per_layer_input(hidden_size, per_layer)
    layers = []
    for i, mixer in enumerate(mixers):
        shares = i >= n_layers - n_shared
        mlp = wide if doubled and shares else dense
        block: Block = mlp if experts is None else replace(experts, residual=mlp)
        layers.append(PlannedLayer(replace(mixer, shares_kv=shares), block, norms))
    tied = tie(fields, default=True)
    outer = embeddings(hidden_size, vocab_size, tied=tied)
    table_rows = fields.positive("vocab_size_per_layer_input")
    if per_layer:
        outer += per_layer_tables(hidden_size, per_layer * n_layers, per_layer, table_rows or vocab_size)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=outer,
        # The published files hold the tied head once more, beside the embedding table.
        stored_copies=vocab_size * hidden_size if tied else 0,
        context_tokens=fields.positive("max_position_embeddings"),
    )


def per_layer_input(hidden_size: int, width: int) -> tuple[Weight, ...]:
    """What mixes a layer's own embedding of the token in: gate, projection and norm."""
    return (
        matrix("inp_gate", hidden_size, width),
        matrix("proj", width, hidden_size),
        vector("post_norm", hidden_size),
    )


def per_layer_tables(hidden_size: int, all_widths: int, width: int, rows: int) -> tuple[Weight, ...]:
    """The token table of every layer in one, the projection of the input into the same space, its norm."""
    return (
        Weight(role="per_layer_token_embd", shape=(all_widths, rows), use=Use.TABLE),
        matrix("per_layer_model_proj", hidden_size, all_widths),
        vector("per_layer_proj_norm", width),
    )


def _attention_by_layer(
    fields: ConfigFields, kinds: tuple[LayerKind, ...], window: int | None
) -> list[Attention]:
    """Full layers have wider heads, and fewer of them; newer files say so layer by layer.

    The value norm has no weights, so qk_norm counts all of them.
    """
    head_dim = fields.count("head_dim")
    n_kv_heads = fields.count("num_key_value_heads")
    one_matrix = fields.flag("attention_k_eq_v")
    full_dim = fields.positive("global_head_dim") or _FULL_HEAD_DIM
    full_kv_heads = fields.positive("num_global_key_value_heads")
    bias = fields.flag("attention_bias")
    sliding = Attention(
        n_heads=fields.count("num_attention_heads"),
        n_kv_heads=n_kv_heads,
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        window_tokens=window,
        qkv_bias=bias,
        output_bias=bias,
        qk_norm="head",
        stores_shared_kv=True,  # as llama.cpp's count for E4B, 7.52 B, shows
    )
    full = replace(
        sliding,
        n_kv_heads=(full_kv_heads if one_matrix else None) or n_kv_heads,
        key_head_dim=full_dim,
        value_head_dim=full_dim,
        window_tokens=None,
        value_is_key=one_matrix,
    )
    own = layer_overrides(fields, len(kinds), ("head_dim", "num_key_value_heads"))
    if own is None:
        return [full if kind == "full" else sliding for kind in kinds]
    return [
        replace(
            full if kind == "full" else sliding,
            n_kv_heads=values.get("num_key_value_heads", n_kv_heads),
            key_head_dim=values.get("head_dim", head_dim),
            value_head_dim=values.get("head_dim", head_dim),
        )
        for kind, values in zip(kinds, own, strict=True)
    ]

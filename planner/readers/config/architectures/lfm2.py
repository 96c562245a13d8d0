"""LFM2 and LFM3: short convolutions in most layers, attention in the rest, experts in some models."""

from dataclasses import replace

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Mixer, Network, embeddings
from planner.model.short_conv import ShortConvolution
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("lfm2", "lfm2_moe", "lfm3")


def lfm2_network(fields: ConfigFields) -> Network:
    """The network of an LFM2 config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size", "block_dim")
    vocab_size = fields.count("vocab_size")
    # These repeat the hidden size or the head counts, or only shape training.
    fields.unused("block_dim", "block_mlp_init_scale", "block_norm_eps", "block_out_init_scale", "conv_dim")
    fields.unused("block_use_swiglu", "block_use_xavier_init", "conv_dim_out", "conv_use_xavier_init")
    n_heads = fields.count("num_attention_heads", "num_heads")
    head_dim = fields.positive("head_dim") or hidden_size // n_heads
    if head_dim * n_heads != hidden_size and not fields.has("head_dim"):
        raise ValueError(f"a hidden size of {hidden_size} does not divide over {n_heads} heads")
    attention = Attention(
        n_heads=n_heads,
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        qkv_bias=fields.flag("attention_bias"),
        output_bias=fields.flag("attention_bias"),
        qk_norm="head",
        output_gate="head" if fields.flag("use_attention_gate") else "none",
    )
    convolution = ShortConvolution(
        width=hidden_size, conv_kernel=fields.count("conv_L_cache"), bias=fields.flag("conv_bias")
    )
    # The bias that corrects the router's choice is a buffer that hub totals leave out; it is not counted.
    experts = mixture(fields, MixtureRules())
    fields.unused("use_expert_bias")
    sparse = expert_layers(fields, n_layers) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=_dense_size(fields))
    norms = norm_vectors(hidden_size, 4 if fields.flag("use_sandwich_norm") else 2)
    mixers: dict[str, Mixer] = {"conv": convolution, "full": attention}
    window = fields.positive("sliding_window")
    if window is not None:
        mixers["sliding"] = replace(attention, window_tokens=window)
    layers = [
        PlannedLayer(mixers[kind], experts if sparse[i] else dense, norms)
        for i, kind in enumerate(_kinds(fields, n_layers, frozenset(mixers)))
    ]
    tied = tie(fields, default=True)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _kinds(fields: ConfigFields, n_layers: int, known: frozenset[str]) -> tuple[str, ...]:
    named = fields.words("layer_types")
    listed = fields.counts("full_attn_idxs")
    if named is not None:
        kinds = tuple(name.removesuffix("_attention") for name in named[:n_layers])
        if len(kinds) < n_layers or not set(kinds) <= known:
            raise MalformedError(
                "config.json: layer_types must say conv, full_attention or, where the config has a window, "
                "sliding_attention for every layer"
            )
        return kinds
    if fields.model_type == "lfm3":  # the reference code's default
        return tuple(
            "full" if i % 4 == 2 else "sliding" if i % 4 == 0 and i > 0 else "conv" for i in range(n_layers)
        )
    return tuple("full" if listed is None or i in listed else "conv" for i in range(n_layers))


def _dense_size(fields: ConfigFields) -> int:
    """The MLP's width: with auto-adjustment ⌊2/3 · I⌋ times a factor, rounded up to a multiple."""
    size = fields.count("intermediate_size", "block_ff_dim")
    fields.unused("block_ff_dim")
    multiple = fields.count("block_multiple_of", default=256)
    factor = fields.number("block_ffn_dim_multiplier")
    if not fields.flag("block_auto_adjust_ff_dim", default=fields.model_type == "lfm2"):
        return size
    size = int(2 * size / 3)
    if factor is not None:
        size = int(factor * size)
    return -(-size // multiple) * multiple

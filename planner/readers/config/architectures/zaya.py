"""ZAYA1: convolved attention, experts behind a deep router, scales and biases on every residual."""

from dataclasses import replace

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.convolved_attention import ConvolvedAttention
from planner.model.deep_router import DeepRouterExperts
from planner.model.network import Network, embeddings
from planner.model.weight import vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("zaya",)
_KINDS = {"hybrid": False, "hybrid_sliding": True}


def zaya_network(fields: ConfigFields) -> Network:
    """The network of a ZAYA config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    head_dim = fields.count("head_dim")
    bias = fields.flag("attention_bias")
    full = ConvolvedAttention(
        attention=Attention(
            n_heads=fields.count("num_attention_heads"),
            n_kv_heads=fields.count("num_key_value_heads"),
            key_head_dim=head_dim,
            value_head_dim=head_dim,
            qkv_bias=bias,
            output_bias=bias,
        ),
        depthwise_taps=fields.count("cca_time0"),
        grouped_taps=fields.count("cca_time1"),
    )
    experts = DeepRouterExperts(
        n_experts=fields.count("num_experts"),
        n_picked=fields.count("num_experts_per_tok"),
        intermediate_size=fields.count("moe_intermediate_size"),
        router_hidden_size=fields.count("router_hidden_size"),
        carries_router_state=True,
    )
    # A scale and a bias of the residual and of what is added to it, behind both halves of a layer.
    norms = (
        *norm_vectors(hidden_size, 2),
        vector("attn_residual", 4 * hidden_size),
        vector("ffn_residual", 4 * hidden_size),
    )
    layers = [
        PlannedLayer(
            replace(full, attention=replace(full.attention, window_tokens=window)),
            experts if i else replace(experts, carries_router_state=False),
            norms,
        )
        for i, window in enumerate(_windows(fields, n_layers))
    ]
    tied = tie(fields, default=True)
    head_bias = fields.flag("lm_head_bias")
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=(
            *embeddings(hidden_size, vocab_size, tied=tied, head_bias=head_bias),
            vector("token_embd_scale", hidden_size),
            vector("token_embd_scale.bias", hidden_size),
        ),
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _windows(fields: ConfigFields, n_layers: int) -> tuple[int | None, ...]:
    window = fields.positive("sliding_window")
    named = fields.words("layer_types") or ("hybrid",) * n_layers
    if len(named) < n_layers or not set(named) <= _KINDS.keys():
        raise MalformedError("config.json: layer_types must say hybrid or hybrid_sliding for every layer")
    if window is None and "hybrid_sliding" in named[:n_layers]:
        raise MalformedError("config.json of a zaya model lists windowed layers but no window")
    return tuple(window if _KINDS[kind] else None for kind in named[:n_layers])

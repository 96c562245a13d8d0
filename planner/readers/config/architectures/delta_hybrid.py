"""Qwen3-Next and Qwen3.5: gated DeltaNet in most layers, full attention with an output gate in the rest."""

from planner.errors import UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import extra_prediction, norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    LayerKind,
    PlannedLayer,
    attention_kinds,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text")


def delta_hybrid_network(fields: ConfigFields) -> Network:
    """The network of a Qwen3-Next-like config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    head_dim = fields.count("head_dim")
    if not fields.flag("attn_output_gate", default=True):
        raise UnknownArchitectureError(f"{fields.model_type}: attention without its output gate")
    fields.unused("output_gate_type")
    full = Attention(
        n_heads=fields.count("num_attention_heads"),
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        qkv_bias=fields.flag("attention_bias"),
        output_bias=fields.flag("attention_bias"),
        qk_norm="head",
        output_gate="in_query",
    )
    linear = GatedDeltaNet(
        n_key_heads=fields.count("linear_num_key_heads"),
        n_value_heads=fields.count("linear_num_value_heads"),
        key_head_dim=fields.count("linear_key_head_dim"),
        value_head_dim=fields.count("linear_value_head_dim"),
        conv_kernel=fields.count("linear_conv_kernel_dim"),
        split_beta_alpha=fields.model_type != "qwen3_next",
    )
    experts = mixture(fields, MixtureRules(shared_gate=True))
    sparse = expert_layers(fields, n_layers) if experts else (False,) * n_layers
    dense = None
    if experts is None or not all(sparse):
        dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    else:
        fields.unused("intermediate_size")  # of a dense layer, which no layer is
    norms = norm_vectors(hidden_size, 2)
    layers = [
        PlannedLayer(linear if kind == "linear" else full, experts if is_sparse else dense, norms)
        for kind, is_sparse in zip(_kinds(fields, n_layers), sparse, strict=True)
    ]
    tied = tie(fields, default=False)
    extra_layer = PlannedLayer(full, layers[-1].block, norms)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        mtp=extra_prediction(fields, "plain", extra_layer, hidden_size, vocab_size),
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _kinds(fields: ConfigFields, n_layers: int) -> tuple[LayerKind, ...]:
    interval = fields.positive("full_attention_interval") or 4
    if fields.has("layer_types"):
        return attention_kinds(fields, n_layers, "none")[0]
    return tuple("full" if (i + 1) % interval == 0 else "linear" for i in range(n_layers))

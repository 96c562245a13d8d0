"""Inkling: relative positions from a projection, short convolutions on four streams, experts with shared ones."""

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.parallel import ParallelMixers
from planner.model.stream_conv import StreamConvolutions
from planner.model.weight import Weight, matrix, vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("inkling_text", "inkling_model")
_KINDS = {"hybrid_sliding": True, "hybrid": False}
_NOTE = "extra prediction layers, which the config mentions, are not counted"


def inkling_network(fields: ConfigFields) -> Network:
    """The network of an Inkling text config; sliding layers have their own heads."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("number_of_conv_states", "chain_hidden_post_norm", "mtp_hidden_states_first")
    fields.unused("mtp_local_layer_ids", "rms_norm_eps_moe_gate", "unpadded_vocab_size")
    kernel = fields.count("conv_kernel_size", "sconv_kernel_size")
    rank = fields.count("d_rel")
    extent = fields.count("rel_extent")
    window = fields.count("sliding_window_size", "sliding_window")
    experts = mixture(fields, MixtureRules(correction_bias=True))
    dense = FeedForward(intermediate_size=fields.count("dense_intermediate_size", "intermediate_size"))
    n_dense = fields.maybe_count("dense_mlp_idx") or 0
    sparse = expert_layers(fields, n_layers, n_dense) if experts else (False,) * n_layers
    sinks: tuple[Weight, ...] = ()
    fields.unused("shared_expert_sink")
    if experts is not None and experts.shared is not None:
        # The router also scores the shared experts.
        n_shared = fields.count("n_shared_experts", default=2)
        sinks = (matrix("ffn_gate_inp_shexp", hidden_size, n_shared),)
    mixers = {}
    for slides in (True, False):
        prefix = "swa_" if slides else ""
        head_dim = fields.count(f"{prefix}head_dim")
        attention = Attention(
            n_heads=fields.count(f"{prefix}num_attention_heads"),
            n_kv_heads=fields.count(f"{prefix}num_key_value_heads"),
            key_head_dim=head_dim,
            value_head_dim=head_dim,
            window_tokens=window if slides else None,
            qk_norm="head",
        )
        widths = (
            ("attn_k", attention.k_elements_per_token),
            ("attn_v", attention.v_elements_per_token),
            ("attn_out", hidden_size),
            ("ffn_out", hidden_size),
        )
        convolutions = StreamConvolutions(streams=tuple((name, width, kernel, 1) for name, width in widths))
        # Position scores: a few channels a head, and a table of them by distance.
        relative = (
            matrix("attn_rel", hidden_size, attention.n_heads * rank),
            Weight(role="attn_rel_table", shape=(min(window, extent) if slides else extent, rank)),
        )
        mixers[slides] = ParallelMixers(attention=attention, recurrent=convolutions), relative
    norms = norm_vectors(hidden_size, 2)
    layers = []
    for slides, is_sparse in zip(_slides(fields, n_layers), sparse, strict=True):
        mixer, relative = mixers[slides]
        own = (vector("ffn_scale", 1), *(sinks if is_sparse else ()))
        layers.append(PlannedLayer(mixer, experts if is_sparse else dense, (*norms, *relative, *own)))
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=(*embeddings(hidden_size, vocab_size, tied=tied), vector("token_embd_norm", hidden_size)),
        context_tokens=fields.positive("max_position_embeddings", "model_max_length"),
        notes=(_NOTE,) if fields.few("num_mtp_layers") else (),
    )


def _slides(fields: ConfigFields, n_layers: int) -> tuple[bool, ...]:
    named = fields.words("layer_types")
    local = fields.counts("local_layer_ids")
    if named is None:
        if local is not None:
            return tuple(i in local for i in range(n_layers))
        return tuple((i + 1) % 6 > 0 for i in range(n_layers))
    if len(named) < n_layers or not set(named) <= _KINDS.keys():
        raise MalformedError("config.json: layer_types must say hybrid or hybrid_sliding for every layer")
    return tuple(_KINDS[kind] for kind in named[:n_layers])

"""Hunyuan V4: sparse latent attention with sinks and an output gate, experts, hyper-connections of its own."""

from dataclasses import replace

from planner.errors import MalformedError
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.weight import Weight, matrix, vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.latent_parts import latent_attention, owns_index, sparse_index
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("hy_v4",)
_INDEX_PERIOD = 4  # the first two layers own an index, then every fourth, when the config does not say


def hy_v4_network(fields: ConfigFields) -> Network:
    """The network of a Hunyuan V4 config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("learnable_sink_init", "swiglu_limit", "layer_types")
    indexer, top_k_tokens = sparse_index(fields)
    if indexer is None:
        raise MalformedError("config.json of a hy_v4 model has no index_n_heads")
    follower = replace(latent_attention(fields, output_gate=True), top_k_tokens=top_k_tokens)
    owner = replace(follower, indexer=indexer)
    owns = owns_index(fields, n_layers)
    if not fields.has("indexer_types"):
        owns = tuple(i == 0 or (i - 1) % _INDEX_PERIOD == 0 for i in range(n_layers))
    experts = mixture(fields, MixtureRules(correction_bias=True))
    sparse = expert_layers(fields, n_layers, 1) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    n_streams = fields.count("hc_mult")
    norms = (
        *norm_vectors(hidden_size, 2),
        vector("attn_sinks", follower.n_heads),
        *_mixing("attn", n_streams, hidden_size),
        *_mixing("ffn", n_streams, hidden_size),
    )
    layers = [
        PlannedLayer(owner if owns[i] else follower, experts if sparse[i] else dense, norms)
        for i in range(n_layers)
    ]
    tied = tie(fields, default=False)
    joined = (
        matrix("output_hc_fn", n_streams * hidden_size, n_streams),
        vector("output_hc_base", n_streams),
        vector("output_hc_scale", 1),
    )
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied) + joined,
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _mixing(half: str, n_streams: int, hidden_size: int) -> tuple[Weight, ...]:
    """A weight into and a weight out of each stream, without the matrix between streams that DeepSeek V4 has."""
    return (
        matrix(f"hc_{half}_fn", n_streams * hidden_size, 2 * n_streams),
        vector(f"hc_{half}_base", 2 * n_streams),
        vector(f"hc_{half}_scale", 2),
    )

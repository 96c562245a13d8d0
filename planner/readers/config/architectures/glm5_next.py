"""GLM-5.3-Flash (glm5_next): Kimi delta attention, sparse latent attention in every fourth layer, hyper-connections."""

from dataclasses import replace

from planner.errors import MalformedError
from planner.model.compressed import HyperConnections
from planner.model.feed_forward import FeedForward
from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.latent import LatentAttention
from planner.model.network import Network, embeddings
from planner.model.weight import Weight, matrix
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
from planner.readers.config.unread_fields import refuse_unread

MODEL_TYPES = ("glm5_next_text", "glm5_next")
_KINDS = {"linear_attention": False, "indexed_attention": True, "full_attention": True}
_DENSE_FIRST = 3  # when the config does not say


def glm5_next_network(fields: ConfigFields) -> Network:
    """The network of a GLM-5.3-Flash text config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    experts = mixture(fields, MixtureRules(correction_bias=True))
    sparse = expert_layers(fields, n_layers, _DENSE_FIRST) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    streams = HyperConnections(n_streams=fields.count("hc_mult"))
    norms = norm_vectors(hidden_size, 2) + streams.layer_weights(hidden_size)
    delta = _delta(fields)
    latent, pooled = _latent(fields, hidden_size)
    owns = owns_index(fields, n_layers)
    layers = []
    for i, attends in enumerate(_attends(fields, n_layers)):
        others = norms
        mixer: KimiDeltaAttention | LatentAttention = delta
        if attends:
            mixer = latent if owns[i] else replace(latent, indexer=None)
            others += pooled if owns[i] else ()
        layers.append(PlannedLayer(mixer, experts if sparse[i] else dense, others))
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


def _attends(fields: ConfigFields, n_layers: int) -> list[bool]:
    named = fields.words("layer_types")
    if named is None:
        return [i % 4 == 3 for i in range(n_layers)]
    if len(named) < n_layers or not set(named) <= _KINDS.keys():
        raise MalformedError("config.json: layer_types must say linear or indexed attention for every layer")
    return [_KINDS[kind] for kind in named[:n_layers]]


def _delta(fields: ConfigFields) -> KimiDeltaAttention:
    """Sizes stand in a section of the published files and beside the others in newer ones."""
    section = fields.section("linear_attn_config")
    if section is None:
        return KimiDeltaAttention(
            n_heads=fields.count("linear_num_heads"),
            head_dim=fields.count("linear_head_dim"),
            conv_kernel=fields.count("linear_conv_kernel_dim"),
        )
    delta = KimiDeltaAttention(
        n_heads=section.count("num_heads"),
        head_dim=section.count("head_dim"),
        conv_kernel=section.count("short_conv_kernel_size"),
    )
    section.unused("safe_gate", "full_attn_layers", "kda_layers")
    refuse_unread(section)
    return delta


def _latent(fields: ConfigFields, hidden_size: int) -> tuple[LatentAttention, tuple[Weight, ...]]:
    """Sparse latent attention, and what pools the index's keys: a gate and a position bias in the pool."""
    indexer, top_k_tokens = sparse_index(fields)
    if indexer is None:
        raise MalformedError(f"config.json of a {fields.label} model has no index_n_heads")
    latent = replace(latent_attention(fields), indexer=indexer, top_k_tokens=top_k_tokens)
    pool = fields.count("index_kpool", default=16)
    fields.unused("index_kpool_always_select_tail", "swiglu_limit")
    return latent, (
        matrix("indexer.pool_gate", hidden_size, indexer.head_dim),
        Weight(role="indexer.pool_ape", shape=(indexer.head_dim, pool)),
    )

"""Mistral Large 4: sparse latent attention, without positions in every fourth layer, caches shared between layers."""

from dataclasses import replace

from planner.errors import MalformedError
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.latent_shared import SharedLatentAttention
from planner.model.network import Network, embeddings
from planner.model.weight import vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.latent_parts import (
    latent_attention,
    latent_biases,
    owns_index,
    sparse_index,
)
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("mistral_large4_text",)


def mistral_large4_network(fields: ConfigFields) -> Network:
    """The network of a Mistral Large 4 text config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("layer_types")
    experts = mixture(fields, MixtureRules())
    sparse = expert_layers(fields, n_layers) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    norms = norm_vectors(hidden_size, 2) + latent_biases(fields, hidden_size)
    layers = [
        PlannedLayer(mixer, experts if is_sparse else dense, norms)
        for mixer, is_sparse in zip(_attention_by_layer(fields, n_layers), sparse, strict=True)
    ]
    tied = tie(fields, default=False)
    # The learned exponents of its rotary embedding, one for each pair of channels.
    rotary = vector("rope_alpha", max(fields.count("qk_rope_head_dim") // 2, 1))
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=(*embeddings(hidden_size, vocab_size, tied=tied), rotary),
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _attention_by_layer(fields: ConfigFields, n_layers: int) -> list[SharedLatentAttention]:
    indexer, top_k_tokens = sparse_index(fields)
    if indexer is None:
        raise MalformedError(f"config.json of a {fields.label} model has no index_n_heads")
    rotary = fields.counts("no_rope_layers")
    period = fields.count("no_rope_layer_interval", default=4)
    sources = fields.counts("kv_source_layers") or tuple(range(n_layers))
    if rotary is None:
        rotary = tuple(int((i + 1) % period > 0) for i in range(n_layers))
    if min(len(rotary), len(sources)) < n_layers:
        raise MalformedError("config.json: no_rope_layers and kv_source_layers must name every layer")
    plain = latent_attention(fields)
    width = plain.qk_nope_head_dim + plain.qk_rope_head_dim
    owns = owns_index(fields, n_layers)
    found = []
    for i in range(n_layers):
        base = plain if rotary[i] else replace(plain, qk_nope_head_dim=width, qk_rope_head_dim=0)
        found.append(_shared(base, owns_cache=sources[i] == i))
        found[-1] = replace(found[-1], top_k_tokens=top_k_tokens, indexer=indexer if owns[i] else None)
    return found


def _shared(base: LatentAttention, *, owns_cache: bool) -> SharedLatentAttention:
    return SharedLatentAttention(
        n_heads=base.n_heads,
        q_lora_rank=base.q_lora_rank,
        kv_lora_rank=base.kv_lora_rank,
        qk_nope_head_dim=base.qk_nope_head_dim,
        qk_rope_head_dim=base.qk_rope_head_dim,
        v_head_dim=base.v_head_dim,
        owns_cache=owns_cache,
    )

"""dots3: gated latent attention, with a sparse index in some layers and a window and other sizes in the rest, experts."""

from dataclasses import asdict, replace

from planner.errors import MalformedError
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.network import Network, embeddings
from planner.model.weight import matrix, vector
from planner.model.windowed_latent import WindowedLatentAttention
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.latent_parts import latent_attention, sparse_index
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.architectures.per_layer import layer_overrides
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("dots3_note_text", "dots3_note")
_KINDS = {"sliding_attention": True, "indexed_attention": False, "full_attention": False}
# Sizes of the windowed layers when the config does not say.
_WINDOWED = {
    "num_attention_heads": 64,
    "num_key_value_heads": 64,
    "q_lora_rank": 1024,
    "kv_lora_rank": 1024,
    "head_dim": 256,
    "qk_nope_head_dim": 192,
    "v_head_dim": 128,
}


def dots3_network(fields: ConfigFields) -> Network:
    """The network of a dots3 text config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("k_rope_only_layernorm", "attention_gate_type", "swa_attention_gate_type", "normalization")
    fields.unused("final_norm", "apply_mla_qkv_lora_rescale", "use_dynamic_rsf", "moe_gating_fp32")
    experts = mixture(fields, MixtureRules(correction_bias=True))
    sparse = expert_layers(fields, n_layers, 1) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    layers = []
    for i, mixer in enumerate(_attention_by_layer(fields, n_layers)):
        norms = (
            *norm_vectors(hidden_size, 2),
            vector("attn_k_rope_norm", mixer.qk_rope_head_dim),
            matrix("attn_gate", hidden_size, mixer.n_heads),  # one gate a head
        )
        layers.append(PlannedLayer(mixer, experts if sparse[i] else dense, norms))
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


def _attention_by_layer(fields: ConfigFields, n_layers: int) -> list[LatentAttention]:
    named = fields.words("layer_types")
    slides = fields.flag("use_sliding_window", default=True)
    if named is None:
        windowed = [slides and i >= 2 and i % 4 != 1 for i in range(n_layers)]
    elif len(named) < n_layers or not set(named) <= _KINDS.keys():
        raise MalformedError("config.json: layer_types must say sliding or indexed attention for every layer")
    else:
        windowed = [_KINDS[kind] for kind in named[:n_layers]]
    indexer, top_k_tokens = sparse_index(fields)
    names = (*_WINDOWED, "qk_rope_head_dim")
    shared = {name: fields.count(f"swa_{name}", default=default) for name, default in _WINDOWED.items()}
    shared["qk_rope_head_dim"] = fields.count(
        "swa_qk_rope_head_dim", default=shared["head_dim"] - shared["qk_nope_head_dim"]
    )
    own = layer_overrides(fields, n_layers, names)
    uses_index = fields.flag("use_dsa", default=True)
    window = fields.count("sliding_window", "sliding_window_size", default=512)
    found: list[LatentAttention] = []
    for i, is_windowed in enumerate(windowed):
        sizes = own[i] if own is not None else shared if is_windowed else {}
        mixer = latent_attention(fields, own=sizes)
        if is_windowed:
            mixer = WindowedLatentAttention(**asdict(mixer), window=window)
        elif indexer is not None and uses_index:
            mixer = replace(mixer, indexer=indexer, top_k_tokens=top_k_tokens)
        found.append(mixer)
    return found

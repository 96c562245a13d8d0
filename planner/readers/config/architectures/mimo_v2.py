"""MiMo-V2: sliding-window layers with their own heads and sinks, full ones without, keys wider than values."""

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
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

MODEL_TYPES = ("mimo_v2_flash",)
_RELEASED_EXTRA_LAYERS = 3
_NOTE = "the config does not say how many extra prediction layers there are; counted with the release's 3"


def mimo_v2_network(fields: ConfigFields) -> Network:
    """The network of a MiMo-V2-Flash config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    window = fields.count("sliding_window", "sliding_window_size")
    fields.unused("attention_chunk_size")  # repeats the window
    windowed = _windowed(fields, n_layers)
    full = _attention(fields, "", None, fields.flag("add_full_attention_sink_bias"))
    sliding = _attention(fields, "swa_", window, fields.flag("add_swa_attention_sink_bias", default=True))
    experts = mixture(fields, MixtureRules(correction_bias=True))
    sparse = expert_layers(fields, n_layers, default_dense=1) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    norms = norm_vectors(hidden_size, 2)
    layers = [
        PlannedLayer(sliding if is_windowed else full, experts if is_sparse else dense, norms)
        for is_windowed, is_sparse in zip(windowed, sparse, strict=True)
    ]
    n_extra = _RELEASED_EXTRA_LAYERS
    known = fields.has("num_nextn_predict_layers")
    if known:
        n_extra = fields.few("num_nextn_predict_layers")
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        mtp=_extra_layer(sliding, dense, norms, hidden_size) * n_extra,
        context_tokens=fields.positive("max_position_embeddings"),
        notes=() if known else (_NOTE,),
    )


def _windowed(fields: ConfigFields, n_layers: int) -> tuple[bool, ...]:
    listed = fields.counts("hybrid_layer_pattern")
    named = fields.words("layer_types")
    if listed is None and named is not None:
        listed = tuple(int(kind == "sliding_attention") for kind in named)
    if listed is None:
        return tuple(i > 0 and (i + 1) % 6 > 0 for i in range(n_layers))  # the reference code's default
    if len(listed) < n_layers:
        raise MalformedError(
            f"config.json: hybrid_layer_pattern has {len(listed)} entries for {n_layers} layers"
        )
    return tuple(bool(kind) for kind in listed[:n_layers])


def _attention(fields: ConfigFields, prefix: str, window: int | None, sinks: bool) -> Attention:
    bias = fields.flag("attention_bias")
    # Without fields of their own, sliding layers have twice the KV heads of the full ones.
    n_kv_heads = fields.count("num_key_value_heads")
    return Attention(
        n_heads=fields.count(f"{prefix}num_attention_heads", "num_attention_heads"),
        n_kv_heads=fields.count(f"{prefix}num_key_value_heads", default=2 * n_kv_heads if prefix else None),
        key_head_dim=fields.count(f"{prefix}head_dim", "head_dim"),
        value_head_dim=fields.count(f"{prefix}v_head_dim", "v_head_dim"),
        window_tokens=window,
        qkv_bias=bias,
        sinks=sinks,
    )


def _extra_layer(
    sliding: Attention, dense: FeedForward, norms: tuple[Weight, ...], hidden_size: int
) -> tuple[Weight, ...]:
    """One extra prediction layer: a dense sliding-window layer, a 2H → H projection and three norms."""
    return (
        *sliding.weights(hidden_size),
        *dense.weights(hidden_size),
        *norms,
        matrix("nextn.eh_proj", 2 * hidden_size, hidden_size),
        *(vector(role, hidden_size) for role in ("nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")),
    )

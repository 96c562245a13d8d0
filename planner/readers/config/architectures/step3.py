"""Step-3.5: sliding-window layers with more heads than full ones, a gate per head, experts after a few layers."""

from dataclasses import replace

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.weight import Weight, matrix, vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    attention_kinds,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("step3p5",)


def step3_network(fields: ConfigFields) -> Network:
    """The network of a Step-3.5 config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    if not fields.has("layer_types"):
        raise MalformedError("config.json of a step3p5 model has no layer_types")
    kinds, window = attention_kinds(fields, n_layers, "none")
    full, sliding = _attention(fields, window)
    fields.unused("use_moe", "norm_expert_weight", "moe_router_activation", "moe_router_scaling_factor")
    experts = mixture(fields, MixtureRules(correction_bias="use_moe_router_bias=true"))
    sparse = _expert_layers(fields, n_layers) if experts else set()
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    norms = norm_vectors(hidden_size, 2)
    layers = [
        PlannedLayer(full if kind == "full" else sliding, experts if i in sparse else dense, norms)
        for i, kind in enumerate(kinds)
    ]
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        mtp=_extra(PlannedLayer(sliding, dense, norms), hidden_size, vocab_size)
        * fields.few("num_nextn_predict_layers"),
        context_tokens=fields.positive("max_position_embeddings", "max_seq_len"),
    )


def _attention(fields: ConfigFields, window: int | None) -> tuple[Attention, Attention]:
    head_dim = fields.count("head_dim")
    full = Attention(
        n_heads=fields.count("num_attention_heads"),
        n_kv_heads=fields.count("num_attention_groups"),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        qk_norm="head",
        output_gate="head",
    )
    other = fields.section("attention_other_setting")
    if other is None:
        return full, replace(full, window_tokens=window)
    other_dim = other.count("head_dim", default=head_dim)
    sliding = replace(
        full,
        n_heads=other.count("num_attention_heads"),
        n_kv_heads=other.count("num_attention_groups"),
        key_head_dim=other_dim,
        value_head_dim=other_dim,
        window_tokens=window,
    )
    return full, sliding


def _expert_layers(fields: ConfigFields, n_layers: int) -> set[int]:
    """The layers that `moe_layers_enum` names, a text such as "3,4,5"; all but the first without it."""
    listed = fields.text("moe_layers_enum")
    if listed is None:
        return set(range(1, n_layers))
    entries = listed[:100_000].split(",")
    if not all(entry.strip().isdecimal() and len(entry) < 8 for entry in entries):
        raise MalformedError("config.json: moe_layers_enum is not a list of layer numbers such as 3,4,5")
    return {int(entry) for entry in entries}


def _extra(layer: PlannedLayer, hidden_size: int, vocab_size: int) -> tuple[Weight, ...]:
    """One extra prediction layer: a dense sliding-window layer with a projection, norms and its own head."""
    found: list[Weight] = []
    for part in (layer.mixer, layer.block):
        if part is not None:
            found += part.weights(hidden_size)
    found += layer.norms
    found.append(matrix("nextn.eh_proj", 2 * hidden_size, hidden_size))
    found += [vector(role, hidden_size) for role in ("nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")]
    found.append(matrix("nextn.shared_head_head", hidden_size, vocab_size))
    return tuple(found)

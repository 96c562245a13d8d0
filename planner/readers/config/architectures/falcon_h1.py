"""Falcon-H1: attention and Mamba-2 side by side in every layer."""

from dataclasses import replace

from planner.errors import UnknownArchitectureError
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.parallel import ParallelMixers
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.architectures.mamba_hybrid import attention_of, mamba2_of
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("falcon_h1",)


def falcon_h1_network(fields: ConfigFields) -> Network:
    """The network of a Falcon-H1 config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    if fields.flag("projectors_bias"):
        raise UnknownArchitectureError("falcon_h1: biases of the projectors are not understood yet")
    if not fields.flag("mamba_use_mlp", default=True):
        raise UnknownArchitectureError("falcon_h1: layers without an MLP are not understood yet")
    fields.unused("mamba_norm_before_gate")  # an order, not a weight
    mamba = replace(mamba2_of(fields, hidden_size), norm=fields.flag("mamba_rms_norm"))
    layer = PlannedLayer(
        ParallelMixers(attention=attention_of(fields, hidden_size), recurrent=mamba),
        FeedForward(intermediate_size=fields.count("intermediate_size"), bias=fields.flag("mlp_bias")),
        norm_vectors(hidden_size, 2),
    )
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers([layer] * n_layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
    )

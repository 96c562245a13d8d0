"""Grok-1 and Grok-2: experts in every layer, four norms, and in Grok-2 a dense MLP beside the experts."""

from dataclasses import replace

from planner.errors import MissingFactError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

# The published config.json of Grok-2 calls itself "git", which is also the name of a captioning model.
MODEL_TYPES = ("grok-1", "grok-2", "grok", "git")


def grok_network(fields: ConfigFields) -> Network:
    """The network of a Grok config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    head_dim = fields.positive("head_dim") or hidden_size // fields.count("num_attention_heads")
    attention = Attention(
        n_heads=fields.count("num_attention_heads"),
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
    )
    # Grok-2 writes a window of −1 for none, and full attention in every layer.
    fields.unused("sliding_window_size", "global_attn_every_n", "router_logit_softcapping")
    experts = mixture(fields, MixtureRules())
    if experts is None:
        raise MissingFactError(f"config.json of a {fields.label} model has no 'num_experts'; add the field")
    if fields.flag("residual_moe"):
        experts = replace(experts, residual=FeedForward(intermediate_size=fields.count("intermediate_size")))
    layer = PlannedLayer(attention, experts, norm_vectors(hidden_size, 4))
    tied = tie(fields, default=not fields.flag("residual_moe"))
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers([layer] * n_layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
    )

"""JetMoE: experts in the attention and in the MLP of every layer."""

from planner.errors import MissingFactError
from planner.model.attention_experts import AttentionExperts
from planner.model.network import Network, embeddings
from planner.model.weight import vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("jetmoe",)


def jetmoe_network(fields: ConfigFields) -> Network:
    """The network of a JetMoE config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    experts = mixture(fields, MixtureRules())
    if experts is None:
        raise MissingFactError("config.json of a jetmoe model has no 'num_local_experts'; add the field")
    fields.unused("num_attention_heads")  # the key-value heads times the picked experts
    attention = AttentionExperts(
        n_experts=experts.n_experts,
        n_active=experts.n_active,
        n_kv_heads=fields.count("num_key_value_heads"),
        head_dim=fields.count("kv_channels"),
    )
    norms = (*norm_vectors(hidden_size, 2), vector("ffn_down.bias", hidden_size))
    tied = tie(fields, default=True)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers([PlannedLayer(attention, experts, norms)] * n_layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
    )

"""RWKV-4: time mix and channel mix in every layer, LayerNorms with biases, one more in front of the first."""

from planner.model.network import Network, embeddings
from planner.model.rwkv4 import Rwkv4ChannelMix, Rwkv4TimeMix
from planner.model.weight import vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("rwkv",)


def rwkv4_network(fields: ConfigFields) -> Network:
    """The network of an RWKV-4 config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("rescale_every")
    mix = Rwkv4TimeMix(
        hidden_size=hidden_size, width=fields.count("attention_hidden_size", default=hidden_size)
    )
    channel = Rwkv4ChannelMix(intermediate_size=fields.count("intermediate_size", default=4 * hidden_size))
    norms = norm_vectors(hidden_size, 2, bias=True)
    before = (vector("token_embd_norm", hidden_size), vector("token_embd_norm.bias", hidden_size))
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers([PlannedLayer(mix, channel, norms)] * n_layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied, norm_bias=True) + before,
        context_tokens=fields.positive("context_length"),
    )

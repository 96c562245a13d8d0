"""RWKV-7 "Goose": time mix and channel mix in every layer, LayerNorms with biases."""

from planner.model.network import Network, embeddings
from planner.model.rwkv7 import Rwkv7ChannelMix, Rwkv7TimeMix
from planner.model.weight import vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("rwkv7",)


def rwkv7_network(fields: ConfigFields) -> Network:
    """The network of an RWKV-7 config in the format of flash-linear-attention."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("hidden_ratio", "num_heads", "fuse_norm", "attn_mode", "value_dim", "norm_first")
    bias = fields.flag("norm_bias", default=True)
    channel = Rwkv7ChannelMix(intermediate_size=fields.count("intermediate_size", default=4 * hidden_size))

    def time_mix(value_rank: int | None) -> Rwkv7TimeMix:
        return Rwkv7TimeMix(
            width=hidden_size,
            head_dim=fields.count("head_dim", default=64),
            decay_rank=fields.count("decay_low_rank_dim"),
            learning_rate_rank=fields.count("a_low_rank_dim"),
            value_rank=value_rank,
            gate_rank=fields.count("gate_low_rank_dim"),
        )

    norms = norm_vectors(hidden_size, 2, bias=bias)
    # The first layer also normalises the embeddings.
    first = (*norms, vector("token_embd_norm", hidden_size), vector("token_embd_norm.bias", hidden_size))
    value_rank = fields.count("v_low_rank_dim")
    layers = [PlannedLayer(time_mix(None), channel, first)]
    layers += [PlannedLayer(time_mix(value_rank), channel, norms)] * (n_layers - 1)
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied, norm_bias=bias),
        context_tokens=fields.positive("max_position_embeddings"),
    )

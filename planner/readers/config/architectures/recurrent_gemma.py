"""RecurrentGemma (Griffin): two recurrent layers for every layer of local attention."""

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.gated_lru import GatedLinearRecurrence
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("recurrent_gemma",)


def recurrent_gemma_network(fields: ConfigFields) -> Network:
    """The network of a RecurrentGemma config; its intermediate_size counts gate and up together."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    n_heads = fields.count("num_attention_heads")
    head_dim = fields.positive("head_dim") or hidden_size // n_heads
    bias = fields.flag("attention_bias")
    fields.unused("w_init_variance_scale", "final_w_init_variance_scale", "block_types")
    attention = Attention(
        n_heads=n_heads,
        n_kv_heads=fields.count("num_key_value_heads", default=n_heads),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        window_tokens=fields.count("attention_window_size"),
        qkv_bias=bias,
        output_bias=True,
    )
    recurrence = GatedLinearRecurrence(
        width=fields.count("lru_width", default=hidden_size),
        n_blocks=n_heads,
        conv_kernel=fields.count("conv1d_width"),
    )
    mlp = FeedForward(intermediate_size=fields.count("intermediate_size") // 2, bias=True)
    kinds = fields.words("block_types", "_block_types") or ("recurrent", "recurrent", "attention")
    if not set(kinds) <= {"recurrent", "attention"}:
        raise MalformedError("config.json: block_types must say recurrent or attention")
    norms = norm_vectors(hidden_size, 2)
    layers = [
        PlannedLayer(attention if kinds[i % len(kinds)] == "attention" else recurrence, mlp, norms)
        for i in range(n_layers)
    ]
    tied = tie(fields, default=True)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
    )

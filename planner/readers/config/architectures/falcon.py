"""Falcon 7B, 40B and 180B: parallel attention and MLP, one or a few key-value heads, plain MLP."""

from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("falcon", "RefinedWeb", "RefinedWebModel")  # the last two in the first releases


def falcon_network(fields: ConfigFields) -> Network:
    """The network of a Falcon config; the first 7B and 1B models share one norm between both halves."""
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    n_layers = layer_count(fields)
    n_heads = fields.count("num_attention_heads", "n_head")
    if hidden_size % n_heads:
        raise ValueError(f"a hidden size of {hidden_size} does not divide over {n_heads} heads")
    bias = fields.flag("bias")
    new = fields.flag("new_decoder_architecture", default=fields.model_type == "RefinedWeb")
    one_kv_head = fields.flag("multi_query", default=True) and not new
    n_kv_heads = fields.count("num_kv_heads", "n_head_kv", default=n_heads)
    parallel = fields.flag("parallel_attn", default=True)
    # Two norms side by side in a parallel layer, or one in front of each half of a sequential one.
    n_norms = 2 if (fields.positive("num_ln_in_parallel_attn") or (2 if new else 1)) == 2 else 1
    n_norms += 0 if parallel else 1
    layer = PlannedLayer(
        Attention(
            n_heads=n_heads,
            n_kv_heads=1 if one_kv_head else n_kv_heads if new else n_heads,
            key_head_dim=hidden_size // n_heads,
            value_head_dim=hidden_size // n_heads,
            qkv_bias=bias,
            output_bias=bias,
            fused_qkv=True,
        ),
        FeedForward(
            intermediate_size=fields.count("ffn_hidden_size", default=4 * hidden_size), gated=False, bias=bias
        ),
        norm_vectors(hidden_size, n_norms, bias=True),
    )
    tied = tie(fields, default=True)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers([layer] * n_layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied, norm_bias=True),
        # Falcon-7B's files hold the tied head once more; the newer decoders' do not.
        stored_copies=vocab_size * hidden_size if tied and one_kv_head else 0,
        context_tokens=fields.positive("max_position_embeddings"),
    )

"""Qwen4-Exp: gated DeltaNet and indexed attention, low-rank hyper-connections, hashed n-gram embeddings, experts."""

from itertools import islice

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.indexed_attention import IndexedAttention, with_index
from planner.model.network import Mixer, Network, embeddings
from planner.model.parallel import ParallelMixers
from planner.model.stream_conv import StreamConvolutions
from planner.model.weight import Use, Weight, matrix, vector
from planner.readers.config.architectures.decoder import tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.architectures.primes import primes_from
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("qwen4_exp_text",)
_ATTENDS = {"linear_attention": False, "indexed_attention": True, "full_attention": True}
_MOST_TABLES = 1024  # hashed tables in all; more are no model
_LARGEST_TABLE = 2**32


def qwen4_exp_network(fields: ConfigFields) -> Network:
    """The network of a Qwen4-Exp text config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("output_gate_type", "seed", "split_ngram_parts", "number_of_conv_states")
    attention = _attention(fields)
    linear = GatedDeltaNet(
        n_key_heads=fields.count("linear_num_key_heads"),
        n_value_heads=fields.count("linear_num_value_heads"),
        key_head_dim=fields.count("linear_key_head_dim"),
        value_head_dim=fields.count("linear_value_head_dim"),
        conv_kernel=fields.count("linear_conv_kernel_dim"),
        split_beta_alpha=True,
    )
    experts = mixture(fields, MixtureRules(shared_gate=True))
    if experts is None:
        raise MalformedError("config.json of a qwen4_exp model has no num_experts")
    n_streams = fields.count("hc_count")
    rank = fields.count("hc_lowrank")
    mixing = _mixing("attn", n_streams * hidden_size, rank, n_streams)
    mixing += _mixing("ffn", n_streams * hidden_size, rank, n_streams)
    tables = _ngram_tables(fields)
    width = fields.positive("ple_embed_dim") or hidden_size
    injected = _injection(n_streams * hidden_size, hidden_size, width)
    convolution = StreamConvolutions(
        streams=(
            (
                "ple",
                n_streams * hidden_size,
                fields.count("ple_conv_kernel_size", default=4),
                fields.count("ngram_size", default=3),
            ),
        )
    )
    layers = []
    for i, attends in enumerate(_attends(fields, n_layers)):
        mixer: Mixer = attention if attends else linear
        others = mixing
        if i in tables:
            mixer = ParallelMixers(attention=mixer, recurrent=convolution)
            others += (*injected, tables[i])
        layers.append(PlannedLayer(mixer, experts, others))
    tied = tie(fields, default=False)
    last = _mixing("output", n_streams * hidden_size, rank, None)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied, final_norm=False) + last,
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _attends(fields: ConfigFields, n_layers: int) -> tuple[bool, ...]:
    named = fields.words("layer_types")
    if named is None:
        period = fields.count("full_attention_interval", default=4)
        return tuple((i + 1) % period == 0 for i in range(n_layers))
    if len(named) < n_layers or not set(named) <= _ATTENDS.keys():
        raise MalformedError("config.json: layer_types must say linear or indexed attention for every layer")
    return tuple(_ATTENDS[kind] for kind in named[:n_layers])


def _attention(fields: ConfigFields) -> IndexedAttention:
    """Attention with an output gate; its index averages the keys of a few tokens and picks blocks of them."""
    head_dim = fields.count("head_dim")
    bias = fields.flag("attention_bias")
    full = Attention(
        n_heads=fields.count("num_attention_heads"),
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        qkv_bias=bias,
        output_bias=bias,
        qk_norm="head",
        output_gate="in_query",
    )
    if fields.count("indexer_kv_heads", default=1) != 1:
        raise MalformedError("config.json: indexer_kv_heads must be 1")
    fields.unused("indexer_compress_ratio")
    return with_index(
        full,
        n_index_heads=fields.count("indexer_n_heads"),
        index_head_dim=fields.count("indexer_head_dim"),
        top_k_tokens=fields.count("indexer_budget"),
    )


def _mixing(half: str, width: int, rank: int, n_streams: int | None) -> tuple[Weight, ...]:
    """Streams normed and mixed through a low rank, and what writes back into each, which the last mix lacks."""
    found = (
        vector(f"hc_{half}_norm", width),
        matrix(f"hc_{half}_down", width, rank),
        matrix(f"hc_{half}_up", rank, width),
    )
    return found if n_streams is None else (*found, matrix(f"hc_{half}_inject", width, n_streams))


def _injection(streams_width: int, hidden_size: int, width: int) -> tuple[Weight, ...]:
    """Keys for every stream and one value from a token's n-gram embedding, and three norms."""
    return (
        matrix("ple_key", width, streams_width),
        matrix("ple_value", width, hidden_size),
        *(vector(f"ple_norm_{name}", streams_width) for name in ("key", "query", "conv")),
    )


def _ngram_tables(fields: ConfigFields) -> dict[int, Weight]:
    """The hashed n-gram table of each layer that has one.

    Every head of every such layer hashes into a table of its own prime size, the primes from
    `ngram_vocab_size_base` on in order; a layer's tables are stored as one, padded.
    """
    listed = sorted(set(fields.counts("ple_layer_ids") or ()))
    n_heads = (fields.count("ngram_size", default=3) - 1) * fields.count("heads_per_ngram", default=8)
    base = fields.count("ngram_vocab_size_base", default=20_000_000)
    divisor = fields.count("make_ngram_vocab_size_divisible_by", default=128)
    width = fields.positive("ple_embed_dim") or fields.count("hidden_size")
    if not listed:
        return {}
    if not 0 < n_heads * len(listed) <= _MOST_TABLES or base > _LARGEST_TABLE:
        raise MalformedError(
            f"config.json says {n_heads * len(listed):,} n-gram tables of {base:,} rows; expected at most "
            f"{_MOST_TABLES:,} of {_LARGEST_TABLE:,}"
        )
    primes = primes_from(base)
    found = {}
    for layer in listed:
        rows = sum(islice(primes, n_heads))
        padded = -(-rows // divisor) * divisor
        found[layer] = Weight(role="ple_ngram_embd", shape=(width // n_heads, padded), use=Use.TABLE)
    return found

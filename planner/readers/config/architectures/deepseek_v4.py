"""DeepSeek V4: compressed attention, hyper-connections, and experts that the first layers pick by token."""

from dataclasses import replace

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.compressed import CompressedAttention, Compressor, HyperConnections
from planner.model.latent import Indexer
from planner.model.network import Network, embeddings
from planner.model.weight import Use, Weight, matrix, vector
from planner.quoting import quoted
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("deepseek_v4", "deepseek_ref")  # "deepseek_ref" is V4 in the publisher's own format
_RATIOS = {"sliding_attention": 0, "compressed_sparse_attention": 4, "heavily_compressed_attention": 128}
_INDEXED_RATIO = 4  # layers of this ratio overlap their blocks and carry an indexer


def deepseek_v4_network(fields: ConfigFields) -> Network:
    """The network of a DeepSeek V4 config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("num_key_value_heads", "qk_rope_head_dim", "expert_dtype")
    n_extra = fields.few("num_nextn_predict_layers")
    ratios = _ratios(fields, n_layers, n_extra)
    if len(ratios) < n_layers + n_extra:
        raise MalformedError(
            f"config.json: compress_ratios has {len(ratios)} entries for {n_layers} + {n_extra} layers"
        )
    learned = mixture(fields, MixtureRules(correction_bias=True))
    if learned is None:
        raise MalformedError(f"config.json of a {fields.model_type} model has no n_routed_experts")
    hashed = replace(learned, correction_bias=False)
    streams = HyperConnections(n_streams=fields.count("hc_mult"))
    norms = norm_vectors(hidden_size, 2) + streams.layer_weights(hidden_size)
    table = Weight(role="ffn_gate_tid2eid", shape=(learned.n_active, vocab_size), use=Use.TABLE)
    by_token = _by_token(fields, n_layers)
    layers = [
        PlannedLayer(
            _attention(fields, ratios[i]),
            hashed if by_token[i] else learned,
            (*norms, table) if by_token[i] else norms,
        )
        for i in range(n_layers)
    ]
    extra: list[Weight] = []
    for ratio in ratios[n_layers : n_layers + n_extra]:
        extra += (*_attention(fields, ratio).weights(hidden_size), *learned.weights(hidden_size), *norms)
        extra += streams.head_weights(hidden_size)
        extra.append(matrix("nextn.eh_proj", 2 * hidden_size, hidden_size))
        extra += [
            vector(role, hidden_size) for role in ("nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm")
        ]
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied) + streams.head_weights(hidden_size),
        mtp=tuple(extra),
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _ratios(fields: ConfigFields, n_layers: int, n_extra: int) -> tuple[int, ...]:
    """Tokens behind one summary, by layer: listed, or by the names that transformers gives the kinds."""
    listed = fields.counts("compress_ratios")
    named = fields.words("layer_types")
    rates = fields.section("compress_rates")
    if listed is not None:
        return listed
    if named is None:
        heavy, sparse = "heavily_compressed_attention", "compressed_sparse_attention"
        named = tuple(heavy if i < 2 or i % 2 == 0 else sparse for i in range(n_layers))
    by_name = dict(_RATIOS)
    if rates is not None:
        by_name |= {name: rates.count(name, default=ratio) for name, ratio in _RATIOS.items() if ratio}
    unknown = set(named) - by_name.keys()
    if unknown:
        raise UnknownArchitectureError(
            f"{fields.model_type}: layer kind {quoted(min(unknown))} is not understood yet"
        )
    # The list of kinds ends with the last decoder layer; extra prediction layers see a window only.
    return tuple(by_name[name] for name in named[:n_layers]) + (0,) * n_extra


def _by_token(fields: ConfigFields, n_layers: int) -> tuple[bool, ...]:
    """Whether a layer picks experts by a table of tokens instead of a router."""
    n_hashed = fields.maybe_count("num_hash_layers")
    kinds = fields.words("mlp_layer_types")
    if kinds is not None and len(kinds) >= n_layers:
        return tuple(kind == "hash_moe" for kind in kinds[:n_layers])
    if n_hashed is None:
        n_hashed = 3 if fields.model_type == "deepseek_v4" else 0  # the reference code's default
    return tuple(i < n_hashed for i in range(n_layers))


def _attention(fields: ConfigFields, ratio: int) -> CompressedAttention:
    head_dim = fields.count("head_dim")
    indexed = ratio == _INDEXED_RATIO
    indexer = Indexer(
        n_heads=fields.count("index_n_heads"),
        head_dim=fields.count("index_head_dim"),
    )
    top_k = fields.count("index_topk")
    return CompressedAttention(
        n_heads=fields.count("num_attention_heads"),
        head_dim=head_dim,
        q_lora_rank=fields.count("q_lora_rank"),
        o_lora_rank=fields.count("o_lora_rank"),
        o_groups=fields.count("o_groups"),
        window=fields.count("sliding_window"),
        compressor=Compressor(ratio=ratio, head_dim=head_dim, overlapping=indexed) if ratio else None,
        indexer=indexer if indexed else None,
        top_k_entries=top_k if indexed else None,
    )

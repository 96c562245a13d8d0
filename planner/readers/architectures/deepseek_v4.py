"""DeepSeek V4: compressed attention, hyper-connections, and experts that the first layers pick by token."""

from dataclasses import replace

from planner.errors import MalformedError
from planner.model.compressed import CompressedAttention, Compressor, HyperConnections
from planner.model.latent import Indexer
from planner.model.network import Network, embeddings
from planner.model.weight import Use, Weight, matrix, vector
from planner.readers.architectures.decoder import norm_vectors, tie
from planner.readers.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.architectures.mixture import MixtureRules, mixture
from planner.readers.config_fields import ConfigFields

MODEL_TYPES = ("deepseek_v4", "deepseek_ref")  # "deepseek_ref" is V4 in the publisher's own format
_INDEXED_RATIO = 4  # layers of this ratio overlap their blocks and carry an indexer


def deepseek_v4_network(fields: ConfigFields) -> Network:
    """The network of a DeepSeek V4 config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("num_key_value_heads", "qk_rope_head_dim", "expert_dtype")
    n_extra = fields.few("num_nextn_predict_layers")
    ratios = fields.counts("compress_ratios")
    if ratios is None or len(ratios) < n_layers + n_extra:
        raise MalformedError(
            f"config.json: compress_ratios has {len(ratios or ())} entries for {n_layers} + {n_extra} layers"
        )
    learned = mixture(fields, MixtureRules(correction_bias=True))
    if learned is None:
        raise MalformedError(f"config.json of a {fields.model_type} model has no n_routed_experts")
    hashed = replace(learned, correction_bias=False)
    streams = HyperConnections(n_streams=fields.count("hc_mult"))
    norms = norm_vectors(hidden_size, 2) + streams.layer_weights(hidden_size)
    table = Weight(role="ffn_gate_tid2eid", shape=(learned.n_active, vocab_size), use=Use.TABLE)
    n_hashed = fields.maybe_count("num_hash_layers") or 0
    layers = [
        PlannedLayer(
            _attention(fields, ratios[i]),
            hashed if i < n_hashed else learned,
            (*norms, table) if i < n_hashed else norms,
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

"""MiniMax M3: block-sparse attention in the layers that say so, experts with a shared one in most."""

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.indexed_attention import with_index
from planner.model.network import Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import (
    PlannedLayer,
    expert_layers,
    group_layers,
    layer_count,
)
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields
from planner.readers.config.unread_fields import refuse_unread

MODEL_TYPES = ("minimax_m3_vl_text", "minimax_m3", "minimax_m3_sparse")


def minimax_m3_network(fields: ConfigFields) -> Network:
    """The network of a MiniMax M3 text config."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    head_dim = fields.count("head_dim")
    full = Attention(
        n_heads=fields.count("num_attention_heads"),
        n_kv_heads=fields.count("num_key_value_heads"),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        qk_norm="head",
    )
    fields.unused(
        "use_qk_norm", "qk_norm_type", "use_gemma_norm", "attention_output_gate", "n_shared_experts"
    )
    fields.unused("use_routing_bias", "swiglu_alpha", "swiglu_limit")
    mixers = _mixers(fields, full, n_layers)
    experts = mixture(fields, MixtureRules(correction_bias=True))
    sparse = expert_layers(fields, n_layers) if experts else (False,) * n_layers
    dense = FeedForward(intermediate_size=fields.count("dense_intermediate_size", "intermediate_size"))
    norms = norm_vectors(hidden_size, 2)
    layers = [
        PlannedLayer(mixer, experts if is_sparse else dense, norms)
        for mixer, is_sparse in zip(mixers, sparse, strict=True)
    ]
    tied = tie(fields, default=False)
    n_extra = fields.few("num_nextn_predict_layers", "num_mtp_modules")
    fields.unused("num_mtp_modules", "mtp_transformer_layers")
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
        notes=(f"extra prediction layers: {n_extra} configured, not counted",) if n_extra else (),
    )


def _mixers(fields: ConfigFields, full: Attention, n_layers: int) -> list[Attention]:
    """The index's sizes stand in a section of the published files and beside the others in newer ones."""
    section = fields.section("sparse_attention_config")
    source = fields if section is None else section
    kinds = fields.words("layer_types")
    flags = None if section is None else section.counts("sparse_attention_freq")
    if kinds is not None:
        if not set(kinds) <= {"full_attention", "minimax_m3_sparse"}:
            raise MalformedError("config.json: layer_types must say full_attention or minimax_m3_sparse")
        flags = tuple(int(kind == "minimax_m3_sparse") for kind in kinds)
    if flags is None:
        flags = (0,) * n_layers
    if len(flags) < n_layers:
        raise MalformedError(
            f"config.json says of {len(flags)} layers whether they are sparse, not {n_layers}"
        )
    heads = source.count("sparse_num_index_heads", "index_n_heads", default=4)
    width = source.count("sparse_index_dim", "index_head_dim", default=128)
    block = source.count("sparse_block_size", "index_block_size", default=128)
    picked = source.count("sparse_topk_blocks", "index_topk_blocks", default=16)
    # The nearest blocks are among those picked.
    source.unused("sparse_local_block", "index_local_blocks", "sparse_init_block", "use_sparse_attention")
    source.unused("sparse_disable_index_value", "sparse_score_type")
    if section is not None:
        refuse_unread(section)
    sparse = with_index(full, n_index_heads=heads, index_head_dim=width, top_k_tokens=block * picked)
    return [sparse if flag else full for flag in flags[:n_layers]]

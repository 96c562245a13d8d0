"""MPT and DBRX of MosaicML, whose configs keep attention and experts in sections of their own."""

from planner.errors import MissingFactError, UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.network import Block, Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields
from planner.readers.config.unread_fields import refuse_unread

MPT_TYPES = ("mpt",)
DBRX_TYPES = ("dbrx",)


def mpt_network(fields: ConfigFields) -> Network:
    """The network of an MPT config: MHA or GQA, a plain MLP, no biases anywhere."""
    hidden_size = fields.count("d_model")
    if not fields.flag("no_bias", default=True):
        raise UnknownArchitectureError("mpt: no_bias is off, which is not understood yet")
    expansion = fields.count("expansion_ratio", default=4)
    ffn = fields.section("ffn_config")
    if ffn is not None and ffn.text("ffn_type") not in (None, "mptmlp"):
        raise UnknownArchitectureError(f"mpt: the MLP {ffn.text('ffn_type')!r} is not understood yet")
    fields.unused("norm_type", "embedding_fraction", "learned_pos_emb")
    section = fields.section("attn_config")
    if section is not None:
        # ALiBi and rotary positions have no weights; learned ones go with neither.
        positions = section.flag("alibi", default=True) or section.flag("rope")
        if not positions and fields.flag("learned_pos_emb", default=True):
            raise UnknownArchitectureError("mpt: learned positions are not understood yet")
        if section.flag("qk_ln"):
            raise UnknownArchitectureError("mpt: qk_ln is on, which is not understood yet")
    return _network(
        fields,
        section,
        FeedForward(intermediate_size=expansion * hidden_size, gated=False),
        one_kv_head=section is not None and section.text("attn_type") == "multiquery_attention",
        tied=True,
    )


def dbrx_network(fields: ConfigFields) -> Network:
    """The network of a DBRX config: experts in every layer."""
    section = fields.section("attn_config")
    ffn = fields.section("ffn_config")
    if section is None or ffn is None:
        raise MissingFactError("config.json of a dbrx model has no attn_config or no ffn_config; add it")
    experts = Experts(
        n_experts=ffn.count("moe_num_experts"),
        n_active=ffn.count("moe_top_k"),
        intermediate_size=ffn.count("ffn_hidden_size"),
    )
    ffn.unused("hidden_size")  # says the width again
    return _network(fields, section, experts, one_kv_head=False, tied=False)


def _network(
    fields: ConfigFields, section: ConfigFields | None, block: Block, *, one_kv_head: bool, tied: bool
) -> Network:
    hidden_size = fields.count("d_model")
    vocab_size = fields.count("vocab_size")
    n_heads = fields.count("n_heads")
    if hidden_size % n_heads:
        raise ValueError(f"a width of {hidden_size} does not divide over {n_heads} heads")
    n_kv_heads = n_heads if section is None else section.count("kv_n_heads", default=n_heads)
    attention = Attention(
        n_heads=n_heads,
        n_kv_heads=1 if one_kv_head else n_kv_heads,
        key_head_dim=hidden_size // n_heads,
        value_head_dim=hidden_size // n_heads,
        fused_qkv=True,
    )
    if section is not None:
        refuse_unread(section)
    layer = PlannedLayer(attention, block, norm_vectors(hidden_size, 2))
    tied = tie(fields, default=tied)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers([layer] * layer_count(fields)),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_seq_len"),
    )

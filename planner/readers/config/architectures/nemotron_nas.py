"""Nemotron models found by architecture search: every layer has its own attention and MLP, or none."""

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.network import Network, embeddings
from planner.model.weight import Weight, matrix, vector
from planner.quoting import quoted
from planner.readers.config.architectures.decoder import tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

MODEL_TYPES = ("nemotron-nas",)


def nemotron_nas_network(fields: ConfigFields) -> Network:
    """The network of a Nemotron-NAS (DeciLM) config, read block by block."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    fields.unused("num_key_value_heads", "intermediate_size")  # null: each block has its own
    blocks = fields.items("block_configs")
    if blocks is None or len(blocks) != n_layers:
        raise MalformedError(
            f"config.json: block_configs has {len(blocks or ())} entries for {n_layers} layers"
        )
    layers = [_layer(fields, _section(block, fields), hidden_size) for block in blocks]
    tied = tie(fields, default=False)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _section(block: object, fields: ConfigFields) -> ConfigFields:
    if not isinstance(block, dict):
        raise MalformedError("config.json: block_configs holds something other than sections")
    return ConfigFields(block, fields.model_type, fields)


def _layer(fields: ConfigFields, block: ConfigFields, hidden_size: int) -> PlannedLayer:
    attention, ffn = block.section("attention"), block.section("ffn")
    if attention is None or ffn is None:
        raise MalformedError("config.json: a block of block_configs lacks its attention or its ffn section")
    mixer: Attention | None = None
    mlp: FeedForward | None = None
    others: list[Weight] = []  # norms, and the plain matrices that stand in for a block
    if attention.flag("replace_with_linear"):
        others += [vector("attn_norm", hidden_size), matrix("attn_linear", hidden_size, hidden_size)]
    elif not attention.flag("no_op"):
        others.append(vector("attn_norm", hidden_size))
        mixer = _attention(fields, attention, hidden_size)
    if ffn.flag("replace_with_linear"):
        others += [vector("ffn_norm", hidden_size), matrix("ffn_linear", hidden_size, hidden_size)]
    elif not ffn.flag("no_op"):
        others.append(vector("ffn_norm", hidden_size))
        mlp = FeedForward(
            intermediate_size=_intermediate_size(ffn, hidden_size), bias=fields.flag("mlp_bias")
        )
    for part in (block, attention, ffn):
        unknown = [name for name in part.unread() if part.raw(name) is not False]
        if unknown:
            raise UnknownArchitectureError(
                f"nemotron-nas: a block's {quoted(unknown[0])} is not understood; "
                "its numbers could be wrong, so the planner gives none"
            )
    return PlannedLayer(mixer, mlp, tuple(others))


def _attention(fields: ConfigFields, attention: ConfigFields, hidden_size: int) -> Attention:
    n_heads = fields.count("num_attention_heads")
    in_group = attention.count("n_heads_in_group")
    if n_heads % in_group or hidden_size % n_heads:
        raise MalformedError(
            f"config.json: {n_heads} heads do not divide over groups of {in_group} or the width {hidden_size}"
        )
    head_dim = fields.positive("head_dim") or hidden_size // n_heads
    bias = fields.flag("attention_bias")
    return Attention(
        n_heads=n_heads,
        n_kv_heads=n_heads // in_group,
        key_head_dim=head_dim,
        value_head_dim=head_dim,
        qkv_bias=bias,
        output_bias=bias,
    )


def _intermediate_size(ffn: ConfigFields, hidden_size: int) -> int:
    """⌊2/3 · multiple · H⌋, rounded up to 256, as the reference code does."""
    multiple = ffn.number("ffn_mult")
    if multiple is None or multiple <= 0:
        raise MalformedError("config.json: a block of block_configs has an MLP without a positive ffn_mult")
    return -(-int(2 * multiple * hidden_size / 3) // 256) * 256

"""Granite 4, Bamba and Jamba: Mamba layers with attention in a few, each followed by an MLP or experts."""

from collections.abc import Sequence

from planner.errors import MalformedError, MissingFactError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.mamba1 import Mamba1
from planner.model.mamba2 import Mamba2
from planner.model.network import Block, Mixer, Network, embeddings
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.architectures.mixture import MixtureRules, mixture
from planner.readers.config.fields import ConfigFields

GRANITE_TYPES = ("granitemoehybrid",)
BAMBA_TYPES = ("bamba",)
JAMBA_TYPES = ("jamba",)
_ATTENDS = {"mamba": False, "linear_attention": False, "attention": True, "full_attention": True}


def granite_hybrid_network(fields: ConfigFields) -> Network:
    """The network of a Granite 4 config: every layer has a shared MLP, some models experts beside it."""
    n_layers = layer_count(fields)
    kinds = fields.words("layer_types", "layers_block_type")
    if kinds is None:
        kinds = ("mamba",) * n_layers  # the reference code's default
    if len(kinds) < n_layers or not set(kinds) <= _ATTENDS.keys():
        raise MalformedError("config.json: layer_types must say mamba or attention for every layer")
    attends = [_ATTENDS[kind] for kind in kinds[:n_layers]]
    block: Block | None = mixture(fields, MixtureRules())
    if block is None:
        fields.unused("intermediate_size")  # of experts, which the dense models do not have
        block = FeedForward(intermediate_size=fields.count("shared_intermediate_size"), fused_gate=True)
    hidden_size = fields.count("hidden_size")
    fields.unused("normalization_function", "mamba_chunk_size", "use_mamba_kernels")
    mamba = mamba2_of(fields, hidden_size) if not all(attends) else None
    return _network(fields, attends, mamba, [block] * n_layers, tied=True)


def bamba_network(fields: ConfigFields) -> Network:
    """The network of a Bamba config."""
    n_layers = layer_count(fields)
    attending = set(fields.counts("attn_layer_indices") or ())
    hidden_size = fields.count("hidden_size")
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"), bias=fields.flag("mlp_bias"))
    return _network(
        fields,
        [i in attending for i in range(n_layers)],
        mamba2_of(fields, hidden_size),
        [dense] * n_layers,
        tied=False,
    )


def jamba_network(fields: ConfigFields) -> Network:
    """The network of a Jamba config: attention and experts recur with a period and an offset of their own."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    dense = FeedForward(intermediate_size=fields.count("intermediate_size"))
    experts = mixture(fields, MixtureRules())
    attends = _recurring(fields, "attn_layer", n_layers)
    sparse = _recurring(fields, "expert_layer", n_layers)
    rank = fields.raw("mamba_dt_rank")
    mamba = Mamba1(
        inner_size=fields.count("mamba_expand") * hidden_size,
        state_size=fields.count("mamba_d_state"),
        time_step_rank=-(-hidden_size // 16) if rank in (None, "auto") else fields.count("mamba_dt_rank"),
        conv_kernel=fields.count("mamba_d_conv"),
        conv_bias=fields.flag("mamba_conv_bias", default=True),
        projection_bias=fields.flag("mamba_proj_bias"),
        inner_norms=fields.flag("mamba_inner_layernorms", default=True),
    )
    # A model with one expert is stored without a router, as a plain MLP.
    several = experts is not None and experts.n_experts > 1
    blocks = [experts if several and is_sparse else dense for is_sparse in sparse]
    return _network(fields, attends, mamba, blocks, tied=False)


def mamba2_of(fields: ConfigFields, hidden_size: int) -> Mamba2:
    """The Mamba-2 layer under the field names of Granite 4, Bamba and Falcon-H1."""
    n_heads = fields.count("mamba_n_heads")
    inner = fields.positive("mamba_d_ssm")
    if inner is None:
        inner = fields.count("mamba_expand", default=2) * hidden_size
    fields.unused("mamba_expand")
    width = fields.raw("mamba_d_head")
    head_dim = inner // n_heads if width in (None, "auto") else fields.count("mamba_d_head")
    if head_dim * n_heads != inner:
        raise ValueError(f"{n_heads} Mamba heads of {head_dim} do not make up a width of {inner}")
    return Mamba2(
        n_heads=n_heads,
        head_dim=head_dim,
        state_size=fields.count("mamba_d_state"),
        n_groups=fields.count("mamba_n_groups", default=1),
        conv_kernel=fields.count("mamba_d_conv", default=4),
        conv_bias=fields.flag("mamba_conv_bias", default=True),
        projection_bias=fields.flag("mamba_proj_bias"),
    )


def attention_of(fields: ConfigFields, hidden_size: int) -> Attention:
    """Plain attention whose bias, if any, is on every projection."""
    n_heads = fields.count("num_attention_heads")
    head_dim = fields.positive("head_dim")
    if head_dim is None and hidden_size % n_heads:
        raise ValueError(f"a hidden size of {hidden_size} does not divide over {n_heads} heads")
    bias = fields.flag("attention_bias")
    return Attention(
        n_heads=n_heads,
        n_kv_heads=fields.count("num_key_value_heads", default=n_heads),
        key_head_dim=head_dim or hidden_size // n_heads,
        value_head_dim=head_dim or hidden_size // n_heads,
        qkv_bias=bias,
        output_bias=bias,
    )


def _recurring(fields: ConfigFields, name: str, n_layers: int) -> list[bool]:
    period = fields.count(f"{name}_period")
    offset = fields.maybe_count(f"{name}_offset")
    if offset is None:
        raise MissingFactError(f"config.json of a {fields.label} model has no '{name}_offset'; add the field")
    return [i % period == offset for i in range(n_layers)]


def _network(
    fields: ConfigFields,
    attends: Sequence[bool],
    mamba: Mixer | None,
    blocks: Sequence[Block | None],
    *,
    tied: bool,
) -> Network:
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    attention = attention_of(fields, hidden_size)
    norms = norm_vectors(hidden_size, 2)
    tied = tie(fields, default=tied)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(
            [
                PlannedLayer(attention if is_attention else mamba, block, norms)
                for is_attention, block in zip(attends, blocks, strict=True)
            ]
        ),
        outer=embeddings(hidden_size, vocab_size, tied=tied),
        context_tokens=fields.positive("max_position_embeddings"),
    )

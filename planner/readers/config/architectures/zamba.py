"""Zamba and Zamba2: Mamba layers, and in some of them a call of a transformer block that all calls share."""

from dataclasses import replace

from planner.errors import MalformedError
from planner.model.attention import Attention
from planner.model.feed_forward import FeedForward
from planner.model.mamba1 import Mamba1
from planner.model.mamba2 import Mamba2
from planner.model.network import Mixer, Network, embeddings
from planner.model.parallel import ParallelMixers
from planner.model.shared_block import SharedBlockCall
from planner.model.weight import Use, Weight, matrix, vector
from planner.readers.config.architectures.decoder import norm_vectors, tie
from planner.readers.config.architectures.layer_plan import PlannedLayer, group_layers, layer_count
from planner.readers.config.fields import ConfigFields

ZAMBA_TYPES = ("zamba",)
ZAMBA2_TYPES = ("zamba2",)
_CALLS = {"mamba": False, "linear_attention": False, "hybrid": True}


def zamba_network(fields: ConfigFields) -> Network:
    """The network of a Zamba config: Mamba-1 layers, one shared block."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    period = fields.count("attn_layer_period", default=6)
    offset = fields.maybe_count("attn_layer_offset")
    offset = 4 if offset is None else offset
    # The reference code's rule starts after two Mamba layers and a hybrid one.
    rule = [False, False, True, *(i % period == offset for i in range(n_layers - 3))][:n_layers]
    rank = fields.raw("mamba_dt_rank")
    mamba = Mamba1(
        inner_size=fields.count("mamba_expand", default=2) * hidden_size,
        state_size=fields.count("mamba_d_state"),
        time_step_rank=-(-hidden_size // 16) if rank in (None, "auto") else fields.count("mamba_dt_rank"),
        conv_kernel=fields.count("mamba_d_conv"),
        conv_bias=fields.flag("mamba_conv_bias", default=True),
        projection_bias=fields.flag("mamba_proj_bias"),
        inner_norms=False,
    )
    fields.unused("n_mamba_heads")
    return _network(fields, _calls(fields, n_layers, rule), mamba, n_blocks=1, fused_gate=False)


def zamba2_network(fields: ConfigFields) -> Network:
    """The network of a Zamba2 config: Mamba-2 layers, several shared blocks, adapters in every call."""
    n_layers = layer_count(fields)
    hidden_size = fields.count("hidden_size")
    n_heads = fields.count("n_mamba_heads")
    inner = fields.count("mamba_expand", default=2) * hidden_size
    if inner % n_heads:
        raise ValueError(f"a Mamba width of {inner} does not divide over {n_heads} heads")
    fields.unused(
        "mamba_headdim", "kv_channels", "num_query_groups", "hybrid_layer_ids", "attention_head_dim"
    )
    fields.unused("attention_hidden_size")  # all follow from others
    mamba = Mamba2(
        n_heads=n_heads,
        head_dim=inner // n_heads,
        state_size=fields.count("mamba_d_state"),
        n_groups=fields.count("mamba_ngroups", default=1),
        conv_kernel=fields.count("mamba_d_conv"),
        conv_bias=fields.flag("use_conv_bias", default=True),
        projection_bias=fields.flag("add_bias_linear"),
    )
    n_blocks = fields.count("num_mem_blocks", default=1)
    return _network(fields, _calls(fields, n_layers, None), mamba, n_blocks=n_blocks, fused_gate=True)


def _calls(fields: ConfigFields, n_layers: int, rule: list[bool] | None) -> list[bool]:
    """Which layers call a shared block."""
    kinds = fields.words("layers_block_type", "layer_types")
    if kinds is None:
        if rule is None:
            raise MalformedError(f"config.json of a {fields.label} model has no layers_block_type")
        return rule
    if len(kinds) < n_layers or not set(kinds) <= _CALLS.keys():
        raise MalformedError("config.json: layers_block_type must say mamba or hybrid for every layer")
    return [_CALLS[kind] for kind in kinds[:n_layers]]


def _network(
    fields: ConfigFields, calls: list[bool], mamba: Mixer, *, n_blocks: int, fused_gate: bool
) -> Network:
    hidden_size = fields.count("hidden_size")
    vocab_size = fields.count("vocab_size")
    n_heads = fields.count("num_attention_heads")
    head_dim = 2 * hidden_size // n_heads
    width = 2 * hidden_size
    if not fused_gate:
        head_dim = fields.positive("attention_head_dim") or head_dim
        width = fields.positive("attention_hidden_size") or width
    attention = Attention(
        n_heads=n_heads,
        n_kv_heads=fields.count("num_key_value_heads", default=n_heads),
        key_head_dim=head_dim,
        value_head_dim=head_dim,
    )
    bias = fields.flag("add_bias_linear")
    mlp = FeedForward(
        intermediate_size=fields.count("intermediate_size", default=4 * hidden_size),
        fused_gate=fused_gate,
        bias=bias,
    )
    shared = _shared_weights(attention, mlp, hidden_size, width)
    matrices = sum(weight.parameters for weight in shared if weight.use is Use.MATMUL)
    call = SharedBlockCall(attention=attention, own=_own_weights(fields, attention, mlp, fused_gate),
                           repeated_flop=2 * matrices)  # fmt: skip
    norms = norm_vectors(hidden_size, 1)
    layers = []
    n_called = 0
    for calls_shared in calls:
        mixer = mamba
        if calls_shared:
            # The work of each block's first call is that of the stored weights themselves.
            this = replace(call, repeated_flop=0) if n_called < n_blocks else call
            mixer = ParallelMixers(attention=this, recurrent=mamba)
            n_called += 1
        layers.append(PlannedLayer(mixer, None, norms))
    tied = tie(fields, default=True)
    return Network(
        architecture=fields.model_type,
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        groups=group_layers(layers),
        outer=embeddings(hidden_size, vocab_size, tied=tied) + shared * min(n_blocks, n_called),
        context_tokens=fields.positive("max_position_embeddings"),
    )


def _shared_weights(
    attention: Attention, mlp: FeedForward, hidden_size: int, width: int
) -> tuple[Weight, ...]:
    """One shared block: attention over the layer's input beside the embedding, 2H wide, and an MLP."""
    query = attention.n_heads * attention.key_head_dim
    return (
        matrix("shared_attn_q", width, query),
        matrix("shared_attn_k", width, attention.k_elements_per_token),
        matrix("shared_attn_v", width, attention.v_elements_per_token),
        matrix("shared_attn_output", query, hidden_size),
        vector("shared_attn_norm", width),
        vector("shared_ffn_norm", hidden_size),
        *(replace(weight, role=f"shared_{weight.role}") for weight in mlp.weights(hidden_size)),
    )


def _own_weights(
    fields: ConfigFields, attention: Attention, mlp: FeedForward, adapters: bool
) -> tuple[Weight, ...]:
    """What each call has for itself: the way back into the layer, and Zamba2's low-rank adapters."""
    hidden_size = fields.count("hidden_size")
    own: tuple[Weight, ...] = (matrix("shared_linear", hidden_size, hidden_size),)
    if not adapters:
        return own
    rank = fields.count("adapter_rank", default=128)
    own += (
        matrix("shared_ffn_up_lora_a", hidden_size, rank),
        matrix("shared_ffn_up_lora_b", rank, 2 * mlp.intermediate_size),
    )
    if fields.flag("use_shared_attention_adapter"):
        width = attention.n_heads * attention.key_head_dim
        for part in "qkv":
            own += (
                matrix(f"shared_attn_{part}_lora_a", width, rank),
                matrix(f"shared_attn_{part}_lora_b", rank, width),
            )
    return own

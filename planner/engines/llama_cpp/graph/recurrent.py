"""Layers with a state of constant size: gated DeltaNet, Mamba-2, short convolution.

src/models/delta-net-base.cpp, qwen3next.cpp, qwen35.cpp, mamba-base.cpp, lfm2.cpp; llama-graph.cpp, build_rs.
A batch holds the same number of tokens of every sequence.
"""

from collections.abc import Callable

from planner.engines.ggml.tensor import Tensor, concat, get_rows, like, reshape, transpose, view
from planner.engines.llama_cpp.graph.context import GraphContext
from planner.model.delta_net import GatedDeltaNet
from planner.model.mamba2 import Mamba2
from planner.model.short_conv import ShortConvolution

# How a layer reads states: from all of them and the indices of those in use.
Rows = Callable[[Tensor, Tensor], Tensor]


def delta_net(ctx: GraphContext, layer: int, mixer: GatedDeltaNet, x: Tensor) -> Tensor:
    """Linear attention with the fused operation, which every current backend has."""
    n, seqs = ctx.n_tokens, ctx.n_sequences
    per = n // seqs
    heads, d_v = mixer.n_value_heads, mixer.value_head_dim
    k_heads, d_k = mixer.n_key_heads, mixer.key_head_dim
    channels = 2 * k_heads * d_k + heads * d_v
    mixed = reshape(ctx.multiply(layer, "attn_qkv", x), channels, per, seqs)
    z = ctx.multiply(layer, "attn_gate", x)
    beta, gate = _gates(ctx, layer, mixer, x, per, seqs)
    conv = _convolution(ctx, layer, mixed, mixer.conv_kernel, channels)
    state = reshape(state_rows(ctx, layer, "s", heads * d_v * d_k), d_v, d_v, heads, seqs)
    out = like(
        "UNARY", Tensor("SSM_CONV", "F32", (channels, per, seqs), (conv, ctx.weight(layer, "ssm_conv1d")))
    )
    q, k = (like("SCALE", like("RMS_NORM", view(out, (d_k, k_heads, per, seqs)))) for _ in range(2))
    v = view(out, (d_v, heads, per, seqs))
    if k_heads != heads and ctx.has(layer, "ssm_ba"):
        q, k = (_repeated(t, d_k, heads, k_heads, per, seqs) for t in (q, k))
    slots = ctx.flags.rollback_sequences + 1
    rows = n + d_v * seqs * slots
    result = Tensor("GATED_DELTA_NET", "F32", (d_v * heads, rows), (q, k, v, gate, beta, state))
    ctx.graph.expand(_kept(ctx, layer, "s", view(result, (d_v * d_v * heads, seqs)), heads * d_v * d_k))
    attended = view(result, (d_v, heads, per, seqs))
    normed = ctx.norm(attended, layer, "ssm_norm")
    gated = like("MUL", normed, like("UNARY", reshape(z, d_v, heads, per, seqs)))
    return reshape(ctx.multiply(layer, "ssm_out", reshape(gated, d_v * heads, per, seqs)), x.ne[0], n)


def _gates(
    ctx: GraphContext, layer: int, mixer: GatedDeltaNet, x: Tensor, per: int, seqs: int
) -> tuple[Tensor, Tensor]:
    heads, k_heads = mixer.n_value_heads, mixer.n_key_heads
    if ctx.has(layer, "ssm_ba"):
        both = ctx.multiply(layer, "ssm_ba", x)
        half = (heads // k_heads, k_heads, per, seqs)
        beta = like("UNARY", Tensor("CONT", "F32", half, (view(both, half),)))
        alpha = Tensor("CONT", "F32", (heads, per, seqs), (view(both, half),))
        beta = reshape(beta, 1, heads, per, seqs)
    else:
        beta = like("UNARY", reshape(ctx.multiply(layer, "ssm_beta", x), 1, heads, per, seqs))
        alpha = reshape(ctx.multiply(layer, "ssm_alpha", x), heads, per, seqs)
    alpha = like("UNARY", like("ADD", alpha, ctx.weight(layer, "ssm_dt.bias")))
    gate = like("MUL", alpha, ctx.weight(layer, "ssm_a"))
    return beta, reshape(gate, 1, heads, per, seqs)


def _repeated(x: Tensor, d_k: int, heads: int, k_heads: int, per: int, seqs: int) -> Tensor:
    flat = reshape(x, d_k, 1, k_heads, per * seqs)
    out = Tensor("REPEAT", "F32", (d_k, heads // k_heads, k_heads, per * seqs), (flat,))
    return reshape(out, d_k, heads, per, seqs)


def mamba2(ctx: GraphContext, layer: int, mixer: Mamba2, x: Tensor) -> Tensor:
    """State-space duality, scanned by one operation."""
    n, seqs = ctx.n_tokens, ctx.n_sequences
    per = n // seqs
    inner, heads, head, groups = mixer.inner_size, mixer.n_heads, mixer.head_dim, mixer.n_groups
    channels = inner + 2 * groups * mixer.state_size
    conv = reshape(
        state_rows(ctx, layer, "r", mixer.conv_state_elements), mixer.conv_kernel - 1, channels, seqs
    )
    whole = ctx.multiply(layer, "ssm_in", x)
    whole = reshape(whole, whole.ne[0], per, seqs)
    z = view(whole, (head, heads, per, seqs))
    mixed = view(whole, (channels, per, seqs))
    steps = view(whole, (heads, per, seqs))
    joined = concat(conv, transpose(mixed), 0)
    last = view(joined, (mixer.conv_kernel - 1, channels, seqs))
    ctx.graph.expand(_kept(ctx, layer, "r", last, mixer.conv_state_elements))
    out = Tensor("SSM_CONV", "F32", (channels, per, seqs), (joined, ctx.weight(layer, "ssm_conv1d")))
    if ctx.has(layer, "ssm_conv1d.bias"):
        out = like("ADD", out, ctx.weight(layer, "ssm_conv1d.bias"))
    out = like("UNARY", out)
    values = view(out, (head, heads, per, seqs))
    b, c = (view(out, (mixer.state_size, groups, per, seqs)) for _ in range(2))
    steps = like("ADD", Tensor("CONT", "F32", steps.ne, (steps,)), ctx.weight(layer, "ssm_dt.bias"))
    size = inner * mixer.state_size
    slots = ctx.flags.rollback_sequences + 1

    def scanned(states: Tensor, ids: Tensor) -> Tensor:
        states = reshape(states, mixer.state_size, head, heads, states.ne[1])
        sources = (states, values, steps, ctx.weight(layer, "ssm_a"), b, c, ids)
        return Tensor("SSM_SCAN", "F32", (inner * n + size * seqs * slots,), sources)

    result = state_rows(ctx, layer, "s", size, rows=scanned)
    ctx.graph.expand(_kept(ctx, layer, "s", view(result, (size, seqs)), size))
    y = view(result, (head, heads, per, seqs))
    y = like("ADD", y, like("MUL", values, ctx.weight(layer, "ssm_d")))
    y = Tensor("GLU", "F32", y.ne, (Tensor("CONT", "F32", z.ne, (z,)), y))
    if ctx.has(layer, "ssm_norm"):
        y = ctx.norm(reshape(y, inner // groups, groups, per, seqs), layer, "ssm_norm")
    return ctx.multiply(layer, "ssm_out", reshape(y, inner, n))


def short_convolution(ctx: GraphContext, layer: int, mixer: ShortConvolution, x: Tensor) -> Tensor:
    """A doubly gated convolution."""
    n, seqs, width = ctx.n_tokens, ctx.n_sequences, mixer.width
    per = n // seqs
    whole = ctx.multiply(layer, "shortconv.in_proj", reshape(x, x.ne[0], per, seqs))
    b, c, value = (view(whole, (width, per, seqs)) for _ in range(3))
    gated = transpose(like("MUL", b, value))
    size = mixer.conv_state_elements
    conv = reshape(state_rows(ctx, layer, "r", size), mixer.conv_kernel - 1, width, seqs)
    joined = concat(conv, gated, 0)
    ctx.graph.expand(_kept(ctx, layer, "r", view(joined, (mixer.conv_kernel - 1, width, seqs)), size))
    out = Tensor("SSM_CONV", "F32", (width, per, seqs), (joined, ctx.weight(layer, "shortconv.conv")))
    y = like("MUL", c, out)
    return reshape(ctx.multiply(layer, "shortconv.out_proj", y), x.ne[0], n)


def _convolution(ctx: GraphContext, layer: int, mixed: Tensor, kernel: int, channels: int) -> Tensor:
    """Past inputs in front of new ones, and the last of them kept (build_conv_state)."""
    seqs = ctx.n_sequences
    size = (kernel - 1) * channels
    conv = reshape(state_rows(ctx, layer, "r", size), kernel - 1, channels, seqs)
    joined = concat(conv, transpose(mixed), 0)
    for _ in range(ctx.flags.rollback_sequences + 1):
        ctx.graph.expand(_kept(ctx, layer, "r", view(joined, (kernel - 1, channels, seqs)), size))
    return joined


def state_rows(ctx: GraphContext, layer: int, which: str, size: int, rows: Rows | None = None) -> Tensor:
    """The states of the batch's sequences (build_rs): one cleared, those needed read, the others moved."""
    seqs = ctx.n_sequences
    slots = seqs * (ctx.flags.rollback_sequences + 1)
    states = reshape(ctx.cache(layer, which, "F32", (size, slots)), size, slots)
    cleared = view(states, (size,), contiguous=True)
    ctx.graph.expand(
        Tensor("SCALE", "F32", cleared.ne, (cleared,), root=cleared.root or cleared, layout="in place")
    )
    used, rest = ctx.state_ids
    found = get_rows(states, used, (size, seqs)) if rows is None else rows(states, used)
    ctx.graph.expand(found)
    others = get_rows(states, rest, (size, 0))
    ctx.graph.expand(_kept(ctx, layer, which, others, size))
    return found


def _kept(ctx: GraphContext, layer: int, which: str, new: Tensor, size: int) -> Tensor:
    """A copy into the layer's states: the result is a view of them."""
    states = ctx.cache(layer, which, "F32", (size, ctx.n_sequences * (ctx.flags.rollback_sequences + 1)))
    target = view(states, new.ne, contiguous=True)
    return Tensor("CPY", "F32", new.ne, (new, target), root=states, layout="cache")

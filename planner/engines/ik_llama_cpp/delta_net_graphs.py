"""Gated DeltaNet as ik_llama.cpp computes it (llama-delta-net.cpp of 8337e4cd, 2026-08-15)."""

from planner.engines.ggml.tensor import Tensor, concat, like, mul_mat, permute, reshape, store, view
from planner.engines.ik_llama_cpp.graph_context import GraphContext
from planner.model.delta_net import GatedDeltaNet


def delta_net(ctx: GraphContext, layer: int, mixer: GatedDeltaNet, x: Tensor) -> Tensor:
    """The block's output in front of the residual; `x` is the layer's input."""
    graph, n, hidden = ctx.graph, ctx.n_tokens, x.ne[0]
    d, k_heads, v_heads = mixer.key_head_dim, mixer.n_key_heads, mixer.n_value_heads
    value = v_heads * mixer.value_head_dim
    channels = 2 * d * k_heads + value
    normed = ctx.norm(x, layer, "attn_norm")
    mixed, z = _inputs(ctx, layer, mixer, normed)
    beta, gate = _gates(ctx, layer, mixer, normed)
    state_size = v_heads * mixer.value_head_dim * mixer.value_head_dim
    conv_size = channels * (mixer.conv_kernel - 1)
    slots = ctx.cache(layer, "cache_s", "F32", conv_size + state_size, 1)
    state = graph.expand(view(slots, (mixer.value_head_dim, mixer.value_head_dim, v_heads), contiguous=True))
    kernel = ctx.weight(layer, "ssm_conv1d", mixer.conv_kernel, channels)
    conv_state = view(slots, (mixer.conv_kernel - 1, channels))
    raw = Tensor(
        "SSM_CONV", "F32", (channels * n + mixer.conv_kernel * channels,), (conv_state, mixed, kernel)
    )
    conv = graph.expand(like("UNARY", view(raw, (channels, n), contiguous=True)))
    q = like("L2_NORM", permute(view(conv, (d, k_heads, n)), 0, 2, 1, 3))
    k = like("L2_NORM", permute(view(conv, (d, k_heads, n)), 0, 2, 1, 3))
    v = permute(view(conv, (mixer.value_head_dim, v_heads, n)), 0, 2, 1, 3)
    sources = (q, k, v, permute(gate, 2, 0, 3, 1), permute(beta, 2, 0, 1, 3), state)
    fused = Tensor("DELTA_NET", "F32", (value * n + state_size,), sources)
    graph.expand(store(view(fused, (state_size,)), view(slots, (state_size,))))
    last = Tensor("CONT", "F32", (conv_size,), (view(raw, (mixer.conv_kernel - 1, channels)),))
    graph.expand(store(last, view(slots, (conv_size,))))
    out = view(fused, (mixer.value_head_dim, v_heads * n), contiguous=True)
    out = like("FUSED_RMS_NORM", out, ctx.vector(layer, "ssm_norm", mixer.value_head_dim))
    out = like("FUSED_MUL_UNARY", reshape(z, mixer.value_head_dim, v_heads * n), out)
    return mul_mat(ctx.weight(layer, "ssm_out", value, hidden), reshape(out, value, n))


def _inputs(ctx: GraphContext, layer: int, mixer: GatedDeltaNet, x: Tensor) -> tuple[Tensor, Tensor]:
    n, hidden = ctx.n_tokens, x.ne[0]
    key, value = mixer.key_head_dim * mixer.n_key_heads, mixer.value_head_dim * mixer.n_value_heads
    channels = 2 * key + value
    if not mixer.fused_gate:
        mixed = ctx.graph.expand(mul_mat(ctx.weight(layer, "attn_qkv", hidden, channels), x))
        z = ctx.graph.expand(mul_mat(ctx.weight(layer, "attn_gate", hidden, value), x))
        return mixed, z
    both = mul_mat(ctx.weight(layer, "ssm_in", hidden, channels + value), x)
    z = Tensor("CONT", "F32", (value, n), (view(both, (value, n)),))
    parts = [Tensor("CONT", "F32", (width, n), (view(both, (width, n)),)) for width in (key, key, value)]
    return concat(concat(parts[0], parts[1], 0), parts[2], 0), z


def _gates(ctx: GraphContext, layer: int, mixer: GatedDeltaNet, x: Tensor) -> tuple[Tensor, Tensor]:
    n, hidden, heads = ctx.n_tokens, x.ne[0], mixer.n_value_heads
    if mixer.split_beta_alpha:
        beta = reshape(mul_mat(ctx.weight(layer, "ssm_beta", hidden, heads), x), heads, 1, n)
        alpha = reshape(mul_mat(ctx.weight(layer, "ssm_alpha", hidden, heads), x), heads, n)
    else:
        both = mul_mat(ctx.weight(layer, "ssm_ba", hidden, 2 * heads), x)
        beta = Tensor("CONT", "F32", (heads, 1, n), (view(both, (heads, 1, n)),))
        alpha = Tensor("CONT", "F32", (heads, n), (view(both, (heads, n)),))
    ctx.graph.expand(beta)
    ctx.graph.expand(alpha)
    alpha = like("UNARY", like("ADD", alpha, ctx.vector(layer, "ssm_dt.bias", heads)))
    return beta, like("MUL", alpha, ctx.vector(layer, "ssm_a", heads))

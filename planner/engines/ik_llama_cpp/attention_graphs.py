"""Softmax attention over a cache of keys and values, as ik_llama.cpp computes it.

llama.cpp, llm_build_kv and llm_build_kqv (builds to 4034); llama-build-context.cpp, build_std_attention (since).
"""

from hardware.units import MIB
from planner.engines.ggml.tensor import Tensor, like, mul_mat, permute, reshape, store, transpose, view
from planner.engines.ik_llama_cpp.graph_context import GraphContext
from planner.model.attention import Attention


def attention(ctx: GraphContext, layer: int, mixer: Attention, x: Tensor) -> Tensor:
    """The block's output in front of the residual; `x` is the layer's input."""
    n, hidden = ctx.n_tokens, x.ne[0]
    heads, kv_heads = mixer.n_heads, mixer.n_kv_heads
    d_k, d_v = mixer.key_head_dim, mixer.value_head_dim
    normed = ctx.norm(x, layer, "attn_norm")
    gated = mixer.output_gate == "in_query"
    q, k, v = _projections(ctx, layer, mixer, normed, heads * d_k * (2 if gated else 1))
    gate = None
    if gated:
        q, gate = _query_and_gate(q, heads, d_k, n)
    else:
        q = reshape(q, d_k, heads, n)
    if mixer.qk_norm != "none":
        q = ctx.norm(q, layer, "attn_q_norm")
        if gated:
            ctx.graph.expand(q)
    q = ctx.rope(q)
    if k is not None:
        k = reshape(k, d_k, kv_heads, n)
        if mixer.qk_norm != "none":
            k = ctx.norm(k, layer, "attn_k_norm")
            if gated:
                ctx.graph.expand(k)
        k = ctx.rope(k)
    out = cached_attention(ctx, layer, mixer, (q, k, v))
    if gate is not None:
        out = like("MUL", out, like("UNARY", gate))
    elif mixer.output_gate in ("matrix", "head"):
        width = heads * d_v if mixer.output_gate == "matrix" else heads
        gate = like("UNARY", mul_mat(ctx.weight(layer, "attn_gate", hidden, width), normed))
        out = like("MUL", reshape(out, d_v, heads, n), gate)
        out = reshape(out, heads * d_v, n)
    out = mul_mat(ctx.weight(layer, "attn_output", heads * d_v, hidden), out)
    return like("ADD", out, ctx.vector(layer, "attn_output.bias", hidden)) if mixer.output_bias else out


def _projections(
    ctx: GraphContext, layer: int, mixer: Attention, x: Tensor, query: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    key = mixer.n_kv_heads * mixer.key_head_dim
    value = mixer.n_kv_heads * mixer.value_head_dim
    widths = [("attn_q", query)]
    if not mixer.shares_kv:
        widths.append(("attn_k", key))
        if not mixer.value_is_key:
            widths.append(("attn_v", value))
    made = [mul_mat(ctx.weight(layer, role, x.ne[0], width), x) for role, width in widths]
    if ctx.era.orders_projections_first:
        for tensor in made:
            ctx.graph.expand(tensor)
    if mixer.qkv_bias:
        made = [
            like("ADD", tensor, ctx.vector(layer, f"{role}.bias", width))
            for tensor, (role, width) in zip(made, widths, strict=True)
        ]
    q = made[0]
    k = made[1] if len(made) > 1 else None
    v = made[2] if len(made) > 2 else k
    if mixer.value_is_key and v is not None:
        v = like("RMS_NORM", reshape(v, mixer.value_head_dim, mixer.n_kv_heads, ctx.n_tokens))
    return q, k, v


def _query_and_gate(both: Tensor, heads: int, d_k: int, n: int) -> tuple[Tensor, Tensor]:
    q = Tensor("CONT", "F32", (d_k, heads, n), (view(both, (d_k, heads, n)),))
    gate = Tensor("CONT", "F32", (d_k * heads, n), (view(both, (d_k, heads, n)),))
    return q, gate


def cached_attention(
    ctx: GraphContext, layer: int, mixer: Attention, qkv: tuple[Tensor, Tensor | None, Tensor | None]
) -> Tensor:
    """Stores keys and values, attends; heads side by side in the result."""
    plan, n, cells = ctx.plan, ctx.n_tokens, ctx.plan.n_cells
    q, k, v = qkv
    heads, kv_heads = mixer.n_heads, mixer.n_kv_heads
    d_k, d_v = mixer.key_head_dim, mixer.value_head_dim
    keys = ctx.cache(layer, "cache_k", plan.k_type, d_k, cells * kv_heads)
    values = ctx.cache(layer, "cache_v", plan.v_type, d_v * kv_heads, cells)
    ctx.graph.expand(q)
    if k is not None and v is not None:
        ctx.graph.expand(k)
        ctx.graph.expand(v)
        ctx.graph.expand(store(k, view(keys, (d_k, n * kv_heads))))
        ctx.graph.expand(
            store(v if plan.flash_attention else transpose(v), view(values, (d_v * kv_heads * n,)))
        )
    mask = ctx.mask(windowed=mixer.window_tokens is not None)
    turned = permute(q, 0, 2, 1, 3)
    k_view = view(keys, (d_k, cells, kv_heads))
    if plan.flash_attention:
        v_view = view(values, (d_v, cells, kv_heads))
        out = Tensor("FLASH_ATTN_EXT", "F32", (d_v, heads, n), (turned, k_view, v_view, mask))
        return ctx.graph.expand(reshape(out, d_v * heads, n))
    v_view = view(values, (cells, d_v, kv_heads))
    step = heads_at_once(plan.attention_max_batch_mib, cells * n * heads * 4, heads)
    merged: Tensor | None = None
    for at in range(0, heads, step):
        width = min(step, heads - at)
        part = turned if step == heads else view(turned, (d_k, n, width))
        scores = Tensor("MUL_MAT", "F32", (cells, n, width), (k_view, part))
        part = mul_mat(v_view, like("SOFT_MAX", scores, mask))
        if merged is None:
            merged = part
        else:
            merged = Tensor("CONCAT", "F32", (d_v, n, merged.ne[2] + width), (merged, part))
    assert merged is not None
    joined = permute(merged, 0, 2, 1, 3)
    return ctx.graph.expand(Tensor("CONT", "F32", (d_v * heads, n), (joined,)))


def heads_at_once(most_mib: int, score_bytes: int, heads: int) -> int:
    """Heads whose scores are computed together under -amb: as many as fit, in equal steps."""
    scores_mib = score_bytes // MIB
    if most_mib <= 0 or most_mib >= scores_mib:
        return heads
    return -(-heads // min(-(-scores_mib // most_mib), heads))

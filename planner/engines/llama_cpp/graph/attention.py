"""Softmax attention over a cache of keys and values (llama-graph.cpp: build_qkv, build_attn, build_attn_mha)."""

from planner.engines.ggml.tensor import Tensor, like, mul_mat, permute, reshape, view
from planner.engines.llama_cpp.builds import WRITES_ROWS, since
from planner.engines.llama_cpp.graph.context import GraphContext
from planner.model.attention import Attention


def attention(ctx: GraphContext, layer: int, mixer: Attention, x: Tensor) -> Tensor:
    """The block's output in front of the residual; `x` is normed already."""
    n = ctx.n_tokens
    heads, d_k, d_v = mixer.n_heads, mixer.key_head_dim, mixer.value_head_dim
    q, k, v = _projections(ctx, layer, mixer, x)
    gate = None
    if mixer.output_gate == "in_query":
        both = reshape(q, 2 * d_k, heads, n)
        q, gate = view(both, (d_k, heads, n)), view(both, (d_k, heads, n))
    q = ctx.rope(_qk_norm(ctx, layer, "attn_q_norm", q, mixer))
    if k is not None:
        k = ctx.rope(_qk_norm(ctx, layer, "attn_k_norm", k, mixer))
    out = cached_attention(ctx, layer, mixer, q, k, v)
    if gate is not None:
        gate = Tensor("CONT", "F32", (d_k * heads, n), (gate,))
        out = like("MUL", out, like("UNARY", gate))
    elif mixer.output_gate != "none" and ctx.has(layer, "attn_gate"):
        gate = like("UNARY", ctx.multiply(layer, "attn_gate", x))
        if mixer.output_gate == "head":
            gate = reshape(gate, 1, heads, n)
            out = reshape(out, d_v, heads, n)
        out = like("MUL", out, gate)
        out = reshape(out, d_v * heads, n)
    return ctx.multiply(layer, "attn_output", out)


def _projections(
    ctx: GraphContext, layer: int, mixer: Attention, x: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    n = ctx.n_tokens
    heads, kv_heads, d_k, d_v = mixer.n_heads, mixer.n_kv_heads, mixer.key_head_dim, mixer.value_head_dim
    if ctx.has(layer, "attn_qkv"):
        both = ctx.multiply(layer, "attn_qkv", x)
        return (
            view(both, (d_k, heads, n)), view(both, (d_k, kv_heads, n)), view(both, (d_v, kv_heads, n)),
        )  # fmt: skip
    q = ctx.multiply(layer, "attn_q", x)
    if mixer.qk_norm == "full":
        q = ctx.norm(q, layer, "attn_q_norm")
    if mixer.output_gate != "in_query":
        q = reshape(q, d_k, heads, n)
    if mixer.shares_kv:
        return q, None, None
    k = ctx.multiply(layer, "attn_k", x)
    v = k if mixer.value_is_key else ctx.multiply(layer, "attn_v", x)
    if mixer.qk_norm == "full":
        k = ctx.norm(k, layer, "attn_k_norm")
    return q, reshape(k, d_k, kv_heads, n), reshape(v, d_v, kv_heads, n)


def _qk_norm(ctx: GraphContext, layer: int, role: str, x: Tensor, mixer: Attention) -> Tensor:
    return ctx.norm(x, layer, role) if mixer.qk_norm == "head" and ctx.has(layer, role) else x


def cached_attention(
    ctx: GraphContext, layer: int, mixer: Attention, q: Tensor, k: Tensor | None, v: Tensor | None
) -> Tensor:
    """Stores keys and values and attends to the whole cache; heads side by side in the result."""
    kv_heads, d_k, d_v = mixer.n_kv_heads, mixer.key_head_dim, mixer.value_head_dim
    flags = ctx.flags
    cells, streams = ctx.cells(mixer.window_tokens), ctx.n_streams
    k_rotation, v_rotation = (
        ctx.rotation(which, width, windowed=mixer.window_tokens is not None)
        for which, width in (("k", d_k), ("v", d_v))
    )
    q = _rotated(q, k_rotation)
    if k is not None and v is not None:
        k, v = _rotated(k, k_rotation), _rotated(v, v_rotation)
        ctx.graph.expand(q)
        ctx.graph.expand(v)
        ctx.graph.expand(k)
        _store(ctx, layer, mixer, k, v, cells * streams)
    else:
        ctx.graph.expand(q)
    keys = ctx.cache(layer, "k", flags.k_type, (d_k * kv_heads, cells, streams))
    values = ctx.cache(layer, "v", flags.v_type, (d_v * kv_heads, cells, streams))
    key_view = view(keys, (d_k, kv_heads, cells, streams))
    if flags.flash_attention:
        value_view = view(values, (d_v, kv_heads, cells, streams))
    else:
        value_view = view(values, (cells, kv_heads, d_v, streams))
    out = attend(ctx, q, key_view, value_view, ctx.mask(mixer.window_tokens), d_v, soft_cap=False)
    return _rotated(out, v_rotation)


def attend(
    ctx: GraphContext, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, d_v: int, *, soft_cap: bool = False,
    latent_values: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Attention of queries to a cache (build_attn_mha); `latent_values` expands what was read of latents."""
    streams, cells = k.ne[3], k.ne[2]
    heads, n = q.ne[1], q.ne[2] // streams
    q = permute(view(q, (q.ne[0], heads, n, streams)), 0, 2, 1, 3)
    k = permute(k, 0, 2, 1, 3)
    v = permute(v, 0, 2, 1, 3)
    if ctx.flags.flash_attention:
        out = Tensor("FLASH_ATTN_EXT", "F32", (d_v, heads, n, streams), (q, k, v, mask))
        if latent_values is not None:
            out = permute(out, 0, 2, 1, 3)
            out = mul_mat(latent_values, out)
            out = permute(out, 0, 2, 1, 3)
            out = Tensor("CONT", "F32", out.ne, (out,))
        out = reshape(out, out.ne[0] * out.ne[1], out.ne[2] * out.ne[3])
    else:
        scores = Tensor("MUL_MAT", "F32", (cells, n, heads, streams), (k, q))
        if soft_cap:
            scores = like("SCALE", like("UNARY", like("SCALE", scores)))
        scores = like("SOFT_MAX", scores, mask)
        out = Tensor("MUL_MAT", "F32", (d_v, n, heads, streams), (v, scores))
        if latent_values is not None:
            out = mul_mat(latent_values, out)
        out = permute(out, 0, 2, 1, 3)
        out = Tensor("CONT", "F32", (out.ne[0] * heads, n * streams), (out,))
        if ctx.plan.pins and not ctx.flags.kv_offload:
            out.backend = ctx.host
    ctx.graph.expand(out)
    return out


def _store(ctx: GraphContext, layer: int, mixer: Attention, k: Tensor, v: Tensor, cells: int) -> None:
    n, flags = ctx.n_tokens, ctx.flags
    width_k, width_v = k.ne[0] * k.ne[1], v.ne[0] * v.ne[1]
    kind = "" if mixer.window_tokens is None else "window "
    keys = ctx.cache(layer, "k", flags.k_type, (width_k, cells // ctx.n_streams, ctx.n_streams))
    values = ctx.cache(layer, "v", flags.v_type, (width_v, cells // ctx.n_streams, ctx.n_streams))
    k_rows = ctx.input(f"{kind}k rows", "I64", (n,))
    ctx.graph.expand(set_rows(keys, view(k, (width_k, n), contiguous=k.layout is None), k_rows))
    if flags.flash_attention:
        v_rows = ctx.input(f"{kind}v rows", "I64", (n,))
        ctx.graph.expand(set_rows(values, view(v, (width_v, n), contiguous=v.layout is None), v_rows))
        return
    each = _widest_value(ctx) if since(flags, WRITES_ROWS) else 1
    v_rows = ctx.input(f"{kind}v rows", "I64", (n * each,))
    if v.layout is not None:
        v = Tensor("CONT", "F32", (width_v, n), (v,))
    ctx.graph.expand(set_rows(reshape(values, 1, width_v * cells), reshape(v, 1, width_v * n), v_rows))


def _widest_value(ctx: GraphContext) -> int:
    return max((g.mixer.v_elements_per_token for g in ctx.network.groups if g.mixer is not None), default=0)


def set_rows(target: Tensor, rows: Tensor, where: Tensor) -> Tensor:
    """Rows written into a cache: the result is a view of it (ggml_set_rows; sources are rows and indices)."""
    return Tensor(
        "SET_ROWS",
        target.type_name,
        target.ne,
        (rows, where, target),
        root=target.root or target,
        layout="cache",
    )


def _rotated(x: Tensor, rotation: Tensor | None) -> Tensor:
    """llama_mul_mat_hadamard: rows cut into pieces of the rotation's size."""
    if rotation is None:
        return x
    size = rotation.ne[0]
    flat = x if x.layout is None else Tensor("CONT", x.type_name, x.ne, (x,))
    total = flat.ne[0] * flat.ne[1] * flat.ne[2] * flat.ne[3]
    out = mul_mat(rotation, reshape(flat, size, total // size))
    return reshape(out, *x.ne)

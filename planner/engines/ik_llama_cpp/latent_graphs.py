"""Multi-head latent attention as ik_llama.cpp computes it: -mla 0, 1, 2 and 3, with and without flash attention.

llama.cpp, build_deepseek2 (builds to 3902); graphs/build_deepseek2.cpp, build_deepseek2_layer_attention (since).
"""

from hardware.units import MIB
from planner.engines.ggml.tensor import (
    Tensor,
    cast,
    concat,
    like,
    mul_mat,
    permute,
    reshape,
    store,
    transpose,
    view,
)
from planner.engines.ik_llama_cpp.attention_graphs import cached_attention, heads_at_once
from planner.engines.ik_llama_cpp.graph_context import GraphContext
from planner.model.attention import Attention
from planner.model.latent import LatentAttention

PROMPT_TOKENS = 128  # from here on a batch counts as a prompt: pp_opt in build_deepseek2


def latent_attention(ctx: GraphContext, layer: int, mixer: LatentAttention, x: Tensor) -> Tensor:
    """The block's output in front of the residual; `x` is the layer's input."""
    n, hidden, heads = ctx.n_tokens, x.ne[0], mixer.n_heads
    nope, rope = mixer.qk_nope_head_dim, mixer.qk_rope_head_dim
    normed = ctx.norm(x, layer, "attn_norm")
    latents = mul_mat(ctx.weight(layer, "attn_kv_a_mqa", hidden, mixer.kv_lora_rank + rope), normed)
    q = _queries(ctx, layer, mixer, normed, latents)
    q_nope, q_rope = view(q, (nope, heads, n)), view(q, (rope, heads, n))
    k_rope = view(latents, (rope, 1, n))
    if ctx.era.orders_latent_queries_first:
        ctx.graph.expand(q_rope)
        ctx.graph.expand(k_rope)
    q_rope, k_rope = ctx.rope(q_rope), ctx.rope(k_rope)
    if ctx.era.orders_latent_queries_first:
        ctx.graph.expand(q_rope)
        ctx.graph.expand(k_rope)
    latent = ctx.norm(view(latents, (mixer.kv_lora_rank, n)), layer, "attn_kv_a_norm")
    if not ctx.plan.mla:
        out = _expanded(ctx, layer, mixer, (q_nope, q_rope, k_rope, latent))
    else:
        out = _compressed(ctx, layer, mixer, (q_nope, q_rope, k_rope, latent))
        ctx.graph.expand(out)
    return mul_mat(ctx.weight(layer, "attn_output", heads * mixer.v_head_dim, hidden), out)


def _queries(
    ctx: GraphContext, layer: int, mixer: LatentAttention, normed: Tensor, latents: Tensor
) -> Tensor:
    width = mixer.n_heads * (mixer.qk_nope_head_dim + mixer.qk_rope_head_dim)
    hidden = normed.ne[0]
    if mixer.q_lora_rank is None:
        q = mul_mat(ctx.weight(layer, "attn_q", hidden, width), normed)
    else:
        q = mul_mat(ctx.weight(layer, "attn_q_a", hidden, mixer.q_lora_rank), normed)
    if ctx.era.orders_latent_queries_first:
        ctx.graph.expand(q)
        ctx.graph.expand(latents)
    if mixer.q_lora_rank is not None:
        q = ctx.norm(q, layer, "attn_q_a_norm")
        q = mul_mat(ctx.weight(layer, "attn_q_b", mixer.q_lora_rank, width), q)
    return q


def _expanded(
    ctx: GraphContext, layer: int, mixer: LatentAttention, parts: tuple[Tensor, Tensor, Tensor, Tensor]
) -> Tensor:
    """-mla 0: every head's keys and values are computed and cached."""
    q_nope, q_rope, k_rope, latent = parts
    n, heads = ctx.n_tokens, mixer.n_heads
    nope, rope, value = mixer.qk_nope_head_dim, mixer.qk_rope_head_dim, mixer.v_head_dim
    both = mul_mat(ctx.weight(layer, "attn_kv_b", mixer.kv_lora_rank, heads * (nope + value)), latent)
    v = Tensor("CONT", "F32", (value, heads, n), (view(both, (value, heads, n)),))
    q = concat(q_nope, q_rope, 0)
    repeated = Tensor("REPEAT", "F32", (rope, heads, n), (k_rope, q_rope))
    k = concat(view(both, (nope, heads, n)), repeated, 0)
    as_cached = Attention(n_heads=heads, n_kv_heads=heads, key_head_dim=nope + rope, value_head_dim=value)
    return cached_attention(ctx, layer, as_cached, (q, k, reshape(v, value * heads, n)))


def _compressed(
    ctx: GraphContext, layer: int, mixer: LatentAttention, parts: tuple[Tensor, Tensor, Tensor, Tensor]
) -> Tensor:
    """-mla 1 to 3: the latent is cached; prompts expand it chunk by chunk under flash attention with 2 and 3."""
    q_nope, q_rope, k_rope, latent = parts
    plan, n, cells, rank = ctx.plan, ctx.n_tokens, ctx.plan.n_cells, mixer.kv_lora_rank
    width = rank + mixer.qk_rope_head_dim
    turned: Tensor | None = None
    if plan.mla == 1 and not plan.flash_attention:
        columns = ctx.cache(layer, "cache_v", plan.v_type, cells, rank)
        ctx.graph.expand(store(transpose(latent), view(columns, (n, rank))))
        turned = view(columns, (cells, rank))
    keys = ctx.cache(layer, "cache_k", plan.k_type, width, cells)
    row = concat(permute(k_rope, 0, 2, 1, 3), latent, 0)
    ctx.graph.expand(store(row, view(keys, (width, n))))
    if plan.mla > 1 and plan.flash_attention and n >= PROMPT_TOKENS:
        if ctx.era.expands_whole_cache:
            return _at_once(ctx, layer, mixer, (q_nope, q_rope, keys))
        return _in_chunks(ctx, layer, mixer, (q_nope, q_rope, keys))
    return _absorbed(ctx, layer, mixer, (q_nope, q_rope, keys, turned))


def heads_in_chunk(expanded_mib: int, most_mib: int, heads: int, *, fits: bool) -> int:
    """Heads whose keys and values are expanded at once: all, or as -amb bounds them.

    Builds before c1c342146 halve until the chunk fits or the heads are odd; later ones take the largest divisor.
    """
    if most_mib <= 0 or expanded_mib <= most_mib:
        return heads
    if fits:
        fit = (heads // k for k in range(2, heads) if heads % k == 0 and expanded_mib // k <= most_mib)
        return next(fit, 1)
    while heads % 2 == 0 and expanded_mib > most_mib:
        heads //= 2
        expanded_mib //= 2
    return heads


def _in_chunks(
    ctx: GraphContext, layer: int, mixer: LatentAttention, parts: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    q_nope, q_rope, keys = parts
    plan, graph, n, cells, heads = ctx.plan, ctx.graph, ctx.n_tokens, ctx.plan.n_cells, mixer.n_heads
    nope, rope, value = mixer.qk_nope_head_dim, mixer.qk_rope_head_dim, mixer.v_head_dim
    per_head = nope + value
    expanded_mib = heads * per_head * cells * 4 // MIB
    chunk = heads_in_chunk(expanded_mib, plan.attention_max_batch_mib, heads, fits=ctx.era.fits_chunks)
    latent = view(keys, (mixer.kv_lora_rank, cells))
    kept = plan.k_type if plan.n_gpus == 0 else "F16"
    rotary = view(keys, (rope, cells, 1))
    if plan.k_type != kept:
        rotary = cast(rotary, "F16")
    rotary = Tensor("REPEAT", kept, (rope, cells, chunk), (rotary,))
    q = graph.expand(permute(concat(q_rope, q_nope, 0), 0, 2, 1, 3))
    matrix = ctx.weight(layer, "attn_kv_b", mixer.kv_lora_rank, heads * per_head)
    joined: Tensor | None = None
    for _ in range(heads // chunk):
        both = mul_mat(view(matrix, (mixer.kv_lora_rank, per_head * chunk)), latent)
        v = cast(view(both, (value, cells, chunk)), kept)
        k_nope = graph.expand(cast(view(both, (nope, cells, chunk)), kept))
        graph.expand(v)
        k = graph.expand(concat(rotary, k_nope, 0))
        part = view(q, (nope + rope, n, chunk))
        out = Tensor("FLASH_ATTN_EXT", "F32", (value, chunk, n), (part, k, v, ctx.mask(windowed=False)))
        flat = reshape(out, value * chunk, n)
        joined = flat if joined is None else concat(joined, flat, 0)
        if ctx.era.frees_chunks:
            graph.expand(joined)
    assert joined is not None
    return joined


def _at_once(
    ctx: GraphContext, layer: int, mixer: LatentAttention, parts: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Builds before 3590: keys and values of all heads in f32, then turned into the cache's type."""
    q_nope, q_rope, keys = parts
    n, cells, heads, rank = ctx.n_tokens, ctx.plan.n_cells, mixer.n_heads, mixer.kv_lora_rank
    nope, rope, value = mixer.qk_nope_head_dim, mixer.qk_rope_head_dim, mixer.v_head_dim
    wide = cast(view(keys, (rank + rope, cells)), "F32")
    matrix = ctx.weight(layer, "attn_kv_b", rank, heads * (nope + value))
    both = mul_mat(matrix, view(wide, (rank, cells)))
    rotary = Tensor("REPEAT", "F32", (rope, heads, cells), (view(wide, (rope, 1, cells)),))
    k = cast(concat(view(both, (nope, cells, heads)), permute(rotary, 0, 2, 1, 3), 0), ctx.plan.k_type)
    v = cast(view(both, (value, cells, heads)), ctx.plan.k_type)
    q = permute(concat(q_nope, q_rope, 0), 0, 2, 1, 3)
    out = Tensor("FLASH_ATTN_EXT", "F32", (value, heads, n), (q, k, v, ctx.mask(windowed=False)))
    return reshape(out, value * heads, n)


def _absorbed(
    ctx: GraphContext, layer: int, mixer: LatentAttention, parts: tuple[Tensor, Tensor, Tensor, Tensor | None]
) -> Tensor:
    q_nope, q_rope, keys, turned = parts
    plan, n, cells, heads, rank = ctx.plan, ctx.n_tokens, ctx.plan.n_cells, mixer.n_heads, mixer.kv_lora_rank
    nope, rope, value = mixer.qk_nope_head_dim, mixer.qk_rope_head_dim, mixer.v_head_dim
    matrix = ctx.weight(layer, "attn_k_b", nope, rank, heads)
    q = concat(permute(q_rope, 0, 2, 1, 3), mul_mat(matrix, permute(q_nope, 0, 2, 1, 3)), 0)
    mask = ctx.mask(windowed=False)
    everything = view(keys, (rank + rope, cells))
    if plan.flash_attention and plan.mla in (1, 3):
        out = Tensor(
            "FLASH_ATTN_EXT", "F32", (rank, heads, n), (q, everything, view(keys, (rank, cells)), mask)
        )
        mixed = permute(out, 0, 2, 1, 3)
    else:
        if turned is None:
            turned = Tensor("CONT", plan.k_type, (cells, rank), (transpose(view(keys, (rank, cells))),))
        mixed = _scored(ctx, q, (everything, turned, mask), heads)
    by_head = mul_mat(ctx.weight(layer, "attn_v_b", rank, value, heads), mixed)
    joined = permute(by_head, 0, 2, 1, 3)
    flat = Tensor("CONT", "F32", joined.ne, (joined,))
    return view(flat, (value * heads, n), contiguous=True)


def _scored(ctx: GraphContext, q: Tensor, parts: tuple[Tensor, Tensor, Tensor], heads: int) -> Tensor:
    everything, turned, mask = parts
    n, cells = ctx.n_tokens, ctx.plan.n_cells
    is_prompt = n >= PROMPT_TOKENS
    step = heads_at_once(ctx.plan.attention_max_batch_mib, cells * n * heads * 4, heads)
    if step == heads:
        scores = mul_mat(everything, q if is_prompt else permute(q, 0, 2, 1, 3))
        if not is_prompt:
            flipped = permute(scores, 0, 2, 1, 3)
            scores = Tensor("CONT", "F32", flipped.ne, (flipped,))
        scores = like("SOFT_MAX", scores, mask)
        mixed = mul_mat(turned, scores if is_prompt else permute(scores, 0, 2, 1, 3))
        return mixed if is_prompt else permute(mixed, 0, 2, 1, 3)
    mixed_parts: Tensor | None = None
    for at in range(0, heads, step):
        width = min(step, heads - at)
        scores = like("SOFT_MAX", mul_mat(everything, view(q, (q.ne[0], n, width))), mask)
        part = mul_mat(turned, scores)
        mixed_parts = part if mixed_parts is None else concat(mixed_parts, part, 2)
        ctx.graph.expand(mixed_parts)
    assert mixed_parts is not None
    return mixed_parts

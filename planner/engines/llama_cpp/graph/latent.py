"""Multi-head latent attention on the latent itself (src/models/deepseek2.cpp, the MLA branch)."""

from planner.engines.ggml.tensor import Tensor, concat, mul_mat, permute, reshape, view
from planner.engines.llama_cpp.graph.attention import attend, set_rows
from planner.engines.llama_cpp.graph.context import GraphContext
from planner.model.latent import LatentAttention


def latent_attention(ctx: GraphContext, layer: int, mixer: LatentAttention, x: Tensor) -> Tensor:
    """The block's output in front of the residual; `x` is normed already."""
    n, heads = ctx.n_tokens, mixer.n_heads
    nope, rope, rank = mixer.qk_nope_head_dim, mixer.qk_rope_head_dim, mixer.kv_lora_rank
    if ctx.has(layer, "attn_q_a"):
        q = ctx.norm(ctx.multiply(layer, "attn_q_a", x), layer, "attn_q_a_norm")
        q = ctx.multiply(layer, "attn_q_b", q)
    else:
        q = ctx.multiply(layer, "attn_q", x)
    q = reshape(q, nope + rope, heads, n)
    both = ctx.multiply(layer, "attn_kv_a_mqa", x)
    k_rope = view(both, (rope, 1, n))
    k_rope = ctx.rope(k_rope)
    latent = ctx.norm(view(both, (rank, n)), layer, "attn_kv_a_norm")
    q_rope = ctx.rope(view(q, (rope, heads, n)))
    q_nope = permute(view(q, (nope, heads, n)), 0, 2, 1, 3)
    absorbed = permute(mul_mat(ctx.weight(layer, "attn_k_b"), q_nope), 0, 2, 1, 3)
    query = concat(absorbed, q_rope, 0)
    value = reshape(latent, rank, 1, n)
    key = concat(value, k_rope, 0)
    for tensor in (query, value, key):
        ctx.graph.expand(tensor)
    cells, streams = ctx.cells(None), ctx.n_streams
    keys = ctx.cache(layer, "k", ctx.flags.k_type, (rank + rope, cells, streams))
    rows = ctx.input("k rows", "I64", (n,))
    ctx.graph.expand(set_rows(keys, view(key, (rank + rope, n), contiguous=True), rows))
    key_view = view(keys, (rank + rope, 1, cells, streams))
    value_view = view(key_view, (rank, 1, cells, streams))
    if not ctx.flags.flash_attention:
        value_view = _turned_for_later(value_view)
    values = ctx.weight(layer, "attn_v_b")
    out = attend(ctx, query, key_view, value_view, ctx.mask(None), rank, latent_values=values)
    return ctx.multiply(layer, "attn_output", out)


def _turned_for_later(value: Tensor) -> Tensor:
    """Values lie in the rows of keys, so each attention makes them a transposed copy (v_cont)."""
    turned = view(value, (value.ne[2], value.ne[0], 1, value.ne[3]))
    made = Tensor("CONT", value.type_name, turned.ne, (turned,))
    return permute(made, 0, 2, 1, 3)

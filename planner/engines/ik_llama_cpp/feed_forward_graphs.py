"""Dense blocks and mixtures of experts as ik_llama.cpp computes them.

llama.cpp and llama-build-context.cpp: llm_build_ffn, llm_build_moe_ffn, llm_build_std_moe_ffn.
"""

from planner.engines.ggml.tensor import Tensor, get_rows, like, mul_mat, reshape, view
from planner.engines.ik_llama_cpp.graph_context import GraphContext
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward


def dense(ctx: GraphContext, layer: int, block: FeedForward, x: Tensor, suffix: str = "") -> Tensor:
    """A dense block on `x`, already normed; `suffix` tells a shared expert's matrices apart."""
    hidden, size = x.ne[0], block.intermediate_size
    down = ctx.weight(layer, f"ffn_down{suffix}", size, hidden)
    if not block.gated:
        return mul_mat(down, like("UNARY", mul_mat(ctx.weight(layer, f"ffn_up{suffix}", hidden, size), x)))
    if block.fused_gate:
        both = mul_mat(ctx.weight(layer, f"ffn_up{suffix}", hidden, 2 * size), x)
        return mul_mat(down, Tensor("UNARY", "F32", (size, *x.ne[1:]), (both,)))
    up = ctx.weight(layer, f"ffn_up{suffix}", hidden, size)
    gate = ctx.weight(layer, f"ffn_gate{suffix}", hidden, size)
    if ctx.era.fuses_dense_gate and not block.bias:
        return mul_mat(down, Tensor("FUSED_UP_GATE", "F32", (size, *x.ne[1:]), (up, gate, x)))
    return mul_mat(down, _gated(ctx, mul_mat(gate, x), mul_mat(up, x)))


def _gated(ctx: GraphContext, gate: Tensor, up: Tensor) -> Tensor:
    if ctx.era.fuses_gate:
        return like("FUSED_MUL_UNARY", gate, up)
    return like("MUL", like("UNARY", gate), up)


def routed(ctx: GraphContext, layer: int, block: Experts, x: Tensor) -> Tensor:
    """The routed experts of a block on `x`, already normed, weighted and summed."""
    n, hidden = x.ne[1], x.ne[0]
    total, used, size = block.n_experts, block.n_active, block.intermediate_size
    scores = mul_mat(ctx.weight(layer, "ffn_gate_inp", hidden, total), x)
    if block.router_bias:
        scores = like("ADD", scores, ctx.vector(layer, "ffn_gate_inp.bias", total))
    probabilities = like("SOFT_MAX", scores)
    picked_by = probabilities
    if block.correction_bias:
        picked_by = like("ADD", probabilities, ctx.vector(layer, "exp_probs_b.bias", total))
    order = Tensor("ARGSORT", "I32", (total, n), (picked_by,))
    picked = view(order, (used, n))
    weights = reshape(get_rows(reshape(probabilities, 1, total, n), picked, (1, used, n)), used, n)
    weights = like("DIV", weights, Tensor("SUM_ROWS", "F32", (1, n), (weights,)))
    weights = reshape(weights, 1, used, n)
    if block.correction_bias:  # the families that have one scale the weights too
        weights = like("SCALE", weights)
    if ctx.era.orders_projections_first:
        ctx.graph.expand(weights)
    inner = _expert_inner(ctx, layer, block, reshape(x, hidden, 1, n), picked)
    down = ctx.weight(layer, "ffn_down_exps", size, hidden, total)
    out = Tensor("MUL_MAT_ID", "F32", (hidden, used, n), (down, inner, picked))
    if block.expert_bias:
        out = like("ADD_ID", out, ctx.vector(layer, "ffn_down_exps.bias", hidden * total), picked)
    if ctx.era.fuses_expert_sum:
        return Tensor("MUL_MULTI_ADD", "F32", (hidden, n), (out, weights))
    out = like("MUL", out, weights)
    return Tensor("MULTI_ADD", "F32", (hidden, n), (view(out, (hidden, n)),))


def _expert_inner(ctx: GraphContext, layer: int, block: Experts, x: Tensor, picked: Tensor) -> Tensor:
    hidden, n = x.ne[0], x.ne[2]
    total, used, size = block.n_experts, block.n_active, block.intermediate_size
    if block.fused_gate:
        both = ctx.weight(layer, "ffn_gate_up_exps", hidden, 2 * size, total)
        return Tensor("MOE_FUSED_UP_GATE", "F32", (size, used, n), (both, x, picked))
    up = ctx.weight(layer, "ffn_up_exps", hidden, size, total)
    gate = ctx.weight(layer, "ffn_gate_exps", hidden, size, total)
    shape = (size, used, n)
    if ctx.plan.fused_moe and (up.type_name == gate.type_name or not ctx.era.fuses_expert_sum):
        return Tensor("MOE_FUSED_UP_GATE", "F32", shape, (up, gate, x, picked))
    made = [Tensor("MUL_MAT_ID", "F32", shape, (matrix, x, picked)) for matrix in (up, gate)]
    if ctx.era.orders_projections_first:
        for tensor in made:
            ctx.graph.expand(tensor)
    return _gated(ctx, made[1], made[0])


def experts(ctx: GraphContext, layer: int, block: Experts, normed: Tensor, residual: Tensor) -> Tensor:
    """Routed and shared experts and the residual, in the order of the build."""
    late = ctx.era.orders_projections_first
    out = routed(ctx, layer, block, normed)
    if late and block.shared_gate:  # llm_build_std_moe_ffn adds the input first
        out = ctx.graph.expand(like("ADD", out, residual))
    if block.shared is not None:
        shared = dense(ctx, layer, block.shared, normed, "_shexp")
        if block.shared_gate:
            gate = like("UNARY", mul_mat(ctx.weight(layer, "ffn_gate_inp_shexp", normed.ne[0], 1), normed))
            shared = like("MUL", shared, gate)
        out = like("ADD", out, shared)
    if late and block.shared_gate:
        return ctx.graph.expand(out)
    out = like("ADD", out, residual)
    return ctx.graph.expand(out) if late and block.shared is None else out

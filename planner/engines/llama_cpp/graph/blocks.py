"""Feed-forward blocks, dense and of experts (llama-graph.cpp: build_ffn, build_moe_ffn)."""

from planner.engines.ggml.tensor import Tensor, get_rows, like, reshape, view
from planner.engines.llama_cpp.graph.context import GraphContext
from planner.model.experts import Experts
from planner.model.network import Block

# Families that weight the experts' inputs instead of their outputs.
# A GPU sums weighted experts in one step and keeps their results until then (MOE_WEIGHTED_REDUCTION_MAX_EXPERTS
# in ggml-cuda.cu; the same in Vulkan and Metal).
_MOST_FUSED_EXPERTS = 15
_WEIGHT_FIRST = frozenset(("llama4", "llama4_text"))


def block(ctx: GraphContext, layer: int, part: Block, x: Tensor) -> Tensor:
    """The block's output in front of the residual; `x` is normed already."""
    if not isinstance(part, Experts):
        return dense(ctx, layer, "", x)
    out = experts(ctx, layer, part, x)
    if ctx.first(layer, "ffn_up_shexp", "ffn_gate_up_shexp"):
        shared = dense(ctx, layer, "_shexp", x)
        if ctx.has(layer, "ffn_gate_inp_shexp"):
            gate = like("UNARY", _shared_gate(ctx, layer, x))
            shared = like("MUL", shared, gate)
        out = like("ADD", out, shared)
    if part.residual is not None:
        out = like("ADD", out, dense(ctx, layer, "", x))
    return out


def _shared_gate(ctx: GraphContext, layer: int, x: Tensor) -> Tensor:
    return Tensor("MUL_MAT", "F32", (1, x.ne[1]), (ctx.weight(layer, "ffn_gate_inp_shexp"), x))


def dense(ctx: GraphContext, layer: int, suffix: str, x: Tensor) -> Tensor:
    """A dense block: two or three matrices, biases where they are stored."""
    up = ctx.multiply(layer, f"ffn_up{suffix}", x)
    down = f"ffn_down{suffix}"
    width = ctx.shape(layer, down)[0]
    if ctx.has(layer, f"ffn_gate{suffix}"):
        gate = ctx.multiply(layer, f"ffn_gate{suffix}", x)
        inner = Tensor("GLU", "F32", gate.ne, (gate, up))
    elif up.ne[0] == 2 * width:
        inner = Tensor("GLU", "F32", (width, *up.ne[1:]), (up,))
    else:
        inner = like("UNARY", up)
    return ctx.multiply(layer, down, inner)


def experts(ctx: GraphContext, layer: int, part: Experts, x: Tensor) -> Tensor:
    """Routed experts, summed."""
    n, k = x.ne[1], part.n_active
    logits = ctx.multiply(layer, "ffn_gate_inp", x)
    late_softmax = part.router_bias and part.expert_bias  # gpt-oss
    probabilities = logits if late_softmax else like("SOFT_MAX", logits)
    if part.correction_bias:
        # Sigmoid in the families that have it, and the bias only decides who is picked.
        probabilities = like("UNARY", logits)
    picking = probabilities
    if ctx.has(layer, "exp_probs_b.bias"):
        picking = like("ADD", probabilities, ctx.weight(layer, "exp_probs_b.bias"))
    order = Tensor("ARGSORT", "I32", picking.ne, (picking,))
    picked = view(order, (k, n))
    weights = get_rows(reshape(probabilities, 1, part.n_experts, n), picked, (1, k, n))
    if late_softmax:
        weights = reshape(like("SOFT_MAX", reshape(weights, k, n)), 1, k, n)
    elif k > 1:
        weights = reshape(weights, k, n)
        total = like("CLAMP", Tensor("SUM_ROWS", "F32", (1, n), (weights,)))
        weights = reshape(like("DIV", weights, total), 1, k, n)
    ctx.graph.expand(weights)
    x = _into_latent(ctx, layer, x)
    cur = reshape(x, x.ne[0], 1, n)
    if ctx.network.architecture in _WEIGHT_FIRST:
        cur = like("MUL", Tensor("REPEAT", "F32", (x.ne[0], k, n), (cur,)), weights)
    inner = _experts_inner(ctx, layer, cur, picked, k)
    out = each = _multiply_id(ctx, layer, "ffn_down_exps", inner, picked, k)
    if ctx.network.architecture not in _WEIGHT_FIRST:
        out = like("MUL", out, weights)
    ctx.graph.expand(out)
    parts = [view(out, (out.ne[0], n)) for _ in range(k)]
    for item in parts:
        ctx.graph.expand(item)
    summed = parts[0]
    for item in parts[1:]:
        summed = ctx.graph.expand(like("ADD", summed, item))
    if out is not each and 2 <= k <= _MOST_FUSED_EXPERTS and ctx.fuses(layer):
        ctx.graph.nodes.append(Tensor("NONE", "F32", each.ne, (each, weights), root=each))
    if k == 1:
        summed = Tensor("CONT", "F32", summed.ne, (summed,))
    return _out_of_latent(ctx, layer, summed)


def _experts_inner(ctx: GraphContext, layer: int, x: Tensor, picked: Tensor, k: int) -> Tensor:
    width = ctx.shape(layer, "ffn_down_exps")[0]
    if ctx.has(layer, "ffn_gate_up_exps"):
        both = _multiply_id(ctx, layer, "ffn_gate_up_exps", x, picked, k)
        gate, up = view(both, (width, k, both.ne[2])), view(both, (width, k, both.ne[2]))
        return Tensor("GLU", "F32", gate.ne, (gate, up))
    up = _multiply_id(ctx, layer, "ffn_up_exps", x, picked, k)
    if ctx.has(layer, "ffn_gate_exps"):
        gate = _multiply_id(ctx, layer, "ffn_gate_exps", x, picked, k)
        return Tensor("GLU", "F32", gate.ne, (gate, up))
    return like("SQR", like("UNARY", up))


def _multiply_id(ctx: GraphContext, layer: int, role: str, x: Tensor, picked: Tensor, k: int) -> Tensor:
    matrix = ctx.weight(layer, role)
    out = Tensor("MUL_MAT_ID", "F32", (matrix.ne[1], k, x.ne[2]), (matrix, x, picked))
    if ctx.has(layer, f"{role}.bias"):
        out = like("ADD_ID", out, ctx.weight(layer, f"{role}.bias"), picked)
    return out


def _into_latent(ctx: GraphContext, layer: int, x: Tensor) -> Tensor:
    role = ctx.first(layer, "ffn_latent_down", "ffn_routed_down")
    return ctx.multiply(layer, role, x) if role else x


def _out_of_latent(ctx: GraphContext, layer: int, x: Tensor) -> Tensor:
    if ctx.has(layer, "ffn_routed_norm"):
        x = ctx.norm(x, layer, "ffn_routed_norm")
    role = ctx.first(layer, "ffn_latent_up", "ffn_routed_up")
    return ctx.multiply(layer, role, x) if role else x

"""The worst-case graph of a context, and the compute buffers that it needs on every device.

llama.cpp, llama_init_from_model: the graph of one full physical batch at the end of a full cache is planned once,
and its buffers are kept.
"""

from planner.engines.ggml.scheduler import compute_buffers
from planner.engines.ggml.tensor import Graph, Tensor, get_rows, graph_input, like, mul_mat
from planner.engines.ik_llama_cpp.attention_graphs import attention
from planner.engines.ik_llama_cpp.delta_net_graphs import delta_net
from planner.engines.ik_llama_cpp.feed_forward_graphs import dense, experts
from planner.engines.ik_llama_cpp.graph_context import GraphContext, GraphPlan
from planner.engines.ik_llama_cpp.latent_graphs import latent_attention
from planner.errors import UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.network import LayerGroup

MIN_OFFLOAD_TOKENS = 32  # GGML_CUDA_MIN_BATCH_OFFLOAD
# Tables whose rows a GPU can pick (GGML_OP_GET_ROWS in ggml_backend_cuda_supports_op).
ROWS_ON_GPU = frozenset(("F16", "F32", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"))
# Families that bend their logits by tanh, which takes a second copy of them (build_gemma2, build_gemma4).
CAPS_LOGITS = ("gemma2", "gemma3n", "gemma4")
MULTIPLICATIONS = frozenset(("MUL_MAT", "MUL_MAT_ID", "MOE_FUSED_UP_GATE", "FUSED_UP_GATE"))
EXPERT_OPS = frozenset(("MUL_MAT_ID", "MOE_FUSED_UP_GATE"))


def planned_compute_bytes(plan: GraphPlan) -> tuple[int, ...]:
    """Compute buffers of each GPU and, last, of the host."""

    def supports(device: int, node: Tensor) -> bool:
        del device  # all GPUs are alike here
        if node.op in MULTIPLICATIONS:
            if node.src[0].type_name in plan.era.host_only_types:
                return False
            return node.op != "MOE_FUSED_UP_GATE" or _alike(node)
        return node.op != "GET_ROWS" or node.src[0].type_name in ROWS_ON_GPU

    def offloads(node: Tensor) -> bool:
        if not plan.op_offload:
            return False
        if node.op in EXPERT_OPS:
            tokens, used, total = node.ne[2], node.ne[1], node.src[0].ne[2]
            if plan.era.takes_batches_by_active_experts:
                return tokens >= MIN_OFFLOAD_TOKENS and tokens * used >= MIN_OFFLOAD_TOKENS * total
            if node.op == "MOE_FUSED_UP_GATE" and not plan.era.offloads_fused_experts:
                return False
            return tokens >= MIN_OFFLOAD_TOKENS
        return node.ne[1] >= MIN_OFFLOAD_TOKENS and node.op != "GET_ROWS"

    return compute_buffers(
        build_graph(plan), plan.n_gpus, supports=supports, offloads=offloads, n_copies=plan.n_copies
    )


def _alike(node: Tensor) -> bool:
    """Whether gate and up are stored alike, which the fused operation wants."""
    first, second = node.src[:2]
    return not second.is_weight or first.type_name == second.type_name


def build_graph(plan: GraphPlan) -> Graph:
    """The graph of one full batch through the whole network."""
    ctx = GraphContext(plan)
    network = plan.network
    hidden, n = network.hidden_size, plan.n_tokens
    table = ctx.weight(None, "token_embd", hidden, network.vocab_size)
    x = get_rows(table, graph_input("inp_tokens", "I32", (n,)), (hidden, n))
    if network.architecture.startswith("gemma"):
        x = like("SCALE", x)
    by_layer = {layer: group for group in network.groups for layer in group.layers}
    for layer in range(network.n_layers):
        x = _layer(ctx, layer, by_layer[layer], x, is_last=layer == network.n_layers - 1)
    x = ctx.norm(x, None, "output_norm")
    logits = mul_mat(ctx.weight(None, "output", hidden, network.vocab_size), x)
    if network.architecture.startswith(CAPS_LOGITS):
        logits = like("SOFTCAP", logits)
    ctx.graph.expand(logits)
    return ctx.graph


def _layer(ctx: GraphContext, layer: int, group: LayerGroup, x: Tensor, *, is_last: bool) -> Tensor:
    hidden, n = x.ne[0], ctx.n_tokens
    residual = x
    norms = {norm.role for norm in group.norms}
    if group.mixer is not None:
        out = _mixed(ctx, layer, group, x)
        if is_last:
            rows = graph_input("inp_out_ids", "I32", (n,))
            out, residual = get_rows(out, rows, (hidden, n)), get_rows(x, rows, (hidden, n))
        if "post_attention_norm" in norms:
            out = ctx.norm(out, layer, "post_attention_norm")
        residual = like("ADD", out, residual)
    if group.block is None:
        return residual
    normed = ctx.norm(residual, layer, "ffn_norm")
    if isinstance(group.block, Experts):
        return experts(ctx, layer, group.block, normed, residual)
    if not isinstance(group.block, FeedForward):
        raise UnknownArchitectureError(f"ik_llama.cpp's graph of {group.block.kind} is not known here")
    out = dense(ctx, layer, group.block, normed)
    if "post_ffw_norm" in norms:
        out = ctx.norm(out, layer, "post_ffw_norm")
    return like("ADD", out, residual)


def _mixed(ctx: GraphContext, layer: int, group: LayerGroup, x: Tensor) -> Tensor:
    mixer = group.mixer
    if isinstance(mixer, Attention):
        return attention(ctx, layer, mixer, x)
    if isinstance(mixer, LatentAttention):
        return latent_attention(ctx, layer, mixer, x)
    if isinstance(mixer, GatedDeltaNet):
        return delta_net(ctx, layer, mixer, x)
    kind = mixer.kind if mixer is not None else "nothing"
    raise UnknownArchitectureError(f"ik_llama.cpp's graph of {kind} is not known here")

"""A whole network's graph, layer by layer, as llama.cpp builds it for the largest batch."""

from collections.abc import Callable
from typing import Any

from planner.engines.ggml.tensor import Graph, Tensor, get_rows, like
from planner.engines.llama_cpp.builds import HAS_EMBEDDINGS_INPUT, since
from planner.engines.llama_cpp.graph.attention import attention
from planner.engines.llama_cpp.graph.blocks import block
from planner.engines.llama_cpp.graph.context import GraphContext
from planner.engines.llama_cpp.graph.latent import latent_attention
from planner.engines.llama_cpp.graph.recurrent import delta_net, mamba2, short_convolution
from planner.engines.llama_cpp.runs_as import as_run
from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.mamba2 import Mamba2
from planner.model.network import LayerGroup, Network
from planner.model.short_conv import ShortConvolution

# Families whose graph keeps the last hidden state as an output (t_h_nextn in src/models/*.cpp).
_PICKS_IN_FRONT_OF_NORM = frozenset(("gpt_oss", "gpt-oss"))
_PICKS_AFTER_NORM = frozenset(
    (
        "qwen3_next",
        "qwen3next",
        "qwen35",
        "qwen35moe",
        "qwen3_5",
        "qwen3_5_moe",
        "qwen3_5_text",
        "qwen3_5_moe_text",
    )
)


def build(ctx: GraphContext) -> Graph:
    """The graph of one batch."""
    network = as_run(ctx.network)
    groups: dict[int, LayerGroup] = {layer: group for group in network.groups for layer in group.layers}
    hidden = network.hidden_size
    tokens = ctx.input("tokens", "I32", (ctx.n_tokens,))
    x = get_rows(ctx.weight(None, "token_embd"), tokens, (hidden, ctx.n_tokens))
    ctx.graph.expand(x)
    if since(ctx.flags, HAS_EMBEDDINGS_INPUT):
        ctx.graph.leaves.append(ctx.input("embeddings", "F32", (hidden, ctx.n_tokens)))
    if _scales_embeddings(ctx):
        x = like("SCALE", x)
    last = len(ctx.plan.layers) - 1
    late = network.architecture in _PICKS_IN_FRONT_OF_NORM | _PICKS_AFTER_NORM
    for place, layer in enumerate(ctx.plan.layers):
        x = _layer(ctx, place, groups[layer.stored], x, picks=place == last and not late)
    if network.architecture in _PICKS_IN_FRONT_OF_NORM:
        x.is_output = True
        x = get_rows(x, ctx.output_ids, (hidden, ctx.n_outputs))
    x = ctx.norm(x, None, "output_norm")
    x.is_output = True
    if network.architecture in _PICKS_AFTER_NORM:
        x = get_rows(x, ctx.output_ids, (hidden, ctx.n_outputs))
        x.is_output = True
    logits = _logits(ctx, x)
    logits.is_output = True
    ctx.graph.expand(logits)
    return ctx.graph


def _scales_embeddings(ctx: GraphContext) -> bool:
    return ctx.network.architecture.startswith("gemma")


def _logits(ctx: GraphContext, x: Tensor) -> Tensor:
    role = "output" if ctx.has(None, "output") else "token_embd"
    return head(ctx, role, x)


def head(ctx: GraphContext, role: str, x: Tensor) -> Tensor:
    """Logits; a tied head on a GPU has a copy of the embedding table there."""
    stored = ctx.weight(None, role)
    device = ctx.device(ctx.plan.head)
    if stored.home != device:
        stored = Tensor("NONE", stored.type_name, stored.ne, name="head", home=device, is_weight=True)
    out = Tensor("MUL_MAT", "F32", (stored.ne[1], x.ne[1]), (stored, x))
    return ctx.add_bias(None, "output", out)


def _layer(ctx: GraphContext, layer: int, group: LayerGroup, x: Tensor, *, picks: bool) -> Tensor:
    residual = x
    normed = ctx.norm(x, layer, "attn_norm") if ctx.has(layer, "attn_norm") else x
    out = normed
    if any(isinstance(g.mixer, GatedDeltaNet) for g in ctx.network.groups):
        ctx.graph.expand(normed)  # qwen3next.cpp, qwen35.cpp: what came before is computed first
    if group.mixer is not None:
        out = _mixer(ctx, layer, group, normed)
    if picks:
        out, residual = (get_rows(t, ctx.output_ids, (t.ne[0], ctx.n_outputs)) for t in (out, residual))
    has_ffn_norm = ctx.has(layer, "ffn_norm")
    if group.block is None:
        return like("ADD", out, residual) if group.mixer is not None else residual
    if ctx.has(layer, "post_attention_norm") and has_ffn_norm:
        out = ctx.norm(out, layer, "post_attention_norm")
    middle = like("ADD", out, residual)
    inner = ctx.norm(middle, layer, "ffn_norm" if has_ffn_norm else "post_attention_norm")
    out = block(ctx, layer, group.block, inner)
    if ctx.has(layer, "post_ffw_norm"):
        out = ctx.norm(out, layer, "post_ffw_norm")
    return like("ADD", out, middle)


# How each kind of mixer computes; the exact class decides, since each has a graph of its own.
_MIXERS: dict[type, Callable[[GraphContext, int, Any, Tensor], Tensor]] = {
    Attention: attention,
    LatentAttention: latent_attention,
    GatedDeltaNet: delta_net,
    Mamba2: mamba2,
    ShortConvolution: short_convolution,
}


def _mixer(ctx: GraphContext, layer: int, group: LayerGroup, x: Tensor) -> Tensor:
    return _MIXERS[type(group.mixer)](ctx, layer, group.mixer, x)


def graph_is_known(network: Network) -> bool:
    """Whether every mixer and block of the network has its graph here."""
    return all(
        (group.mixer is None or type(group.mixer) in _MIXERS)
        and isinstance(group.block, FeedForward | Experts | None)
        for group in as_run(network).groups
    )

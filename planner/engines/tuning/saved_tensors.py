"""What autograd keeps of a layer's forward pass for its backward pass, part by part.

Each function lists the tensors that a part saves, as bytes per token of one sequence, as transformers 5 runs it
in PyTorch. They were compared with the tensors that PyTorch saved in real models (tests/fixtures/tuning).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from planner.engines.tuning.adapters import Adapter, linear_modules, plain_name
from planner.engines.tuning.settings import QUANTIZED, TuningSettings
from planner.errors import MissingFactError
from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.mamba2 import Mamba2
from planner.model.network import LayerGroup
from planner.model.short_conv import ShortConvolution

# Families whose norms compute and keep everything in FP32 (Gemma*, Olmo2 and Qwen3Next norms in transformers).
_FP32_NORMS = ("gemma", "olmo2", "olmo3", "qwen35", "qwen3next")
# Families whose routers multiply in FP32 whatever the model's type (DeepseekV3TopkRouter and its heirs).
_FP32_ROUTERS = ("deepseek", "glm4moe", "glm4vmoe", "kimi", "dots1", "exaonemoe", "longcat", "mimov2")


_CHUNK = 64  # tokens that flash-linear-attention works on at once
# Parts that follow the attention, and so are differentiated before it.
BLOCK_PARTS = ("MLP", "experts", "router", "shared experts", "dense residual")


def kept_score_bytes(element_bytes: int) -> int:
    """What eager attention keeps of a score: its softmax in FP32, and in the products' type where that differs."""
    return 4 if element_bytes == 4 else 4 + element_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Tensors kept by one part of a layer: for every token, and once whatever the tokens."""

    part: str
    bytes_per_token: float
    fixed_bytes: float = 0.0

    def total_bytes(self, n_tokens: int) -> float:
        """All of it for a step over so many tokens."""
        return self.bytes_per_token * n_tokens + self.fixed_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What the functions below need to know of the layer they list."""

    settings: TuningSettings
    adapted: frozenset[str]
    rank: dict[str, int]
    fp32_norms: bool
    fp32_router: bool

    @property
    def trains(self) -> bool:
        return self.settings.trains_base

    @property
    def a(self) -> int:
        return self.settings.linear_bytes

    @property
    def x(self) -> int:
        return self.settings.hidden_bytes

    @property
    def expert_bytes(self) -> int:
        """Grouped products are not on autocast's list, so experts run in the stream's type unless quantized."""
        return self.a if self.settings.base_type in QUANTIZED else self.x

    def norm(self, width: int, width_bytes: int) -> float:
        """An RMS norm: the input in FP32, one FP32 number, and what its own weight's gradient needs.

        Liger's kernel keeps the input as it is and the one number.
        """
        if self.settings.kernels == "liger":
            return width_bytes * width + 4
        normalised = (4 if self.fp32_norms else width_bytes) * width if self.trains else 0
        return 4 * width + 4 + normalised

    def read(self, width: int, width_bytes: int, roles: Sequence[str], *, kept_anyway: bool = False) -> float:
        """What matrices that read one tensor keep of it, for the gradients of the trained ones.

        Trained weights share the tensor itself, unless autocast makes a 16-bit copy for each. An adapter in
        FP32 casts its input to FP32, and under autocast back to 16 bits: a copy for each adapter.
        """
        shared = 0.0 if kept_anyway else float(width_bytes * width)
        if self.trains:
            copies = self.settings.casts and width_bytes == 4
            return 2.0 * width * len(roles) if copies else shared
        targets = [role for role in roles if role in self.adapted]
        adapter = self.settings.adapter_bytes
        inner = sum(self.rank[role] for role in targets) * (2 if self.settings.casts else adapter)
        if not targets:
            return 0.0
        if self.settings.casts and max(width_bytes, adapter) == 4:
            return inner + 2.0 * width * len(targets)
        if adapter == width_bytes:
            return inner + shared
        return inner + float(adapter * width * len(targets))


def saved_tensors(
    architecture: str,
    group: LayerGroup,
    hidden_size: int,
    adapters: Sequence[Adapter],
    settings: TuningSettings,
) -> tuple[Saved, ...]:
    """Everything one layer saves per token, its parts apart; raises MissingFactError for unknown parts."""
    name = plain_name(architecture)
    layer = _Layer(
        settings=settings,
        adapted=frozenset(adapter.role for adapter in adapters),
        rank={adapter.role: adapter.rank for adapter in adapters},
        fp32_norms=name.startswith(_FP32_NORMS),
        fp32_router=name.startswith(_FP32_ROUTERS),
    )
    n_norms = sum(1 for weight in group.norms if not weight.role.endswith(".bias"))
    found = [Saved(part="norms", bytes_per_token=n_norms * layer.norm(hidden_size, layer.x))]
    if group.mixer is not None:
        rule = _MIXERS.get(type(group.mixer))
        if rule is None or (isinstance(group.mixer, LatentAttention) and group.mixer.indexer is not None):
            raise MissingFactError(_unknown(group.kind, group.mixer.kind))
        found.append(Saved(part="attention", bytes_per_token=rule(layer, group.mixer, hidden_size)))
    if group.block is not None:
        parts = _BLOCKS.get(type(group.block))
        if parts is None or (isinstance(group.block, Experts) and group.block.expert_hidden_size is not None):
            raise MissingFactError(_unknown(group.kind, group.block.kind))
        found += parts(layer, group.block, hidden_size)
    casts = _cast_bytes(group, hidden_size, adapters, settings)
    if casts:
        found.append(Saved(part="weight casts", bytes_per_token=0.0, fixed_bytes=casts))
    return tuple(found)


def _cast_bytes(
    group: LayerGroup, hidden_size: int, adapters: Sequence[Adapter], settings: TuningSettings
) -> float:
    """16-bit copies of weights that the backward pass needs.

    Under autocast those of FP32 matrices and of adapters. peft adapts routed experts and the router by adding
    the product of A and B to the whole weight (ParamWrapper), which makes a copy of it at every step.
    """
    n_bytes = 0.0
    modules = {weight.role: weight for weight in linear_modules(group, hidden_size)}
    if settings.casts and (
        settings.precision == "amp" if settings.trains_base else settings.base_type == "fp32"
    ):
        n_bytes += 2.0 * sum(w.parameters for w in modules.values() if w.active_experts is None)
    for adapter in adapters:
        if adapter.is_expert or adapter.role == "ffn_gate_inp":
            n_bytes += settings.hidden_bytes * (modules[adapter.role].parameters + adapter.parameters)
        elif settings.casts and settings.adapter_bytes == 4:
            n_bytes += 2.0 * adapter.parameters
    return n_bytes


def _unknown(layer: str, part: str) -> str:
    return (
        f"what training keeps of {part} is not known to the planner (layer: {layer}); it knows softmax attention, "
        "MLA without an index, gated DeltaNet, Mamba-2, short convolutions, MLPs and mixtures of experts"
    )


def _attention(layer: _Layer, mixer: Attention, hidden_size: int) -> float:
    """Norm output read by Q, K and V; Q, K, V after rotation; output; one FP32 per head (flash)."""
    query = mixer.n_heads * mixer.key_head_dim
    key, value = mixer.n_kv_heads * mixer.key_head_dim, mixer.n_kv_heads * mixer.value_head_dim
    out = mixer.n_heads * mixer.value_head_dim
    readers = ["attn_qkv"] if mixer.fused_qkv else ["attn_q", "attn_k", "attn_v"]
    if mixer.output_gate in ("matrix", "head"):
        readers.append("attn_gate")
    n_bytes = layer.read(hidden_size, layer.x, readers)
    if mixer.qk_norm == "head":
        n_bytes += mixer.n_heads * layer.norm(mixer.key_head_dim, layer.a)
        n_bytes += mixer.n_kv_heads * layer.norm(mixer.key_head_dim, layer.a)
    elif mixer.qk_norm == "full":
        n_bytes += layer.norm(query, layer.a) + layer.norm(key, layer.a)
    n_bytes += _mixed(layer, mixer.n_heads, query, key, value, out)
    if mixer.fused_qkv:
        n_bytes += layer.a * (
            query + key
        )  # what the fused product returned stays whole, for V is a part of it
    if mixer.output_gate != "none":
        # The gate, beside the output that it multiplies; which is a copy where queries are a part of one product.
        n_bytes += layer.a * out * (2 if mixer.output_gate == "in_query" else 1)
        return n_bytes + layer.read(out, layer.a, ["attn_output"])
    kept = layer.settings.attention == "flash" and not mixer.fused_qkv
    return n_bytes + layer.read(out, layer.a, ["attn_output"], kept_anyway=kept)


def _mixed(layer: _Layer, n_heads: int, query: int, key: int, value: int, out: int) -> float:
    """The attention itself: Q, K, V and output with flash; expanded K and V and all scores without."""
    if layer.settings.attention == "flash":
        return layer.a * (query + key + value + out) + 4 * n_heads
    n = layer.settings.n_tokens
    scores = n_heads * n * kept_score_bytes(layer.a)
    return layer.a * (query + query + out) + scores


def _latent(layer: _Layer, mixer: LatentAttention, hidden_size: int) -> float:
    """MLA as trained: K and V expanded for every head from the latent."""
    head = mixer.qk_nope_head_dim + mixer.qk_rope_head_dim
    query, out = mixer.n_heads * head, mixer.n_heads * mixer.v_head_dim
    expanded = mixer.n_heads * (mixer.qk_nope_head_dim + mixer.v_head_dim)
    n_bytes = layer.norm(mixer.kv_lora_rank, layer.a)
    if mixer.q_lora_rank is None:
        n_bytes += layer.read(hidden_size, layer.x, ["attn_q", "attn_kv_a_mqa"])
    else:
        n_bytes += layer.read(hidden_size, layer.x, ["attn_q_a", "attn_kv_a_mqa"])
        n_bytes += layer.norm(mixer.q_lora_rank, layer.a)
        n_bytes += layer.read(mixer.q_lora_rank, layer.a, ["attn_q_b"])
    n_bytes += layer.read(mixer.kv_lora_rank, layer.a, ["attn_kv_b"])
    # V is a part of what kv_b returned, which stays whole.
    n_bytes += _mixed(layer, mixer.n_heads, query, query, expanded, out)
    return n_bytes + layer.read(out, layer.a, ["attn_output"])


def _delta_net(layer: _Layer, mixer: GatedDeltaNet, hidden_size: int) -> float:
    """Gated DeltaNet with the kernels of causal-conv1d and flash-linear-attention (ChunkGatedDeltaRuleFunction).

    The convolution's input; Q and K normalised, V, a 64-wide matrix per token and head; decay and beta; and the
    gated norm, which runs in FP32. Source: fla-core 0.6 ops/gated_delta_rule/chunk.py, transformers 5.24.
    """
    heads = mixer.n_value_heads
    key, value = mixer.n_key_heads * mixer.key_head_dim, heads * mixer.value_head_dim
    gates = ["ssm_beta", "ssm_alpha"] if mixer.split_beta_alpha else ["ssm_ba"]
    inputs = ["ssm_in"] if mixer.fused_gate else ["attn_qkv", "attn_gate"]
    n_bytes = layer.read(hidden_size, layer.x, [*inputs, *gates])
    n_bytes += layer.a * (2 * key + value)  # into the convolution
    n_bytes += layer.a * (2 * key + value) + 8 * mixer.n_key_heads + layer.a * _CHUNK * heads
    n_bytes += (layer.a + 3 * 4) * heads  # beta, and the decay before, after and within its chunk
    n_bytes += 3 * 4 * value + 4 * heads + layer.a * value * (2 if layer.trains else 1)
    return n_bytes + layer.read(value, layer.a, ["ssm_out"])


def _mamba2(layer: _Layer, mixer: Mamba2, hidden_size: int) -> float:
    """Mamba-2 with mamba_ssm's fused kernel (MambaSplitConv1dScanCombinedFn, ssd_combined.py).

    It keeps the input projection's result and the scan's, and does all else again, the output projection
    included, which therefore keeps nothing of its own; nor does an adapter on it take part.
    """
    width = 2 * mixer.inner_size + 2 * mixer.n_groups * mixer.state_size + mixer.n_heads
    n_bytes = layer.read(hidden_size, layer.x, ["ssm_in"])
    return n_bytes + layer.a * (width + mixer.inner_size) + 4 * mixer.n_groups


def _short_convolution(layer: _Layer, mixer: ShortConvolution, hidden_size: int) -> float:
    """LFM2: the product that both gates and the value are parts of, what enters and leaves the convolution."""
    n_bytes = layer.read(hidden_size, layer.x, ["shortconv.in_proj"])
    n_bytes += layer.a * mixer.width * (3 + 1 + 1)
    return n_bytes + layer.read(mixer.width, layer.a, ["shortconv.out_proj"])


def _mlp_parts(layer: _Layer, block: FeedForward, hidden_size: int) -> Iterator[Saved]:
    yield Saved(part="MLP", bytes_per_token=_mlp(layer, block, hidden_size, ""))


def _mlp(layer: _Layer, block: FeedForward, hidden_size: int, suffix: str) -> float:
    """Norm output read by gate and up; gate, activated gate and up; their product, read by down."""
    size = block.intermediate_size
    roles = ["ffn_gate", "ffn_up"] if block.gated and not block.fused_gate else ["ffn_up"]
    n_bytes = layer.read(hidden_size, layer.x, [f"{role}{suffix}" for role in roles])
    return (
        n_bytes
        + _activation(layer, size, block.gated, layer.a)
        + layer.read(size, layer.a, [f"ffn_down{suffix}"])
    )


def _activation(layer: _Layer, size: int, gated: bool, element_bytes: int) -> float:
    if not gated:
        return float(element_bytes * size)
    n_kept = 2 if layer.settings.kernels == "liger" else 3  # Liger computes the activated gate again
    return float(n_kept * element_bytes * size)


def _experts(layer: _Layer, block: Experts, hidden_size: int) -> Iterator[Saved]:
    """Routed experts see each token k times; the router keeps its probabilities in FP32."""
    k, size = block.n_active, block.intermediate_size
    inner = layer.expert_bytes
    routed = k * _activation(layer, size, block.gated, inner)
    gate_up = "ffn_gate_up_exps" if block.gated else "ffn_up_exps"
    if layer.trains or gate_up in layer.adapted:
        routed += k * inner * hidden_size  # the tokens in the order of their experts
    if layer.trains or "ffn_down_exps" in layer.adapted:
        routed += k * inner * size
    routed += k * inner * hidden_size  # what each expert returned, for the gradient of its weight
    yield Saved(part="experts", bytes_per_token=routed)
    # Probabilities, their sum, and for each pick its weight, twice, and four 64-bit indices.
    router = 4.0 * block.n_experts + 4 + 40 * k
    if layer.fp32_router and (layer.trains or "ffn_gate_inp" in layer.adapted):
        router += 4 * hidden_size
    elif (layer.trains and block.shared is None) or "ffn_gate_inp" in layer.adapted:
        router += layer.x * hidden_size  # shared experts keep the same tensor
    if "ffn_gate_inp" in layer.adapted:
        router += layer.a * block.n_experts
    yield Saved(part="router", bytes_per_token=router)
    if block.shared is not None:
        shared = _mlp(layer, block.shared, hidden_size, "_shexp")
        if block.shared_gate:
            shared += layer.a * (hidden_size + 1)  # what they returned, and the gate
            if not layer.trains:
                shared += layer.read(hidden_size, layer.x, ["ffn_gate_inp_shexp"])
        yield Saved(part="shared experts", bytes_per_token=shared)
    if block.residual is not None:
        yield Saved(part="dense residual", bytes_per_token=_mlp(layer, block.residual, hidden_size, ""))


_MIXERS: dict[type, Callable[..., float]] = {
    Attention: _attention,
    LatentAttention: _latent,
    GatedDeltaNet: _delta_net,
    Mamba2: _mamba2,
    ShortConvolution: _short_convolution,
}
_BLOCKS: dict[type, Callable[..., Iterator[Saved]]] = {FeedForward: _mlp_parts, Experts: _experts}

"""Which Hugging Face module holds which weight of a network, under every name it goes by.

Quantization configs name modules ("model.layers.3.self_attn.o_proj", "lm_head", "*.mlp.gate"), our weights
carry llama.cpp's roles. The names are those of the reference implementations (transformers, and the
publishers' own files for DeepSeek V4, MiniMax and Nemotron-H); a role whose module has other names in
other families lists them all, since a config only ever names its own.

One module may hold several of our weights (kv_b_proj holds attn_k_b and attn_v_b), and one weight may be
several alike modules (a matrix per expert).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod
from types import MappingProxyType
from typing import Final

from planner.model.delta_net import GatedDeltaNet
from planner.model.network import LayerGroup, Network
from planner.model.weight import Use, Weight


class ModuleKind(StrEnum):
    """What a module is to a quantizer."""

    LINEAR = "linear"
    EXPERTS = "experts"  # routed experts, a matrix each
    ROUTER = "router"  # and other small projections that publishers keep
    HEAD = "head"
    EMBEDDING = "embedding"
    OTHER = "other"  # norms, biases, convolutions, learned tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module of a layer, or the same module of every expert.

    `n_in` by `n_out` is one matrix, `n_matrices` how many alike there are; `weights` are ours that it holds.
    """

    names: tuple[str, ...]
    kind: ModuleKind
    layer: int | None
    n_in: int
    n_out: int
    n_matrices: int
    weights: tuple[Weight, ...]
    is_extra: bool = False  # belongs to an extra prediction layer


_MULTIMODAL_LAYERS = ("model.language_model.layers", "language_model.model.layers", "model.layers")
_LAYERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "nemotron_h": ("backbone.layers", "model.layers"),
        "deepseek_v4": ("layers", "model.layers"),
        "deepseek_ref": ("layers", "model.layers"),
        "gpt2": ("transformer.h",),
        "falcon": ("transformer.h",),
        "bloom": ("transformer.h",),
        "gpt_neox": ("gpt_neox.layers",),
        "mamba": ("backbone.layers",),
        "falcon_mamba": ("backbone.layers",),
        "opt": ("model.decoder.layers",),
    }
)
_OUTER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "token_embd": "embed_tokens embed embeddings wte word_embeddings embed_in tok_embeddings",
        "output": "lm_head head embed_out output",
        "output_norm": "norm norm_f final_layernorm ln_f",
        "per_layer_token_embd": "embed_tokens_per_layer",
        "per_layer_model_proj": "per_layer_model_projection",
        "per_layer_proj_norm": "per_layer_projection_norm",
        "altup_proj": "altup_projections",
        "altup_unembd_proj": "altup_unembed_projections",
        "position_embd": "wpe embed_positions",
    }
)
_OUTER_PREFIXES = (
    "model.",
    "model.language_model.",
    "language_model.model.",
    "backbone.",
    "transformer.",
    "",
)
_HEAD_PREFIXES = ("", "language_model.", "model.", "model.language_model.", "mtp.")
_ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attn_norm": "input_layernorm ln_1 norm attn_norm",
        "ffn_norm": "post_attention_layernorm pre_feedforward_layernorm ln_2 ffn_norm",
        "post_attention_norm": "post_attention_layernorm post_self_attn_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm post_mlp_layernorm",
        "attn_q": "self_attn.q_proj attention.q_proj mixer.q_proj attn.q_proj temporal_block.q_proj",
        "attn_k": "self_attn.k_proj attention.k_proj mixer.k_proj attn.k_proj temporal_block.k_proj",
        "attn_v": "self_attn.v_proj attention.v_proj mixer.v_proj attn.v_proj temporal_block.v_proj",
        "attn_output": "self_attn.o_proj self_attn.out_proj self_attn.dense attention.o_proj attention.wo"
        " attention.dense self_attention.dense mixer.o_proj attn.c_proj",
        "attn_qkv": "self_attn.qkv_proj self_attn.query_key_value attention.wqkv attention.query_key_value"
        " self_attention.query_key_value attn.c_attn",
        "attn_gate": "self_attn.gate_proj self_attn.g_proj self_attn.output_gate",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "attn_q_a": "self_attn.q_a_proj attn.wq_a",
        "attn_q_a_norm": "self_attn.q_a_layernorm attn.q_norm",
        "attn_q_b": "self_attn.q_b_proj attn.wq_b",
        "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
        "attn_kv_a_norm": "self_attn.kv_a_layernorm",
        "attn_k_b": "self_attn.kv_b_proj",
        "attn_v_b": "self_attn.kv_b_proj",
        "attn_kv": "attn.wkv self_attn.kv_proj",
        "attn_kv_norm": "attn.kv_norm self_attn.kv_norm",
        "attn_output_a": "attn.wo_a self_attn.o_a_proj",
        "attn_output_b": "attn.wo_b self_attn.o_b_proj",
        "attn_sinks": "self_attn.sinks attn.attn_sink",
        "indexer.attn_q_b": "self_attn.indexer.wq_b attn.indexer.wq_b",
        "indexer.attn_k": "self_attn.indexer.wk",
        "indexer.k_norm": "self_attn.indexer.k_norm",
        "indexer.proj": "self_attn.indexer.weights_proj self_attn.indexers_proj attn.indexer.weights_proj",
        "indexer.compressor.kv": "attn.indexer.compressor.wkv",
        "indexer.compressor.gate": "attn.indexer.compressor.wgate",
        "indexer.compressor.ape": "attn.indexer.compressor.ape",
        "indexer.compressor.norm": "attn.indexer.compressor.norm",
        "compressor.kv": "attn.compressor.wkv",
        "compressor.gate": "attn.compressor.wgate",
        "compressor.ape": "attn.compressor.ape",
        "compressor.norm": "attn.compressor.norm",
        "ffn_gate": "mlp.gate_proj feed_forward.gate_proj feed_forward.w1 shared_mlp.gate_proj",
        "ffn_up": "mlp.up_proj feed_forward.up_proj feed_forward.w3 mixer.up_proj mlp.c_fc mlp.fc1"
        " mlp.dense_h_to_4h mlp.gate_up_proj fc1",
        "ffn_down": "mlp.down_proj feed_forward.down_proj feed_forward.w2 mixer.down_proj mlp.c_proj mlp.fc2"
        " mlp.dense_4h_to_h fc2",
        "ffn_gate_inp": "mlp.gate mlp.router block_sparse_moe.gate feed_forward.router feed_forward.gate mixer.gate"
        " ffn.gate router router.proj mlp.gate.wg moe.gate",
        "exp_probs_b": "mlp.gate.e_score_correction_bias block_sparse_moe.e_score_correction_bias"
        " mixer.gate.e_score_correction_bias ffn.gate.bias",
        "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
        "ffn_gate_tid2eid": "ffn.gate.tid2eid",
        "ffn_gate_exps": "mlp.experts.{e}.gate_proj block_sparse_moe.experts.{e}.w1"
        " feed_forward.experts.{e}.w1 ffn.experts.{e}.w1",
        "ffn_up_exps": "mlp.experts.{e}.up_proj block_sparse_moe.experts.{e}.w3"
        " feed_forward.experts.{e}.w3 mixer.experts.{e}.up_proj ffn.experts.{e}.w3",
        "ffn_down_exps": "mlp.experts.{e}.down_proj block_sparse_moe.experts.{e}.w2"
        " feed_forward.experts.{e}.w2 mixer.experts.{e}.down_proj ffn.experts.{e}.w2",
        "ffn_gate_up_exps": "mlp.experts.gate_up_proj feed_forward.experts.gate_up_proj experts.gate_up_proj",
        "ffn_gate_shexp": "mlp.shared_experts.gate_proj mlp.shared_expert.gate_proj"
        " feed_forward.shared_expert.gate_proj block_sparse_moe.shared_experts.gate_proj ffn.shared_experts.w1",
        "ffn_up_shexp": "mlp.shared_experts.up_proj mlp.shared_expert.up_proj feed_forward.shared_expert.up_proj"
        " block_sparse_moe.shared_experts.up_proj mixer.shared_experts.up_proj ffn.shared_experts.w3",
        "ffn_down_shexp": "mlp.shared_experts.down_proj mlp.shared_expert.down_proj"
        " feed_forward.shared_expert.down_proj block_sparse_moe.shared_experts.down_proj"
        " mixer.shared_experts.down_proj ffn.shared_experts.w2",
        "ffn_latent_down": "mixer.fc1_latent_proj mlp.fc1_latent_proj mlp.down_latent_proj",
        "ffn_latent_up": "mixer.fc2_latent_proj mlp.fc2_latent_proj mlp.up_latent_proj",
        "ssm_in": "mixer.in_proj mamba.in_proj linear_attn.in_proj_qkvz",
        "ssm_out": "mixer.out_proj mamba.out_proj",
        "ssm_x": "mixer.x_proj mamba.x_proj",
        "ssm_dt": "mixer.dt_proj mamba.dt_proj",
        "ssm_conv1d": "mixer.conv1d mamba.conv1d",
        "ssm_f_a": "self_attn.f_a_proj",
        "ssm_f_b": "self_attn.f_b_proj",
        "ssm_g_a": "self_attn.g_a_proj",
        "ssm_g_b": "self_attn.g_b_proj",
        "ssm_beta": "self_attn.b_proj",
        "ssm_conv1d_q": "self_attn.q_conv1d",
        "ssm_conv1d_k": "self_attn.k_conv1d",
        "ssm_conv1d_v": "self_attn.v_conv1d",
        "shortconv.conv": "conv.conv",
        "shortconv.in_proj": "conv.in_proj",
        "shortconv.out_proj": "conv.out_proj",
        "nextn.eh_proj": "eh_proj fc",
        "nextn.enorm": "enorm",
        "nextn.hnorm": "hnorm",
        "nextn.shared_head_norm": "shared_head.norm",
        "nextn.shared_head_head": "shared_head.head",
        "nextn.embed_tokens": "embed_tokens",
        "inp_gate": "per_layer_input_gate",
        "proj": "per_layer_projection",
        "laurel_l": "laurel.linear_left",
        "laurel_r": "laurel.linear_right",
    }
)
_DELTA_ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attn_qkv": "linear_attn.in_proj_qkv linear_attn.in_proj_qkvz",
        "attn_gate": "linear_attn.in_proj_z linear_attn.in_proj_qkvz",
        "ssm_ba": "linear_attn.in_proj_b linear_attn.in_proj_a linear_attn.in_proj_ba",
        "ssm_beta": "linear_attn.in_proj_b",
        "ssm_alpha": "linear_attn.in_proj_a",
        "ssm_conv1d": "linear_attn.conv1d",
        "ssm_norm": "linear_attn.norm",
        "ssm_out": "linear_attn.out_proj",
    }
)
_ONE_MODULE = ("attn_k_b", "attn_v_b")  # halves of kv_b_proj
_ROUTERS = ("ffn_gate_inp", "ffn_gate_inp_shexp", "indexer.proj", "nextn.eh_proj")
_EMBEDDINGS = ("token_embd", "per_layer_token_embd", "nextn.embed_tokens")
_HEADS = ("output", "nextn.shared_head_head")
_TABLES = (  # matrices that are parameters or convolutions, not projections
    "ssm_conv1d", "shortconv.conv", "lru_conv1d", "ssm_a", "compressor.ape", "indexer.compressor.ape", "hc_",
    "altup_correct_coef", "altup_predict_coef", "ffn_gate_tid2eid", "position_embd", "lru_input_gate",
    "lru_recurrent_gate", "time_mix_lerp", "time_mix_w", "time_mix_a", "time_mix_g", "time_mix_v1", "time_mix_v2",
)  # fmt: skip


def modules_of(network: Network, patterns: Iterable[str] = ()) -> Iterator[Module]:
    """Every module of a network, extra prediction layers last.

    Layers go by the names that the patterns use, where they use any; the other names are left out.
    """
    known = _layer_prefixes(network)
    used = tuple(prefix for prefix in known if any(pattern.startswith(prefix) for pattern in patterns))
    prefixes = used or known
    for weight in network.outer:
        yield _module((weight,), _outer_names(weight.role), None)
    for group in network.groups:
        parts = tuple(
            (_module(weights, (), None), _relative_names(weights[0], group))
            for weights in _grouped(group.weights(network.hidden_size))
        )
        for layer in group.layers:
            for module, relative in parts:
                names = tuple(f"{prefix}.{layer}.{name}" for name in relative for prefix in prefixes)
                yield replace(module, names=names, layer=layer)
    yield from _extra_modules(network, prefixes)


def names_a_tower(pattern: str) -> bool:
    """Whether a pattern names a vision or audio tower, whose modules are counted but not listed here."""
    bare = pattern.removeprefix("re:").removeprefix("*").lstrip(".^").removeprefix("*").lstrip(".")
    words = ("model.visual", "visual", "vision", "model.vision", "mm_projector", "multi_modal_projector",
             "model.multi_modal_projector", "model.embed_vision", "embed_vision", "audio", "model.audio",
             "model.embed_audio", "patch_merger", "vision_tower")  # fmt: skip
    return bare.startswith(words)


def _layer_prefixes(network: Network) -> tuple[str, ...]:
    default = _MULTIMODAL_LAYERS if network.towers else ("model.layers",)
    return _LAYERS.get(network.architecture, default)


def _grouped(weights: tuple[Weight, ...]) -> Iterator[tuple[Weight, ...]]:
    """Weights by module: the halves of kv_b_proj together, all others alone."""
    together = tuple(weight for weight in weights if weight.role in _ONE_MODULE)
    if together:
        yield together
    for weight in weights:
        if weight.role not in _ONE_MODULE:
            yield (weight,)


def _outer_names(role: str) -> tuple[str, ...]:
    base = role.removesuffix(".bias")
    words = _OUTER.get(base, base).split()
    prefixes = _HEAD_PREFIXES if base == "output" else _OUTER_PREFIXES
    return tuple(f"{prefix}{word}" for word in words for prefix in prefixes)


def _relative_names(weight: Weight, group: LayerGroup | None) -> tuple[str, ...]:
    """The module's names within its layer; of experts the first, for all are stored alike."""
    base = weight.role.removesuffix(".bias")
    table = _ROLES
    if group is not None and isinstance(group.mixer, GatedDeltaNet) and base in _DELTA_ROLES:
        table = _DELTA_ROLES
    words = [word.replace("{e}", "0") for word in table.get(base, base).split()]
    if base != weight.role and not base.startswith("exp_probs_b"):
        words += [f"{word}.bias" for word in words]
    return tuple(words)


def _kind(weight: Weight) -> ModuleKind:
    role = weight.role
    if weight.active_experts is not None and len(weight.shape) == 3:
        return ModuleKind.EXPERTS
    if role in _ROUTERS:
        return ModuleKind.ROUTER
    if role in _HEADS:
        return ModuleKind.HEAD
    if role in _EMBEDDINGS:
        return ModuleKind.EMBEDDING
    if weight.use is Use.VECTOR or len(weight.shape) == 1 or role.startswith(_TABLES):
        return ModuleKind.OTHER
    return ModuleKind.LINEAR


def _module(
    weights: tuple[Weight, ...], names: tuple[str, ...], layer: int | None, *, is_extra: bool = False
) -> Module:
    first = weights[0]
    n_in, n_out, n_matrices = first.shape[0], prod(first.shape[1:]), 1
    kind = _kind(first)
    if kind is ModuleKind.EXPERTS:
        n_out, n_matrices = first.shape[1], first.shape[2]
    elif first.role in _ONE_MODULE:
        # attn_k_b is stored turned: its input side is the head's width, its middle one the latent's.
        latent = next(w.shape[1] if w.role == "attn_k_b" else w.shape[0] for w in weights)
        n_in, n_out = latent, sum(weight.parameters for weight in weights) // latent
    elif first.role == "ssm_ba":
        n_out, n_matrices = n_out // 2, 2
    return Module(
        names=names, kind=kind, layer=layer, n_in=n_in, n_out=n_out, n_matrices=n_matrices, weights=weights,
        is_extra=is_extra,
    )  # fmt: skip


def _extra_modules(network: Network, layers: tuple[str, ...]) -> Iterator[Module]:
    n_extra = sum(weight.role == "nextn.enorm" for weight in network.mtp)
    if not n_extra:
        return
    per_layer = len(network.mtp) // n_extra
    for i in range(n_extra):
        index = network.n_layers + i
        prefixes = (
            *(f"{prefix}.{index}" for prefix in layers),
            *(f"{prefix}.{i}" for prefix in ("mtp.layers", "mtp", "model.mtp.layers", "model.mtp_layers")),
            "mtp",
        )
        for weights in _grouped(network.mtp[i * per_layer : (i + 1) * per_layer]):
            names = tuple(
                f"{prefix}.{name}" for name in _relative_names(weights[0], None) for prefix in prefixes
            )
            yield _module(weights, names, index, is_extra=True)

"""Which Hugging Face module holds which weight of a network, under every name it goes by.

Quantization configs name modules ("model.layers.3.self_attn.o_proj", "lm_head", "*.mlp.gate"), our weights
carry llama.cpp's roles; `module_names` says which belong together.

One module may hold several of our weights (kv_b_proj holds attn_k_b and attn_v_b), and one weight may be
several alike modules (a matrix per expert).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod

from planner.model.delta_net import GatedDeltaNet
from planner.model.formats.module_names import (
    DELTA_ROLES,
    HEAD_PREFIXES,
    LAYERS,
    MULTIMODAL_LAYERS,
    OUTER,
    OUTER_PREFIXES,
    ROLES,
)
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
    Without names, no list of a config can mean it.
    """

    names: tuple[str, ...]
    kind: ModuleKind
    layer: int | None
    n_in: int
    n_out: int
    n_matrices: int
    weights: tuple[Weight, ...]
    is_extra: bool = False  # belongs to an extra prediction layer


_ONE_MODULE = ("attn_k_b", "attn_v_b")  # halves of kv_b_proj
# Small projections that publishers keep in the model's own type, unless a rule names them.
_ROUTERS = (
    "ffn_gate_inp", "ffn_gate_inp_shexp", "indexer.proj", "ffn_latent_down", "ffn_latent_up", "ffn_routed_down",
    "ffn_routed_up", "attn_compressor_kv", "attn_compressor_gate", "indexer_compressor_kv",
    "indexer_compressor_gate", "altup_router", "nextn.eh_proj",
)  # fmt: skip
_EMBEDDINGS = ("token_embd", "per_layer_token_embd", "nextn.embed_tokens")
_HEADS = ("output", "nextn.shared_head_head")
_TABLES = (  # matrices that are parameters or convolutions, not projections
    "ssm_conv1d", "shortconv.conv", "lru_conv1d", "ssm_a", "attn_compressor_ape", "indexer_compressor_ape", "hc_", "output_hc_",
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
    default = MULTIMODAL_LAYERS if network.towers else ("model.layers",)
    return LAYERS.get(network.architecture, default)


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
    words = OUTER.get(base, base).split()
    prefixes = HEAD_PREFIXES if base == "output" else OUTER_PREFIXES
    return tuple(f"{prefix}{word}" for word in words for prefix in prefixes)


def _relative_names(weight: Weight, group: LayerGroup | None) -> tuple[str, ...]:
    """The module's names within its layer; of experts the first, for all are stored alike."""
    base = weight.role.removesuffix(".bias")
    table = ROLES
    if group is not None and isinstance(group.mixer, GatedDeltaNet) and base in DELTA_ROLES:
        table = DELTA_ROLES
    words = [word.replace("{e}", "0") for word in table.get(base, "").split()]
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

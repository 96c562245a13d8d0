"""GGUF quantization presets: which type the quantizer gives each tensor of a network.

The rules are those of llama.cpp's quantizer (src/llama-quant.cpp, llama_tensor_get_type_impl and
tensor_type_fallback, as shipped with llama-cpp-python 0.3.36), without an importance matrix unless asked.
Fused QKV follows the branch of the builds that made the files now published (Q4_K_M → Q5_K).
Files sold under a preset's name with a custom mix differ; a file's own tensor table always wins.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from planner.errors import MissingFactError
from planner.model.attention import Attention
from planner.model.experts import Experts
from planner.model.ggml_types import type_by_name
from planner.model.network import Network
from planner.model.storage import Storage, StoredWeight
from planner.model.weight import Use, Weight

BASE_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "F32": "F32", "F16": "F16", "BF16": "BF16", "Q8_0": "Q8_0", "Q6_K": "Q6_K",
        "Q5_K_M": "Q5_K", "Q5_K_S": "Q5_K", "Q5_0": "Q5_0", "Q5_1": "Q5_1",
        "Q4_K_M": "Q4_K", "Q4_K_S": "Q4_K", "Q4_0": "Q4_0", "Q4_1": "Q4_1",
        "Q3_K_L": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_S": "Q3_K", "Q2_K": "Q2_K", "Q2_K_S": "Q2_K",
        "IQ4_NL": "IQ4_NL", "IQ4_XS": "IQ4_XS", "IQ3_M": "IQ3_S", "IQ3_S": "IQ3_S", "IQ3_XS": "IQ3_S",
        "IQ3_XXS": "IQ3_XXS", "IQ2_M": "IQ2_S", "IQ2_S": "IQ2_XS", "IQ2_XS": "IQ2_XS", "IQ2_XXS": "IQ2_XXS",
        "IQ1_M": "IQ1_M", "IQ1_S": "IQ1_S", "TQ1_0": "TQ1_0", "TQ2_0": "TQ2_0", "MXFP4_MOE": "MXFP4",
    }
)  # fmt: skip
_UNQUANTIZED = ("F32", "F16", "BF16")
_LOWEST = ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ1_S", "IQ1_M")
_FALLBACKS: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL")
    | dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0")
    | {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
)
_KEPT_F32 = (
    "ffn_gate_inp",
    "ssm_conv1d",
    "shortconv.conv",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "time_mix",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What the quantizer knows of the whole network."""

    n_layers: int
    grouped_queries: int  # query heads per KV head
    n_experts: int
    is_70b: bool  # the engine's name for 80 layers with grouped queries
    tied: bool
    n_value_tensors: int
    importance_matrix: bool


def preset_storage(network: Network, preset: str, *, importance_matrix: bool = False) -> Storage:
    """The tensors of a network as the quantizer would write them; towers and extra layers left out.

    Raises MissingFactError for a preset that the quantizer does not have.
    """
    if preset not in BASE_TYPES:
        raise MissingFactError(
            f"quantization {preset[:30]!r} is not a GGUF preset; known are {', '.join(BASE_TYPES)}"
        )
    return _preset_storage(network, preset, importance_matrix)


@lru_cache(maxsize=512)
def _preset_storage(network: Network, preset: str, importance_matrix: bool) -> Storage:
    facts = _facts(network, importance_matrix)
    sizes: dict[tuple[tuple[int, ...], str], int] = {}
    stored: list[StoredWeight] = []
    n_values_seen = 0
    for layer, weight in _in_file_order(network):
        type_name = _stored_type(preset, weight, layer or 0, n_values_seen, facts)
        n_values_seen += weight.role in ("attn_v", "attn_qkv")
        key = (weight.shape, type_name)
        if key not in sizes:
            ggml_type = type_by_name(type_name)
            sizes[key] = weight.parameters // ggml_type.block_elements * ggml_type.block_bytes
        stored.append(
            StoredWeight(
                role=weight.role,
                layer=layer,
                type_name=type_name,
                shape=weight.shape,
                n_elements=weight.parameters,
                n_bytes=sizes[key],
                use=weight.use,
                active_fraction=weight.active_fraction,
            )
        )
    return Storage(label=preset, weights=tuple(stored), predicted=True)


def _in_file_order(network: Network) -> Iterator[tuple[int | None, Weight]]:
    for weight in network.outer:
        yield None, weight
    by_layer = {}
    for group in network.groups:
        weights = group.weights(network.hidden_size)
        by_layer.update(dict.fromkeys(group.layers, weights))
    for layer in range(network.n_layers):
        for weight in by_layer[layer]:
            yield layer, weight


def _facts(network: Network, importance_matrix: bool) -> _Facts:
    grouped = [
        group.mixer.n_heads // group.mixer.n_kv_heads
        for group in network.groups
        if isinstance(group.mixer, Attention)
    ]
    experts = [group.block.n_experts for group in network.groups if isinstance(group.block, Experts)]
    n_values = sum(
        len(group.layers)
        for group in network.groups
        for weight in group.weights(network.hidden_size)
        if weight.role in ("attn_v", "attn_qkv")
    )
    return _Facts(
        n_layers=network.n_layers,
        grouped_queries=grouped[0] if grouped else 1,
        n_experts=max(experts, default=1),
        is_70b=network.n_layers == 80
        and bool(grouped)
        and (grouped[0] > 1 or network.architecture == "qwen2"),
        tied=network.tied_embeddings,
        n_value_tensors=n_values,
        importance_matrix=importance_matrix,
    )


def _stored_type(preset: str, weight: Weight, layer: int, n_values_seen: int, facts: _Facts) -> str:
    if weight.use is Use.VECTOR or len(weight.shape) < 2 or weight.role.startswith(_KEPT_F32):
        return "F32"
    base = BASE_TYPES[preset]
    if base in _UNQUANTIZED:
        return base
    chosen = _chosen_type(preset, base, weight, layer, n_values_seen, facts)
    return _fitting(chosen, weight.shape[0])


def _fitting(type_name: str, n_columns: int) -> str:
    """The type itself, or the quantizer's substitute for a row that its blocks do not divide."""
    if n_columns % type_by_name(type_name).block_elements == 0:
        return type_name
    substitute = _FALLBACKS.get(type_name, type_name)
    return substitute if n_columns % type_by_name(substitute).block_elements == 0 else "F16"


def _more_bits(layer: int, n_layers: int) -> bool:
    return layer < n_layers // 8 or layer >= 7 * n_layers // 8 or (layer - n_layers // 8) % 3 == 2


def _chosen_type(preset: str, base: str, weight: Weight, layer: int, n_seen: int, facts: _Facts) -> str:
    role = weight.role.partition(".")[0]
    if role == "output" or (role == "token_embd" and facts.tied):
        return _output_type(preset, base, weight.shape[0])
    if preset == "MXFP4_MOE":
        return "MXFP4" if weight.active_experts is not None else "Q8_0"
    if role == "token_embd":
        return _embedding_type(preset, base)
    if preset in _LOWEST:
        return _lowest_type(preset, base, role, layer, facts)
    if role == "attn_v":
        return _value_type(preset, base, n_seen, facts)
    if role == "attn_qkv":
        return _fused_type(preset, base)
    if role in ("attn_k", "attn_q"):
        if role == "attn_k" and facts.n_experts == 8:
            return "Q8_0"
        return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(preset, base)
    if role.startswith("ffn_down"):
        return _down_type(preset, base, layer, facts)
    if role == "attn_output":
        return _attention_output_type(preset, base, facts)
    inner = facts.n_layers // 8 <= layer < 7 * facts.n_layers // 8
    if role.startswith(("ffn_gate", "ffn_up")) and preset == "IQ3_XS" and inner:
        return "IQ3_XXS"
    return base


def _output_type(preset: str, base: str, n_columns: int) -> str:
    if preset == "MXFP4_MOE" or n_columns % type_by_name(base).block_elements:
        return "Q8_0"
    if preset in (*_LOWEST, "IQ3_XXS"):
        return "Q5_K"
    return base if base == "Q8_0" else "Q6_K"


def _embedding_type(preset: str, base: str) -> str:
    if preset in ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
        return "Q2_K"
    if preset in ("IQ2_S", "IQ2_M", "IQ3_XXS"):
        return "IQ3_S"
    return "Q4_K" if preset in ("TQ1_0", "TQ2_0") else base


def _lowest_type(preset: str, base: str, role: str, layer: int, facts: _Facts) -> str:
    finer = "IQ3_S" if preset in ("IQ2_S", "IQ2_M") else "Q2_K"
    if role in ("attn_v", "attn_qkv"):
        return "Q4_K" if facts.grouped_queries >= 4 or facts.n_experts >= 4 else finer
    if role == "attn_k" and facts.n_experts == 8:
        return "Q4_K"
    if role.startswith("ffn_down"):
        return finer if layer < facts.n_layers // 8 else base
    if role == "attn_output":
        if facts.n_experts == 8:
            return "Q5_K"
        return {"IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S"}.get(preset, base)
    return base


def _value_type(preset: str, base: str, n_seen: int, facts: _Facts) -> str:
    grouped = facts.grouped_queries >= 4
    chosen = base
    if preset == "Q2_K":
        chosen = "Q4_K" if grouped else "Q3_K"
    elif preset in ("Q2_K_S", "IQ3_XS", "IQ3_S") and grouped:
        chosen = "Q4_K"
    elif preset == "IQ3_XXS":
        chosen = "Q4_K" if grouped else base if facts.importance_matrix else "IQ3_S"
    elif preset == "IQ3_M":
        chosen = "Q4_K"
    elif preset == "Q3_K_M":
        chosen = "Q5_K" if n_seen < 2 else "Q4_K"
    elif preset == "Q3_K_L" or (preset in ("IQ4_NL", "IQ4_XS") and grouped):
        chosen = "Q5_K"
    elif preset in ("Q4_K_M", "Q5_K_M") and _more_bits(n_seen, facts.n_value_tensors):
        chosen = "Q6_K"
    elif preset == "Q4_K_S" and n_seen < 4:
        chosen = "Q5_K"
    if facts.is_70b and chosen in ("Q3_K", "Q4_K"):
        chosen = "Q5_K"
    return "Q8_0" if facts.n_experts == 8 else chosen


def _fused_type(preset: str, base: str) -> str:
    if preset in ("Q3_K_M", "Q3_K_L", "IQ3_M"):
        return "Q4_K"
    return {"Q4_K_M": "Q5_K", "Q5_K_M": "Q6_K"}.get(preset, base)


def _down_type(preset: str, base: str, layer: int, facts: _Facts) -> str:
    n = facts.n_layers
    first_eighth = layer < n // 8
    more = _more_bits(layer, n)
    if preset in ("Q2_K", "Q3_K_L"):
        return "Q3_K" if preset == "Q2_K" else "Q5_K"
    if preset == "Q2_K_S":
        return "Q4_K" if first_eighth else base
    if preset == "IQ3_XXS" and not facts.importance_matrix:
        return "Q4_K" if first_eighth else "Q3_K"
    if preset == "Q3_K_M":
        return "Q5_K" if layer < n // 16 else "Q4_K"
    if preset == "IQ3_M" and (first_eighth or (facts.n_experts == 8 and more)):
        return "Q4_K"
    if preset in ("Q4_K_M", "Q5_K_M") and more:
        return "Q6_K"
    if first_eighth and preset in ("IQ4_NL", "IQ4_XS") and not facts.importance_matrix:
        return "Q5_K"
    if first_eighth and preset == "Q4_K_S":
        return "Q5_K"
    if first_eighth and preset in ("Q4_0", "Q5_0") and facts.importance_matrix:
        return {"Q4_0": "Q4_1", "Q5_0": "Q5_1"}[preset]
    return base


def _attention_output_type(preset: str, base: str, facts: _Facts) -> str:
    if facts.n_experts == 8:
        finer = ("Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S",
                 "IQ3_M", "IQ4_XS")  # fmt: skip
        return "Q5_K" if preset in finer else base
    substitutes = {"Q2_K": "Q3_K", "IQ3_XXS": "IQ3_S", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}
    return substitutes.get(preset, base)

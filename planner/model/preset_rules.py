"""The quantizer's own rules: which ggml type a GGUF preset gives each tensor.

They restate llama.cpp's src/llama-quant.cpp as vendored in llama-cpp-python 0.3.36: which tensors are
quantized at all (`tensor_allows_quantization`), the mix (`llama_tensor_get_type_impl`) and the substitutes for
rows that a type's blocks do not divide (`tensor_type_fallback`). Its counters run in the order in which the
quantizer walks the file: by layer, then by name.

One rule changed in March 2026 (llama.cpp pull request 19770): a fused attn_qkv is now treated as attn_v.
`Rules.BEFORE_2026` is how the files published until then were made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from planner.errors import MissingFactError
from planner.model.ggml_types import type_by_name

BASE_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "F32": "F32", "F16": "F16", "BF16": "BF16", "Q8_0": "Q8_0", "Q6_K": "Q6_K",
        "Q5_K_M": "Q5_K", "Q5_K_S": "Q5_K", "Q5_0": "Q5_0", "Q5_1": "Q5_1",
        "Q4_K_M": "Q4_K", "Q4_K_S": "Q4_K", "Q4_0": "Q4_0", "Q4_1": "Q4_1",
        "Q3_K_L": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_S": "Q3_K", "Q2_K": "Q2_K", "Q2_K_S": "Q2_K",
        "IQ4_NL": "IQ4_NL", "IQ4_XS": "IQ4_XS", "IQ3_M": "IQ3_S", "IQ3_S": "IQ3_S", "IQ3_XS": "IQ3_S",
        "IQ3_XXS": "IQ3_XXS", "IQ2_M": "IQ2_S", "IQ2_S": "IQ2_XS", "IQ2_XS": "IQ2_XS", "IQ2_XXS": "IQ2_XXS",
        "IQ1_M": "IQ1_M", "IQ1_S": "IQ1_S", "TQ1_0": "TQ1_0", "TQ2_0": "TQ2_0", "Q1_0": "Q1_0", "Q2_0": "Q2_0",
        "MXFP4_MOE": "MXFP4",
    }
)  # fmt: skip
# Presets for models that were trained with weights of one or two bits; any other loses all sense in them.
FOR_TRAINED_BITS: Final = frozenset({"TQ1_0", "TQ2_0", "Q1_0", "Q2_0"})
# Presets that the quantizer makes only with an importance matrix (`tensor_requires_imatrix`): their tensors
# would be garbage without one, so their rules are always those with it.
NEEDS_MATRIX: Final = frozenset(
    {"IQ3_XXS", "IQ3_XS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "Q2_K_S"}
)
_FLOAT_TYPES = frozenset({"F32", "F16", "BF16"})
_LOWEST = frozenset({"IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ1_S", "IQ1_M"})
_FALLBACKS: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL")
    | dict.fromkeys(("Q2_0", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0")
    | {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
)
# Two-dimensional tensors that stay as the converter wrote them: in 32 or in 16 bits.
_KEPT_F32 = (
    "ffn_gate_inp", "ssm_conv1d", "shortconv.conv", "altup_correct_coef", "altup_predict_coef", "position_embd",
    "time_mix_first", "time_mix_w", "time_mix_decay_w", "time_mix_lerp_fused", "attn_rel_b", "token_types",
)  # fmt: skip
_KEPT_16_BIT = (
    "altup", "laurel", "per_layer_model_proj", "indexer.k_proj", "indexer.q_proj",
    "time_mix_v", "time_mix_a", "time_mix_g",
)  # fmt: skip
_QUANTIZED_TIME_MIX = ("time_mix_value",)  # whole matrices whose names begin like the small ones
_WITHOUT_SUFFIX = frozenset({"ssm_a", "ssm_d"})  # tensors whose names do not end in ".weight"
_GLM5_NEXT = ("glm5-next", "glm5_next")
_GLM5_NEXT_KEPT = (
    "hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj", "indexer_compressor_gate",
    "indexer_compressor_ape", "ssm_f_a", "ssm_f_b", "ssm_g_a", "ssm_g_b", "ssm_beta", "attn_kv_a_mqa", "attn_k_b",
    "attn_v_b",
)  # fmt: skip
_GLM5_NEXT_Q8 = ("attn_q_a", "attn_q_b", "nextn.eh_proj")
_BAILING3 = ("bailingmoe3", "bailing_moe_v3")


class Rules(StrEnum):
    """Which version of the quantizer's rules."""

    CURRENT = "llama.cpp since March 2026"
    BEFORE_2026 = "llama.cpp before March 2026"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizerFacts:
    """What the quantizer knows of the whole network."""

    architecture: str
    n_layers: int  # extra prediction layers included where the file holds them
    grouped_queries: int  # query heads per KV head in layer 0; 0 where that layer has no KV heads
    n_experts: int  # 0 or 1 without experts
    is_70b: bool  # the engine's name for 80 layers, with grouped queries where it is a Llama


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorShape:
    """A tensor as the quantizer sees it: layer (None outside), role without ".weight", shape in ggml order."""

    layer: int | None
    role: str
    shape: tuple[int, ...]


def quantizer_types(
    tensors: Sequence[TensorShape],
    preset: str,
    facts: QuantizerFacts,
    *,
    importance_matrix: bool = False,
    rules: Rules = Rules.CURRENT,
) -> tuple[str, ...]:
    """The type of each tensor, in the order given.

    Raises MissingFactError for a preset that the quantizer does not have, or cannot make of these shapes.
    """
    if preset not in BASE_TYPES:
        raise MissingFactError(_unknown_preset(preset))
    run = _Run(tensors, preset, facts, importance_matrix, rules)
    order = sorted(
        range(len(tensors)),
        key=lambda i: (-1 if (layer := tensors[i].layer) is None else layer, tensors[i].role),
    )
    found = [""] * len(tensors)
    for i in order:
        found[i] = run.type_of(tensors[i])
    return tuple(found)


def _unknown_preset(preset: str) -> str:
    if preset.upper() == "NVFP4":
        return (
            "llama.cpp's quantizer makes no NVFP4 files, its converter writes them from repositories published in "
            "NVFP4; name such a file, or plan with MXFP4_MOE or Q4_K_M"
        )
    return f"quantization {preset[:30]!r} is not a GGUF preset; known are {', '.join(BASE_TYPES)}"


def _is_kept(role: str, architecture: str) -> str | None:
    """The type of a tensor that is never quantized, None for all others."""
    if role.endswith((".bias", "_norm")) or role in _WITHOUT_SUFFIX:
        return "F32"
    if role == "ffn_gate_tid2eid":
        return "I32"
    if role.startswith(_KEPT_F32):
        return "F32"
    if role.startswith(_KEPT_16_BIT) and not role.startswith(_QUANTIZED_TIME_MIX):
        return "BF16"
    if architecture in _GLM5_NEXT and role.startswith(_GLM5_NEXT_KEPT):
        return "F32" if role.startswith(("hc_", "indexer.proj")) else "BF16"
    return None


class _Run:
    """One pass of the quantizer over a file, with its counters."""

    def __init__(
        self,
        tensors: Sequence[TensorShape],
        preset: str,
        facts: QuantizerFacts,
        importance_matrix: bool,
        rules: Rules,
    ):
        self._preset = preset
        self._base = BASE_TYPES[preset]
        self._facts = facts
        self._matrix = importance_matrix or preset in NEEDS_MATRIX
        self._tied = not any(t.layer is None and t.role == "output" for t in tensors)
        self._value_roles: tuple[str, ...] = ("attn_v", "attn_qkv", "attn_kv_b")
        self._n_values = sum(t.role.endswith(self._value_roles) for t in tensors)
        if rules is Rules.BEFORE_2026:
            self._value_roles = ("attn_v",)
        self._i_value = 0
        self._i_down = 0
        self._i_gate = 0
        self._i_up = 0

    def type_of(self, tensor: TensorShape) -> str:
        """The type of the next tensor; raises for a shape that the quantizer itself refuses."""
        if len(tensor.shape) < 2:
            return "F32"
        kept = _is_kept(tensor.role, self._facts.architecture)
        if kept is not None:
            return "F32" if kept == "BF16" and self._base == "F32" else kept
        if self._base in _FLOAT_TYPES:
            return self._base
        return self._fitting(self._chosen(tensor), tensor.shape[0])

    def _fitting(self, type_name: str, n_columns: int) -> str:
        """The type itself, or the quantizer's substitute for a row that its blocks do not divide."""
        block = type_by_name(type_name).block_elements
        if n_columns % block == 0:
            return type_name
        if type_name not in _FALLBACKS and block > 32:
            raise MissingFactError(
                f"llama.cpp cannot make {self._preset} of this model: {type_name} needs rows of a multiple of "
                f"{block}, one has {n_columns:,}, and there is no substitute; choose another preset"
            )
        substitute = _FALLBACKS.get(type_name, type_name)
        return substitute if n_columns % type_by_name(substitute).block_elements == 0 else "F16"

    def _layer(self, tensor: TensorShape, counter: int) -> int:
        """The layer that a rule counts with: its own in models with experts, else how many came before."""
        return (tensor.layer or 0) if self._facts.n_experts > 1 else counter

    def _chosen(self, tensor: TensorShape) -> str:
        # The quantizer looks for these names anywhere in a tensor's own, so "indexer.attn_k" is an attn_k too.
        role, preset, base = tensor.role, self._preset, self._base
        if self._facts.architecture in _GLM5_NEXT and role.startswith(_GLM5_NEXT_Q8):
            return "Q8_0"
        outside = tensor.layer is None
        is_table = outside and role in ("token_embd", "per_layer_token_embd")
        if (outside and role == "output") or (is_table and self._tied):
            return self._output_type(tensor.shape[0])
        if preset == "MXFP4_MOE":
            return self._moe_type(tensor)
        if is_table:
            return self._table_type()
        if preset in _LOWEST:
            return self._lowest_type(tensor)
        if role.endswith(self._value_roles):
            return self._value_type()
        if role.endswith("attn_qkv"):
            return self._fused_type()
        if role.endswith(("attn_k", "attn_q")):
            if role.endswith("attn_k") and self._facts.n_experts == 8:
                return "Q8_0"
            return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(preset, base)
        if role.startswith("ffn_down"):
            self._i_down += 1
            return self._down_type(self._layer(tensor, self._i_down - 1))
        if role.endswith("attn_output"):
            return self._attention_output_type()
        if role.startswith("ffn_gate"):
            self._i_gate += 1
            return self._inner_type(self._layer(tensor, self._i_gate - 1))
        if role.startswith("ffn_up"):
            self._i_up += 1
            return self._inner_type(self._layer(tensor, self._i_up - 1))
        return base

    def _moe_type(self, tensor: TensorShape) -> str:
        stacked = len(tensor.shape) > 2 and tensor.shape[2] > 1
        if self._facts.architecture in _BAILING3:
            stacked = stacked and tensor.role.startswith(("ffn_up", "ffn_gate", "ffn_down"))
        return "MXFP4" if stacked else "Q8_0"

    def _output_type(self, n_columns: int) -> str:
        if self._preset == "MXFP4_MOE" or self._facts.architecture == "falcon":
            return "Q8_0"
        if n_columns % type_by_name(self._base).block_elements:
            return "Q8_0"
        if self._preset in _LOWEST or self._preset == "IQ3_XXS":
            return "Q5_K"
        return self._base if self._base == "Q8_0" else "Q6_K"

    def _table_type(self) -> str:
        if self._preset in ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
            return "Q2_K"
        if self._preset in ("IQ2_S", "IQ2_M", "IQ3_XXS"):
            return "IQ3_S"
        return "Q4_K" if self._preset in ("TQ1_0", "TQ2_0", "Q2_0") else self._base

    def _lowest_type(self, tensor: TensorShape) -> str:
        preset, base, facts = self._preset, self._base, self._facts
        finer = "IQ3_S" if preset in ("IQ2_S", "IQ2_M") else "Q2_K"
        if tensor.role.endswith(self._value_roles):
            return "Q4_K" if facts.grouped_queries >= 4 or facts.n_experts >= 4 else finer
        if tensor.role.endswith("attn_k") and facts.n_experts == 8:
            return "Q4_K"
        if tensor.role.startswith("ffn_down"):
            # This branch counts tensors even where there are experts.
            self._i_down += 1
            return finer if self._i_down - 1 < facts.n_layers // 8 else base
        if tensor.role.endswith("attn_output"):
            if facts.n_experts == 8:
                return "Q5_K"
            coarse = {"IQ1_S": "IQ2_XXS", "IQ1_M": "IQ2_XXS", "IQ2_S": "IQ3_S", "IQ2_M": "IQ3_S"}
            return coarse.get(preset, base)
        return base

    def _value_type(self) -> str:
        preset, facts, seen = self._preset, self._facts, self._i_value
        self._i_value += 1
        grouped = facts.grouped_queries >= 4
        chosen = self._base
        if preset == "Q2_K":
            chosen = "Q4_K" if grouped else "Q3_K"
        elif preset in ("Q2_K_S", "IQ3_XS", "IQ3_S") and grouped:
            chosen = "Q4_K"
        elif preset == "IQ3_XXS":
            chosen = "Q4_K" if grouped else self._base if self._matrix else "IQ3_S"
        elif preset == "IQ3_M":
            chosen = "Q4_K"
        elif preset == "Q3_K_M":
            chosen = "Q5_K" if seen < 2 else "Q4_K"
        elif preset == "Q3_K_L" or (preset in ("IQ4_NL", "IQ4_XS") and grouped):
            chosen = "Q5_K"
        elif preset in ("Q4_K_M", "Q5_K_M") and more_bits(seen, self._n_values):
            chosen = "Q6_K"
        elif preset == "Q4_K_S" and seen < 4:
            chosen = "Q5_K"
        if facts.is_70b and chosen in ("Q3_K", "Q4_K"):
            chosen = "Q5_K"
        return "Q8_0" if facts.n_experts == 8 else chosen

    def _fused_type(self) -> str:
        if self._preset in ("Q3_K_M", "Q3_K_L", "IQ3_M"):
            return "Q4_K"
        return {"Q4_K_M": "Q5_K", "Q5_K_M": "Q6_K"}.get(self._preset, self._base)

    def _down_type(self, layer: int) -> str:
        preset, base, n = self._preset, self._base, self._facts.n_layers
        falcon = self._facts.architecture == "falcon"
        first_eighth = layer < n // 8
        more = more_bits(layer, n)
        if preset == "Q2_K":
            return "Q3_K"
        if preset == "Q2_K_S":
            return "Q4_K" if first_eighth else base
        if preset == "IQ3_XXS" and not self._matrix:
            return "Q4_K" if first_eighth else "Q3_K"
        if preset == "Q3_K_M":
            return "Q5_K" if layer < n // 16 else "Q4_K" if more or not falcon else base
        if preset == "IQ3_M" and (first_eighth or (self._facts.n_experts == 8 and more)):
            return "Q4_K"
        if preset == "Q3_K_L":
            return "Q4_K" if falcon else "Q5_K"
        if preset == "Q4_K_M" and falcon:
            return "Q6_K" if layer < n // 16 else "Q5_K" if more else base
        if preset in ("Q4_K_M", "Q5_K_M") and more:
            return "Q6_K"
        if first_eighth and preset in ("IQ4_NL", "IQ4_XS") and not self._matrix:
            return "Q5_K"
        if first_eighth and preset == "Q4_K_S" and not falcon:
            return "Q5_K"
        if first_eighth and preset in ("Q4_0", "Q5_0") and self._matrix:
            return {"Q4_0": "Q4_1", "Q5_0": "Q5_1"}[preset]
        return base

    def _attention_output_type(self) -> str:
        if self._facts.architecture == "falcon":
            return "Q4_K" if self._preset == "Q3_K_L" else self._base
        if self._facts.n_experts == 8:
            finer = ("Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S",
                     "IQ3_M", "IQ4_XS")  # fmt: skip
            return "Q5_K" if self._preset in finer else self._base
        substitutes = {
            "Q2_K": "Q3_K",
            "IQ3_XXS": "IQ3_S",
            "Q3_K_M": "Q4_K",
            "Q3_K_L": "Q5_K",
            "IQ3_M": "Q4_K",
        }
        return substitutes.get(self._preset, self._base)

    def _inner_type(self, layer: int) -> str:
        n = self._facts.n_layers
        inner = n // 8 <= layer < 7 * n // 8
        return "IQ3_XXS" if self._preset == "IQ3_XS" and inner else self._base


def more_bits(layer: int, n_layers: int) -> bool:
    """Whether a layer is among those that the _M presets give more bits: first and last eighth, every third."""
    return layer < n_layers // 8 or layer >= 7 * n_layers // 8 or (layer - n_layers // 8) % 3 == 2

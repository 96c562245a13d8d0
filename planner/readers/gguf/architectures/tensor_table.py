"""The tensors of a GGUF file by layer and role, and what a token does with each."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from planner.model.weight import Use
from planner.readers.gguf.file import GgufTensor

LayerTensors = Mapping[str, GgufTensor]
"""The tensors of one layer, or those outside the layers, by role."""

_NAME: Final = re.compile(r"blk\.(\d{1,5})\.(.+)")
# Ollama's own conversions have names of their own.
_OLLAMA_ROLES: Final = MappingProxyType({"attn_out": "attn_output", "attn_out.bias": "attn_output.bias"})
# Read by row, one row a token.
_TABLES: Final = frozenset(
    ("position_embd", "per_layer_token_embd", "ffn_gate_tid2eid", "indexer_compressor_ape")
)
# In the file, but not read while text is written.
_UNUSED: Final = frozenset(
    ("cls", "cls.bias", "cls.output", "cls.output.bias", "cls.norm", "dense_2", "dense_2.bias", "dense_3",
     "vis_attn_qkv", "vis_attn_output", "vis_gate", "vis_down", "vis_up")
)  # fmt: skip
# Two-dimensional, yet element-wise.
_VECTORS: Final = frozenset(
    ("altup_correct_coef", "altup_predict_coef", "time_mix_lerp_fused", "time_mix_first", "attn_q_norm",
     "attn_k_norm", "ssm_a", "ssm_d", "ssm_norm", "hc_attn_norm", "hc_ffn_norm", "output_hc_norm", "ple_norm_key",
     "ple_norm_query", "ple_norm_conv")
)  # fmt: skip


def split_name(name: str) -> tuple[int | None, str]:
    """Layer and role of a tensor name; ".weight" is left out of the role, ".bias" stays."""
    role = name.removesuffix(".weight")
    match = _NAME.fullmatch(role)
    return (int(match[1]), _OLLAMA_ROLES.get(match[2], match[2])) if match else (None, role)


def by_layer_and_role(
    tensors: Sequence[GgufTensor],
) -> tuple[dict[int, dict[str, GgufTensor]], dict[str, GgufTensor]]:
    """The tensors of each layer, and those outside the layers."""
    by_layer: dict[int, dict[str, GgufTensor]] = defaultdict(dict)
    outer: dict[str, GgufTensor] = {}
    for tensor in tensors:
        layer, role = split_name(tensor.name)
        if layer is None:
            outer[role] = tensor
        else:
            by_layer[layer][role] = tensor
    return dict(by_layer), outer


def use_of(role: str, tensor: GgufTensor, tied: bool) -> Use:
    """What a token does with a tensor, by its role."""
    if role == "token_embd":
        return Use.HEAD if tied else Use.TABLE
    if role == "output":
        return Use.HEAD
    if role in _TABLES:
        return Use.TABLE
    if role in _UNUSED:
        return Use.UNUSED
    if len(tensor.shape) == 1 or role in _VECTORS or role.endswith(".bias"):
        return Use.VECTOR
    return Use.MATMUL


def has(tensors: LayerTensors, *roles: str) -> bool:
    """Whether all of these roles are there."""
    return all(role in tensors for role in roles)


def last_size(tensors: LayerTensors, role: str, n_in: int) -> int | None:
    """Outputs of a matrix with `n_in` inputs, also where ggml dropped a last dimension of one."""
    tensor = tensors.get(role)
    return None if tensor is None or n_in <= 0 else tensor.n_elements // n_in

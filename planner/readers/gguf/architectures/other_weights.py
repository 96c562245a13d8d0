"""Tensors beside the parts of a layer: norms, scales, biases, and what single families add."""

from collections.abc import Container, Mapping
from typing import Final

from planner.errors import UnknownArchitectureError
from planner.model.weight import Use, Weight
from planner.quoting import quoted
from planner.readers.gguf.architectures.keys import ArchitectureKeys
from planner.readers.gguf.architectures.tensor_table import use_of
from planner.readers.gguf.file import GgufTensor

_OUTER: Final = frozenset(
    """
    token_embd output output_norm token_embd_norm position_embd per_layer_token_embd per_layer_model_proj
    per_layer_proj_norm altup_proj altup_unembd_proj rope_freqs rope_factors_long rope_factors_short
    output_hc_fn output_hc_base output_hc_scale output_hc_norm output_hc_down output_hc_up output_res_score
    hrm.z_l_init cls cls.output cls.norm dense_2 dense_3
    """.split()  # noqa: SIM905 — read better as words
)
_LAYER: Final = frozenset(
    """
    layer_output_scale attn_sinks attn_rot_embd rope_freqs rope_factors_long rope_factors_short ffn_gate_inp.scale
    ffn_down_exps.scale exp_probs_b exp_probs_b.bias exp_probs_b_vl.bias attn_res_score ffn_res_score
    ffn.act.scales altup_correct_coef altup_correct_scale altup_predict_coef altup_router laurel_l laurel_r
    inp_gate proj attn_gate hc_attn_fn hc_attn_base hc_attn_scale hc_attn_down hc_attn_up hc_attn_inject hc_ffn_fn
    hc_ffn_base hc_ffn_scale hc_ffn_down hc_ffn_up hc_ffn_inject indexer_compressor_gate indexer_compressor_ape
    ple_key ple_value ple_norm_key ple_norm_query ple_norm_conv
    ffn_gate_tid2eid vis_attn_qkv vis_attn_output vis_gate vis_down vis_up
    """.split()  # noqa: SIM905
)
_CHUNK_EXPERTS: Final = frozenset(("ffn_gate_chexps", "ffn_up_chexps", "ffn_down_chexps"))
_NEVER_READ: Final = frozenset(("time_mix_v0", "time_mix_v1", "time_mix_v2"))  # of RWKV-7's first layer
_ADAPTERS: Final = (".lora_a", ".lora_b")  # of every adapter in one tensor
_SCALES: Final = (".scale", ".input_scale")  # one number a tensor, of NVFP4 and its like


def other_layer_weight(
    keys: ArchitectureKeys,
    role: str,
    tensor: GgufTensor,
    layer: Container[str],
    ignored: Container[str] = frozenset(),
) -> Weight:
    """A tensor that no part of its layer has; raises UnknownArchitectureError where nothing explains it."""
    if role in _CHUNK_EXPERTS and len(tensor.shape) == 3:
        # src/models/grovemoe.cpp: as many small experts as are picked, at most all of them
        active = min(keys.count("expert_used_count", 0), tensor.shape[-1])
        return Weight(role=role, shape=tensor.shape, active_experts=active)
    if role.endswith(_ADAPTERS) and len(tensor.shape) == 3:
        return Weight(role=role, shape=tensor.shape, active_experts=1)  # one adapter at a time
    if role in _NEVER_READ:
        return Weight(role=role, shape=tensor.shape, use=Use.UNUSED)
    if role.startswith("indexer."):  # of a layer that follows another's index
        return Weight(role=role, shape=tensor.shape, use=Use.UNUSED)
    if role in _LAYER or role in ignored or _is_norm(role) or _belongs_to(role, layer):
        return Weight(role=role, shape=tensor.shape, use=use_of(role, tensor, tied=False))
    raise _of_no_part(keys, role, tensor)


def outer_weight(
    keys: ArchitectureKeys,
    role: str,
    tensor: GgufTensor,
    tied: bool,
    outer: Mapping[str, GgufTensor],
    ignored: Container[str] = frozenset(),
) -> Weight:
    """A tensor outside the layers; raises UnknownArchitectureError where nothing explains it."""
    if role in _OUTER or role in ignored or _belongs_to(role, outer):
        return Weight(role=role, shape=tensor.shape, use=use_of(role, tensor, tied))
    raise _of_no_part(keys, role, tensor)


def _of_no_part(keys: ArchitectureKeys, role: str, tensor: GgufTensor) -> UnknownArchitectureError:
    return UnknownArchitectureError(
        f"GGUF architecture {keys.label}: tensor {quoted(tensor.name)} belongs to no part the planner knows; to "
        f"count it as plain weights and go on, --assume {quoted(role)[1:-1]}=ignored"
    )


def _is_norm(role: str) -> bool:
    name = role.removesuffix(".bias")
    return name.endswith("norm") or name in ("attn_norm_2", "pre_ffw_norm_2", "post_ffw_norm_1",
                                             "post_ffw_norm_2", "ffn_norm_exps")  # fmt: skip


def _belongs_to(role: str, others: Container[str]) -> bool:
    """Whether a role is the bias or a scale of another that is there."""
    for suffix in (".bias", *_SCALES):
        if role.endswith(suffix) and role.removesuffix(suffix) in others:
            return True
    return False

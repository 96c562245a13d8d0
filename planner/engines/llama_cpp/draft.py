"""Speculative decoding in llama.cpp: the flags that a draft model runs with, and the context of MTP layers.

Read in common/speculative.cpp and common/common.h as shipped with llama-cpp-python 0.3.36
(common_base_params_to_speculative, common_speculative_init_result, need_n_rs_seq).
"""

from dataclasses import replace
from typing import Literal

from planner.engines.llama_cpp.cache import F16_BYTES, cells_per_stream, row_bytes
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.errors import MissingFactError
from planner.model.cache import F32_BYTES
from planner.model.experts import Experts
from planner.model.network import Network

DRAFT_TOKENS = 3  # --draft-max
Speculation = Literal["draft", "mtp", "eagle3", "dflash", "dspark"]


def draft_flags(target: LlamaCppFlags, *, k_type: str = "F16", v_type: str = "F16") -> LlamaCppFlags:
    """A draft context's flags: as long as the target's, its cache types its own (-ctkd, -ctvd), no rollback."""
    return replace(target, k_type=k_type, v_type=v_type, rollback_sequences=0)


def target_flags(
    flags: LlamaCppFlags, kind: Speculation, n_draft_tokens: int = DRAFT_TOKENS
) -> LlamaCppFlags:
    """The target's flags: MTP and the Eagle-like kinds keep a copy of recurrent state for each drafted token.

    A plain draft model keeps none; models without recurrent layers have no state to copy.
    """
    return replace(flags, rollback_sequences=0 if kind == "draft" else n_draft_tokens)


def mtp_kv_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """KV cache of an MTP context: its own, for the extra prediction layers alone, at the target's length.

    Whatever the layers before it are, an MTP layer caches K and V, or the latent of MLA. Qwen3.6 27B: 1,024 + 1,024
    elements in F16 at 262,144 tokens are 1,024 MiB, which its log prints.
    """
    if not network.mtp:
        raise MissingFactError(
            f"{network.architecture} has no extra prediction layers here; take a file converted with them, or a "
            "draft model with -md"
        )
    streams = 1 if flags.unified_cache else flags.n_sequences
    cells = cells_per_stream(flags) * streams
    per_cell = 0
    for weight in network.mtp:
        if weight.role in ("attn_k", "attn_kv_a_mqa"):
            per_cell += row_bytes(flags.k_type, weight.shape[1])
        elif weight.role == "attn_v":
            per_cell += row_bytes(flags.v_type, weight.shape[1])
    return cells * per_cell


def mtp_compute_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """The compute buffer of an MTP context: the widest moment of one layer, or logits of one token a sequence.

    Attention holds three copies of its queries beside the f16 mask; routed experts two outputs of every chosen
    expert, one intermediate row of each and the residual. GLM-4.5-Air, 512 tokens: (2·8·4096 + 8·1408 + 4096) · 2 KiB
    = 158 MiB up to 4,096 cells, 3·12288 · 2 KiB + 128 MiB of mask = 200 MiB at 131,072.
    """
    hidden, n = network.hidden_size, flags.n_ubatch
    chosen = max((g.block.n_active for g in network.groups if isinstance(g.block, Experts)), default=1)
    attention, block = 0, 0
    for weight in network.mtp:
        if weight.role in ("attn_q", "attn_q_b"):
            attention = 3 * weight.shape[1]
        elif weight.role == "ffn_down_exps":
            block = max(block, 2 * chosen * hidden + chosen * weight.shape[0] + hidden)
        elif weight.role == "ffn_down":
            block = max(block, 2 * weight.shape[0] + hidden)
    mask = cells_per_stream(flags) * n * F16_BYTES
    logits = network.vocab_size * flags.n_sequences * F32_BYTES
    return max(attention * n * F32_BYTES + mask, block * n * F32_BYTES, logits)

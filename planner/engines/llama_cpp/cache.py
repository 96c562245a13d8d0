"""llama.cpp's caches: how many cells it makes, what a cell holds, and recurrent state beside them.

Rules hold for builds since b6975 (2025-11): contexts and windows are padded to 256 cells.
"""

from dataclasses import replace

from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.runs_as import as_run
from planner.errors import MissingFactError
from planner.model.cache import F32_BYTES, state_elements
from planner.model.compressed import CompressedAttention
from planner.model.ggml_types import type_by_name
from planner.model.network import LayerGroup, Network
from planner.model.token_cache import TokenCache

F16_BYTES = 2
_CUDA_ROW = 512  # MATRIX_ROW_PADDING in ggml-cuda/common.cuh
_CUDA_ALIGNMENT = 128
CELL_PADDING = 256  # GGML_PAD(n_ctx, 256) in llama-context.cpp, llama-kv-cache-iswa.cpp


def padded(n_cells: int, padding: int = CELL_PADDING) -> int:
    """Cells rounded up to a multiple of the padding."""
    return -(-n_cells // padding) * padding


def cells_per_stream(flags: LlamaCppFlags) -> int:
    """Context of one stream after padding: the whole cache when unified, else one sequence's share."""
    if flags.unified_cache:
        return padded(flags.n_context_tokens)
    return padded(flags.n_context_tokens // flags.n_sequences)


def cache_cells(flags: LlamaCppFlags, window_tokens: int | None) -> int:
    """Cells over all streams: min(context, pad(window · sequences in the stream + ubatch, 256)) each.

    llama-kv-cache-iswa.cpp: size_swa = GGML_PAD(min(size_base, n_swa·(unified ? n_seq_max : 1) + n_ubatch), 256).
    """
    base = cells_per_stream(flags)
    streams = 1 if flags.unified_cache else flags.n_sequences
    if window_tokens is None or flags.swa_full:
        return base * streams
    in_stream = flags.n_sequences if flags.unified_cache else 1
    return padded(min(base, window_tokens * in_stream + flags.tokens_at_once)) * streams


def row_bytes(type_name: str, n_elements: int) -> int:
    """Bytes of a cache row of a type; raises MissingFactError where blocks do not divide it, as the engine does."""
    ggml_type = type_by_name(type_name)
    if n_elements % ggml_type.block_elements:
        raise MissingFactError(
            f"a {type_name} cache stores rows in blocks of {ggml_type.block_elements}, and this model's have "
            f"{n_elements} elements; use --kv-type F16"
        )
    return n_elements // ggml_type.block_elements * ggml_type.block_bytes


def entry_bytes(cache: TokenCache, flags: LlamaCppFlags) -> int:
    """Bytes of one cell of a cache."""
    return row_bytes(flags.k_type, cache.k_elements) + row_bytes(flags.v_type, cache.v_elements)


def layer_kv_bytes(group: LayerGroup, flags: LlamaCppFlags) -> int:
    """Cache bytes of one layer of a group, in a network `as_run`."""
    caches = group.mixer.token_caches if group.mixer else ()
    if isinstance(group.mixer, CompressedAttention):
        # Each sequence has caches of its own for the whole context (llama-kv-cache-dsv4.cpp: unified_raw).
        context = flags.n_context_tokens * (flags.n_sequences if flags.unified_cache else 1)
        flags = replace(flags, unified_cache=False, n_context_tokens=context)
    return sum(_cells(cache, flags) * entry_bytes(cache, flags) for cache in caches)


def padding_bytes(group: LayerGroup, flags: LlamaCppFlags) -> int:
    """What CUDA adds to one layer's quantized caches whose rows are no multiple of 512 elements."""
    added = 0
    for cache in group.mixer.token_caches if group.mixer else ():
        for type_name, width in ((flags.k_type, cache.k_elements), (flags.v_type, cache.v_elements)):
            ggml_type = type_by_name(type_name)
            if ggml_type.block_elements > 1 and width % _CUDA_ROW:
                extra = ggml_type.row_bytes(_CUDA_ROW - width % _CUDA_ROW)
                added += -(-extra // _CUDA_ALIGNMENT) * _CUDA_ALIGNMENT
    return added


def _cells(cache: TokenCache, flags: LlamaCppFlags) -> int:
    """Cells over all streams; a cache of summaries holds context / ratio of them, padded again."""
    if cache.tokens_per_entry == 1:
        return cache_cells(flags, cache.window_tokens)
    streams = 1 if flags.unified_cache else flags.n_sequences
    return padded(-(-cells_per_stream(flags) // cache.tokens_per_entry)) * streams


def layer_state_bytes(group: LayerGroup, flags: LlamaCppFlags) -> int:
    """Recurrent state of one layer of a group, kept in f32 for every sequence, and again for drafted tokens."""
    copies = flags.n_sequences * (1 + flags.rollback_sequences)
    return 0 if group.mixer is None else group.mixer.state_elements * F32_BYTES * copies


def kv_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """KV bytes of all layers."""
    return sum(len(g.layers) * layer_kv_bytes(g, flags) for g in as_run(network).groups)


def state_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """Recurrent state of all layers and sequences."""
    return state_elements(network) * F32_BYTES * flags.n_sequences


def output_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """Logits kept for sampling: vocabulary · 4 bytes for each sequence (llama_context::output_reserve)."""
    return network.vocab_size * F32_BYTES * flags.n_sequences

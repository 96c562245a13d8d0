"""llama.cpp: how many cache cells it makes, what it allocates to compute, which flags say so.

Rules are read from the engine's source as shipped with llama-cpp-python 0.3.36 and hold for builds since
b6975 (2025-11): contexts and windows are padded to 256 cells, compute buffers as measured with the
engine's own no-allocation planning. See docs/formulas.md for the checks.
"""

from dataclasses import dataclass, replace

from planner.errors import MissingFactError
from planner.model.attention import Attention
from planner.model.cache import F32_BYTES, state_elements
from planner.model.compressed import CompressedAttention
from planner.model.expanded_latent import ExpandedLatentAttention
from planner.model.ggml_types import type_by_name
from planner.model.indexed_attention import IndexedAttention
from planner.model.latent import LatentAttention
from planner.model.network import LayerGroup, Mixer, Network
from planner.model.token_cache import TokenCache

F16_BYTES = 2
CELL_PADDING = 256  # GGML_PAD(n_ctx, 256) in llama-context.cpp, llama-kv-cache-iswa.cpp
# Families whose windows the engine does not use: it caches the whole context (no swa_type in src/models/*).
IGNORES_WINDOWS = frozenset(
    ("mistral", "ministral", "ministral3", "mixtral", "mistral3", "phi3", "phimoe", "starcoder2", "qwen2",
     "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen3", "qwen3_moe", "qwen3_vl", "qwen3_vl_moe",
     "qwen3_omni_moe", "smollm3", "mimo", "dots1")
)  # fmt: skip
# Families whose latent attention it runs with every head's K and V in the cache (src/models/minicpm3.cpp).
EXPANDS_LATENTS = frozenset(("minicpm3",))
# Families whose sparse index it caches with room for values (src/llama-kv-cache-msa.cpp).
INDEX_STORES_VALUES = frozenset(("minimax_m3", "minimax_m3_vl", "minimax_m3_vl_text", "minimax_m3_sparse"))


def as_run(network: Network) -> Network:
    """The network as this engine computes it: windows it does not use dropped, MLA prompts on the latent."""
    name = network.architecture
    groups = tuple(replace(group, mixer=_mixer_as_run(group.mixer, name)) for group in network.groups)
    return network if groups == network.groups else replace(network, groups=groups)


def _mixer_as_run(mixer: Mixer | None, architecture: str) -> Mixer | None:
    if isinstance(mixer, IndexedAttention) and architecture in INDEX_STORES_VALUES:
        return replace(mixer, index_v_elements=mixer.value_head_dim)
    if isinstance(mixer, Attention) and architecture in IGNORES_WINDOWS:
        return replace(mixer, window_tokens=None, chunked=False)
    if isinstance(mixer, LatentAttention) and architecture in EXPANDS_LATENTS:
        return ExpandedLatentAttention(
            n_heads=mixer.n_heads,
            q_lora_rank=mixer.q_lora_rank,
            kv_lora_rank=mixer.kv_lora_rank,
            qk_nope_head_dim=mixer.qk_nope_head_dim,
            qk_rope_head_dim=mixer.qk_rope_head_dim,
            v_head_dim=mixer.v_head_dim,
        )
    if isinstance(mixer, LatentAttention):
        return replace(mixer, absorbed_prefill=True)
    return mixer


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCppFlags:
    """The settings that decide memory, with llama.cpp's own defaults except for one sequence."""

    n_context_tokens: int
    n_batch: int = 2048
    n_ubatch: int = 512
    n_sequences: int = 1
    unified_cache: bool = True
    k_type: str = "F16"
    v_type: str = "F16"
    flash_attention: bool = True

    def __post_init__(self) -> None:
        if min(self.n_context_tokens, self.n_batch, self.n_ubatch, self.n_sequences) < 1:
            raise ValueError("context, batch sizes and sequences must be at least 1")
        if not self.flash_attention and self.v_type not in ("F16", "F32", "BF16"):
            raise ValueError("a quantized V cache needs flash attention")


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
    if window_tokens is None:
        return base * streams
    in_stream = flags.n_sequences if flags.unified_cache else 1
    return padded(min(base, window_tokens * in_stream + flags.n_ubatch)) * streams


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


def _cells(cache: TokenCache, flags: LlamaCppFlags) -> int:
    """Cells over all streams; a cache of summaries holds context / ratio of them, padded again."""
    if cache.tokens_per_entry == 1:
        return cache_cells(flags, cache.window_tokens)
    streams = 1 if flags.unified_cache else flags.n_sequences
    return padded(-(-cells_per_stream(flags) // cache.tokens_per_entry)) * streams


def layer_state_bytes(group: LayerGroup, flags: LlamaCppFlags) -> int:
    """Recurrent state of one layer of a group, kept in f32 for every sequence."""
    return 0 if group.mixer is None else group.mixer.state_elements * F32_BYTES * flags.n_sequences


def kv_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """KV bytes of all layers."""
    return sum(len(g.layers) * layer_kv_bytes(g, flags) for g in as_run(network).groups)


def state_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """Recurrent state of all layers and sequences."""
    return state_elements(network) * F32_BYTES * flags.n_sequences


def output_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """Logits kept for sampling: vocabulary · 4 bytes for each sequence (llama_context::output_reserve)."""
    return network.vocab_size * F32_BYTES * flags.n_sequences


def compute_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """The compute buffer where the output head runs: the larger of the logits and the attention phase.

    Logits: (V + 2·H) · ubatch · 4 bytes; exact for plain attention (Llama, Qwen3, Gemma 3), within 2 % with
    sinks (gpt-oss). Attention: 5·H + 2·H_kv·d activations and, with flash attention, the f16 mask; without
    it, scores and mask, (h + 1) · context · ubatch · 4. MLA: absorbed queries and latent outputs of every
    head beside that, within 10 %.
    """
    n = flags.n_ubatch
    logits = (network.vocab_size + 2 * network.hidden_size) * n * F32_BYTES
    return max(logits, *(_attention_phase_bytes(network, group, flags) for group in network.groups))


def _attention_phase_bytes(network: Network, group: LayerGroup, flags: LlamaCppFlags) -> int:
    n = flags.n_ubatch
    cells = cells_per_stream(flags)
    mixer = group.mixer
    if isinstance(mixer, LatentAttention):
        latent = mixer.kv_lora_rank + mixer.qk_rope_head_dim
        head = mixer.qk_nope_head_dim + mixer.qk_rope_head_dim + mixer.v_head_dim
        inner = mixer.n_heads * (2 * latent + head)
    elif isinstance(mixer, Attention):
        inner = 5 * network.hidden_size + mixer.k_elements_per_token + mixer.v_elements_per_token
    else:
        return 0
    if flags.flash_attention:
        return inner * n * F32_BYTES + cells * n * F16_BYTES
    return (cells * (mixer.n_heads + 1) + inner) * n * F32_BYTES


def hidden_compute_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """The compute buffer of a device without the output head: activations of a layer and the mask.

    Host buffers follow (context + H) · ubatch · 4 bytes in recorded logs, 24 of 37 within 5 %.
    """
    return (cells_per_stream(flags) + network.hidden_size) * flags.n_ubatch * F32_BYTES

"""What vLLM's KV cache manager keeps for each layer: pages of a block of tokens, or one page of state per request.

Sources: vllm/v1/kv_cache_interface.py; vllm/model_executor/layers/mamba/mamba_utils.py (state shapes);
`Platform._align_hybrid_block_size` in vllm/platforms/interface.py, before 0.20 in model_executor/models/config.py.
Read in 0.11.0, 0.12.0, 0.16.0, 0.19.0, 0.25.1 and 0.33.0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from planner.engines.release import Release
from planner.engines.sharding import attention_of, kv_heads_per_rank, mixers_of
from planner.engines.vllm.settings import HYBRID_MANAGER, VllmSettings
from planner.errors import UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.attention_experts import AttentionExperts
from planner.model.compressed import CompressedAttention
from planner.model.constant_state import ConstantState
from planner.model.indexed_attention import IndexedAttention
from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.latent import LatentAttention
from planner.model.mamba2 import Mamba2
from planner.model.network import Mixer, Network

DEFAULT_BLOCK: Final = 16  # CacheConfig.DEFAULT_BLOCK_SIZE
LATENT_BLOCK: Final = 64  # FlashMLA's; CUTLASS MLA wants 128, FlashInfer MLA takes 32 or 64
DS_MLA_BYTES: Final = 656  # "fp8_ds_mla": 512 fp8, 16 scales, 64 rotary in bf16
# Hybrids cache prefixes by default, and windows hold every batch in flight.
STATE_CACHED: Final = Release(0, 26, 0)
# Mamba-2 exports a state within a prompt (read in 0.29.0, not in 0.27.1)
CHECKPOINTS: Final = Release(0, 28, 0)
WIDE_LATENT_BLOCKS: Final = Release(0, 27, 0)  # hybrids with MLA: blocks of 128 tokens (0.27.1, not 0.26.0)

# Local attention in chunks turns the hybrid manager off before (VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE is
# false in 0.11.0 and 0.12.0, true in 0.14.0): such layers then keep the whole context.
CHUNKS_MANAGED: Final = Release(0, 14, 0)

Kind = Literal["full", "window", "chunked", "state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """The pages of one cache of one layer on one rank. A page of "state" holds one request's."""

    kind: Kind
    page_bytes: int
    block_tokens: int
    window_tokens: int | None = None
    packed: bool = False  # pages of different sizes lie side by side in a block

    def pages(self, n_tokens: int, step: "InFlight") -> int:
        """Pages that one request of a length holds at most, while its prompt is read in chunks.

        `max_memory_usage_bytes` of each spec: a window keeps W - 1 tokens and the chunk, and may start within a
        block; a chunk of local attention starts at its beginning.
        """
        if self.kind == "state":
            return step.n_state_pages
        if self.kind == "full" or self.window_tokens is None:
            return -(-n_tokens // self.block_tokens)
        if self.kind == "chunked":
            return -(-min(self.window_tokens + step.n_tokens, n_tokens) // self.block_tokens)
        held = min(self.window_tokens - 1 + step.n_tokens, n_tokens)
        return -(-held // self.block_tokens) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """Tokens that are scheduled and not settled yet, and pages of state, of one request."""

    n_tokens: int
    n_state_pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTypes:
    """Element types of what is kept: the cache's name, and bytes of the activations and of recurrent states."""

    cache: str = "auto"
    model_bytes: int = 2
    state_bytes: int | None = None  # None: as the activations, except where an engine insists on 32 bits

    def head_bytes(self, n_elements: int) -> float:
        """Bytes of one head's elements of one token, scales that lie beside them included.

        `real_page_size_bytes` in 0.25.1: FP8 keeps one scale per tensor elsewhere; NVFP4 a byte per 16 elements;
        the per-token-head types a float for each head of K and of V.
        """
        name = self.cache
        if name in ("auto", "bfloat16", "float16", "half"):
            return n_elements * self.model_bytes
        if name == "nvfp4":
            return n_elements // 2 + n_elements // 16
        if name in ("int8_per_token_head", "fp8_per_token_head"):
            return n_elements + 4
        if name == "int4_per_token_head":
            return n_elements // 2 + 4
        if name.startswith(("fp8", "int8")):
            return n_elements
        if name in ("float32", "float"):
            return 4 * n_elements
        raise UnknownArchitectureError(
            f"vLLM's cache type {name[:40]!r} is not understood; known are auto, bfloat16, float16, fp8, nvfp4 "
            "and the per_token_head types"
        )


def in_flight(network: Network, settings: VllmSettings, n_batched_tokens: int) -> InFlight:
    """What a request holds while it is worked on, beside its context.

    Tokens: one batch, since 0.26 every batch that runs at once (asynchronous scheduling: stages + 1). States: one, one
    more for prefix caching in aligned mode, since 0.28 another for Mamba-2's checkpoint, and one per speculated token.
    `max_in_flight_tokens` in vllm/config/vllm.py; `MambaSpec.max_memory_usage_bytes`; mamba_mixer2.py (0.33.0).
    """
    batches = settings.parallel.pipeline + 1 if settings.version >= STATE_CACHED else 1
    caching = settings.prefix_caching
    if caching is None:
        caching = settings.version >= STATE_CACHED
    states = (2 if caching else 1) + settings.n_speculative_tokens
    if caching and settings.version >= CHECKPOINTS:
        states += any(isinstance(part, Mamba2) for g in network.groups for part in mixers_of(g.mixer))
    return InFlight(n_tokens=batches * n_batched_tokens, n_state_pages=states)


def layer_specs(
    network: Network, settings: VllmSettings, types: CacheTypes
) -> tuple[tuple[LayerSpec, ...], ...]:
    """The caches of each layer of the network in order, then of each draft layer where tokens are speculated.

    Raises UnknownArchitectureError for a mixer whose cache in vLLM is not known.
    """
    block = _block_tokens(network, settings, types)
    by_layer: dict[int, tuple[LayerSpec, ...]] = {}
    for group in network.groups:
        found = tuple(_specs(group.mixer, network, settings, types, block))
        by_layer.update(dict.fromkeys(group.layers, found))
    ordered = [by_layer[layer] for layer in range(network.n_layers)]
    if settings.n_speculative_tokens:
        ordered += [_draft_specs(ordered)] * max(1, _n_draft_layers(network))
    specs = [spec for layer in ordered for spec in layer]
    states = [spec for spec in specs if spec.kind == "state"]
    paged = [spec for spec in specs if spec.kind != "state"]
    if states and paged:
        # The state's page is padded to the attention's, which has grown to hold it.
        page = max(spec.page_bytes for spec in paged)
        ordered = [
            tuple(replace(s, page_bytes=page, block_tokens=block) if s.kind == "state" else s for s in layer)
            for layer in ordered
        ]
    return tuple(ordered)


def _n_draft_layers(network: Network) -> int:
    return sum(weight.role == "nextn.enorm" for weight in network.mtp)


def _draft_specs(ordered: list[tuple[LayerSpec, ...]]) -> tuple[LayerSpec, ...]:
    """A multi-token-prediction layer attends as the network's last full attention does."""
    for layer in reversed(ordered):
        full = tuple(spec for spec in layer if spec.kind == "full")
        if full:
            return full
    raise UnknownArchitectureError("a draft layer's cache is not known for a network without full attention")


def hybrid_block_tokens(network: Network, settings: VllmSettings, types: CacheTypes) -> int | None:
    """Tokens of an attention block in a network that also keeps states; None for one that does not.

    The smallest multiple of 16 (the kernel's block) whose page holds a layer's state:
    16 * ceil(state bytes / (16 * bytes per token)). Prefix caching in Mamba's "all" mode, which aligned to the
    kernel's chunk before 0.20, is not modelled.
    """
    states = [
        _state_bytes(part, network, settings, types)
        for group in network.groups
        for part in mixers_of(group.mixer)
        if isinstance(part, ConstantState)
    ]
    tokens = [
        _token_bytes(part, settings, types)
        for group in network.groups
        for part in mixers_of(group.mixer)
        if isinstance(part, Attention | LatentAttention) and part.token_caches
    ]
    if not states or not tokens:
        return None
    step = settings.block_size or (LATENT_BLOCK if _is_latent(network) else DEFAULT_BLOCK)
    if _is_latent(network) and settings.version >= WIDE_LATENT_BLOCKS:
        step = max(step, 128)
    return step * -(-max(states) // int(step * max(tokens)))


def _block_tokens(network: Network, settings: VllmSettings, types: CacheTypes) -> int:
    return (
        hybrid_block_tokens(network, settings, types)
        or settings.block_size
        or (LATENT_BLOCK if _is_latent(network) else DEFAULT_BLOCK)
    )


def _is_latent(network: Network) -> bool:
    return any(isinstance(part, LatentAttention) for g in network.groups for part in mixers_of(g.mixer))


def _specs(
    mixer: Mixer | None, network: Network, settings: VllmSettings, types: CacheTypes, block: int
) -> Iterator[LayerSpec]:
    for part in mixers_of(mixer):
        if isinstance(part, Attention):
            if part.shares_kv:
                continue
            window = part.window_tokens if settings.version >= HYBRID_MANAGER else None
            if part.chunked and settings.version < CHUNKS_MANAGED:
                window = None
            kind: Kind = "full" if window is None else "chunked" if part.chunked else "window"
            yield LayerSpec(
                kind=kind, page_bytes=int(block * _token_bytes(part, settings, types)), block_tokens=block,
                window_tokens=window,
            )  # fmt: skip
            if isinstance(part, IndexedAttention):
                index = part.index_head_dim * types.model_bytes
                yield LayerSpec(kind="full", page_bytes=block * index, block_tokens=block)
        elif isinstance(part, LatentAttention):
            yield LayerSpec(
                kind="full", page_bytes=int(block * _token_bytes(part, settings, types)), block_tokens=block
            )
            if part.indexer is not None:
                # FP8 keys with a float for every 128 of them: DeepseekV32IndexerCache in deepseek_v2.py.
                index = part.indexer.cached_elements + part.indexer.cached_elements // 128 * 4
                yield LayerSpec(kind="full", page_bytes=block * index, block_tokens=block)
        elif isinstance(part, ConstantState):
            n_bytes = _state_bytes(part, network, settings, types)
            yield LayerSpec(kind="state", page_bytes=n_bytes, block_tokens=block)
        elif isinstance(part, AttentionExperts):
            width = part.k_elements_per_token + part.v_elements_per_token
            yield LayerSpec(kind="full", page_bytes=int(block * types.head_bytes(width)), block_tokens=block)
        elif isinstance(part, CompressedAttention):
            if settings.n_speculative_tokens:
                raise UnknownArchitectureError(
                    "how vLLM caches the prediction layer of compressed attention is not known to this planner"
                )
            yield from compressed_specs(part)
        elif part.token_caches or part.state_elements:
            raise UnknownArchitectureError(f"how vLLM caches {part.kind} is not known to this planner")


# DeepSeek V4 (vllm/models/deepseek_v4/attention.py, compressor.py, v1/attention/backends/mla/sparse_swa.py, 0.33.0):
# 448 bytes in FP8, 64 rotary elements in 16 bits and 8 scales a row; blocks of 256 tokens, windows in blocks of 64.
COMPRESSED_ROW_BYTES: Final = 584
COMPRESSED_BLOCK: Final = 256
COMPRESSED_WINDOW_BLOCK: Final = 64
_ROW_ALIGNMENT: Final = 576


def compressed_specs(part: CompressedAttention) -> Iterator[LayerSpec]:
    """The pages of a layer of compressed attention: window, compressed rows, index keys, and the compressors' states.

    A compressor keeps float32 keys and scores of the last `ratio` tokens, of twice as many where its groups overlap
    (ratio 4), in blocks of 4 and 8 tokens.
    """
    yield LayerSpec(
        kind="window", page_bytes=_aligned(COMPRESSED_WINDOW_BLOCK * COMPRESSED_ROW_BYTES),
        block_tokens=COMPRESSED_WINDOW_BLOCK, window_tokens=part.window, packed=True,
    )  # fmt: skip
    if part.compressor is None:
        return
    ratio = part.compressor.ratio
    rows = COMPRESSED_BLOCK // ratio
    overlap = 2 if ratio == 4 else 1
    block = 4 if ratio == 4 else 8
    widths = [part.head_dim]
    yield LayerSpec(
        kind="full",
        page_bytes=_aligned(rows * COMPRESSED_ROW_BYTES),
        block_tokens=COMPRESSED_BLOCK,
        packed=True,
    )
    if part.indexer is not None:
        width = part.indexer.head_dim
        widths.append(width)
        yield LayerSpec(
            kind="full", page_bytes=_aligned(rows * (width + width // 128 * 4)), block_tokens=COMPRESSED_BLOCK,
            packed=True,
        )  # fmt: skip
    for width in widths:
        yield LayerSpec(
            kind="window", page_bytes=_aligned(block * 2 * overlap * width * 4), block_tokens=block,
            window_tokens=overlap * ratio, packed=True,
        )  # fmt: skip


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // _ROW_ALIGNMENT) * _ROW_ALIGNMENT


def _token_bytes(part: Mixer, settings: VllmSettings, types: CacheTypes) -> float:
    """Bytes that one token takes in one layer on one rank."""
    if isinstance(part, LatentAttention):
        width = part.kv_lora_rank + part.qk_rope_head_dim
        sparse = part.top_k_tokens is not None
        # 0.11 used the mixed type by default with a sparse index, later versions where FP8 is asked for.
        if sparse and (
            types.cache.startswith("fp8") or (types.cache == "auto" and settings.version < Release(0, 12))
        ):
            return DS_MLA_BYTES
        return types.head_bytes(width)
    attention = attention_of(part)
    if attention is None:
        raise UnknownArchitectureError(f"how vLLM caches {part.kind} is not known to this planner")
    heads = kv_heads_per_rank(attention.n_kv_heads, settings.parallel.attention)
    return heads * (types.head_bytes(attention.key_head_dim) + types.head_bytes(attention.value_head_dim))


# Networks whose configs ask for 32-bit states without saying so, or whose engine class does: NemotronHForCausalLMConfig.
_F32_STATES: Final = frozenset(("nemotron_h",))


def _state_bytes(part: ConstantState, network: Network, settings: VllmSettings, types: CacheTypes) -> int:
    """One request's state of one layer on one rank: recurrent part and the convolution's last inputs.

    A convolution of K inputs keeps K - 1 and one more for each speculated token.
    """
    n = settings.parallel.attention
    width = types.state_bytes
    if width is None:
        insists = network.architecture in _F32_STATES or isinstance(part, KimiDeltaAttention)
        width = 4 if insists else types.model_bytes
    conv, recurrent = part.conv_state_elements, part.state_elements - part.conv_state_elements
    kernel: int | None = getattr(part, "conv_kernel", None)
    if isinstance(part, Mamba2) and part.n_groups % n:
        # Groups are replicated until every rank has whole ones (extra_groups_for_head_shards).
        conv += 2 * (n - part.n_groups) * part.state_size * (part.conv_kernel - 1)
    if kernel is not None and kernel > 1 and not isinstance(part, KimiDeltaAttention):
        conv = conv // (kernel - 1) * (kernel - 1 + settings.n_speculative_tokens)
    return conv // n * types.model_bytes + recurrent // n * width

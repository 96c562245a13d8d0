"""SGLang's token pool: bytes per token, tokens of full and windowed layers, slots of recurrent state.

Source: sglang/srt/model_executor/model_runner_kv_cache_mixin.py and mem_cache/memory_pool.py in 0.5.9,
model_executor/pool_configurator.py in 0.5.23. Sizes are printed as "GB" and are GiB; K and V are printed apart.
"""

from dataclasses import dataclass, replace
from typing import Final

from planner.engines.release import Release
from planner.engines.sglang.settings import MAMBA_RATIO, NPU_PAGE, SWA_RATIO, SglangSettings
from planner.engines.sharding import attention_of, kv_heads_per_rank, mixers_of, stage_layers
from planner.errors import UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.compressed import CompressedAttention
from planner.model.constant_state import ConstantState
from planner.model.cross_attention import CrossAttention
from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.latent import LatentAttention
from planner.model.network import Network

DRAFT_CHARGED: Final = Release(0, 5, 10)  # a draft's layers count in the cell (read in 0.5.23, not in 0.5.9)
# Before, every layer of a hybrid had a pool on Ascend NPUs, the recurrent ones too (read in 0.5.9, not in 0.5.10).
HYBRID_ON_NPU: Final = Release(0, 5, 10)
STATE_SLOTS_PER_REQUEST: Final = 3  # MAMBA_CACHE_SIZE_MAX_RUNNING_REQUESTS_RATIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one token takes on one rank, in full and in windowed layers, and one request's recurrent state."""

    full_bytes: float
    charged_bytes: float  # what the engine sizes the pool with, where that is not what it allocates
    window_bytes: float
    conv_bytes: int
    recurrent_bytes: int

    @property
    def state_bytes(self) -> int:
        """One slot of state, both parts."""
        return self.conv_bytes + self.recurrent_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPool:
    """The pool as it is allocated: tokens, slots and bytes; K and V lie in tensors of a page more than the tokens."""

    n_tokens: int
    n_window_tokens: int
    n_state_slots: int
    kv_bytes: int
    state_bytes: int


def cell(
    network: Network, settings: SglangSettings, *, element_bytes: int = 2, state_bytes: int | None = None,
    stage: int = 0,
) -> Cell:  # fmt: skip
    """Bytes per token and per request on a rank of one pipeline stage (`get_cell_size_per_token`).

    FP4 keeps half a byte per element and a byte of scale for every 16. Raises UnknownArchitectureError for a mixer
    whose pool is not known.
    """
    layers = stage_layers(network.n_layers, settings.parallel.pipeline)[stage]
    full = charged = window = 0.0
    conv = recurrent = 0
    for group in network.groups:
        n = sum(layer in layers for layer in group.layers)
        for part in mixers_of(group.mixer):
            if isinstance(part, LatentAttention):
                full += n * _latent_bytes(part, settings, element_bytes)
                charged += n * _latent_bytes(part, replace(settings, on_npu=False), element_bytes)
            elif isinstance(part, ConstantState):
                held = _state(part, settings, element_bytes, state_bytes)
                conv, recurrent = conv + n * held[0], recurrent + n * held[1]
            elif (attention := attention_of(part)) is not None:
                held_bytes = n * _attention_bytes(attention, settings, element_bytes)
                if attention.window_tokens is None or attention.chunked:
                    full += held_bytes
                    charged += held_bytes
                else:
                    window += held_bytes
            elif isinstance(part, CompressedAttention | CrossAttention) or (part and part.token_caches):
                raise UnknownArchitectureError(f"how SGLang caches {part.kind} is not known to this planner")
    if recurrent and settings.on_npu and settings.version < HYBRID_ON_NPU:
        n_attention = sum(
            layer in layers for g in network.groups for layer in g.layers if g.mixer and g.mixer.token_caches
        )
        if n_attention:
            full = charged = full * len(layers) / n_attention
    if settings.n_draft_layers and settings.version >= DRAFT_CHARGED:
        n_full = sum(len(g.layers) for g in network.groups if g.mixer and g.mixer.token_caches)
        more = 1 + (settings.n_draft_layers / n_full if n_full else 0)
        full, charged = full * more, charged * more
    return Cell(
        full_bytes=full,
        charged_bytes=charged,
        window_bytes=window,
        conv_bytes=conv,
        recurrent_bytes=recurrent,
    )


def _elements_bytes(n: int, settings: SglangSettings, element_bytes: int) -> float:
    name = settings.kv_cache_dtype
    if name.startswith("fp4"):
        return n / 2 + n / 16
    if name.startswith(("fp8", "int8")):
        return n
    if name in ("auto", "bfloat16", "bf16", "float16"):
        return n * element_bytes
    raise UnknownArchitectureError(
        f"SGLang's cache type {name[:40]!r} is not understood; known are auto, bf16, fp8_e4m3, fp8_e5m2 and fp4_e2m1"
    )


def _attention_bytes(attention: Attention, settings: SglangSettings, element_bytes: int) -> float:
    if attention.shares_kv:
        return 0.0
    heads = kv_heads_per_rank(attention.n_kv_heads, settings.parallel.attention)
    width = heads * (attention.key_head_dim + attention.value_head_dim)
    return _elements_bytes(width, settings, element_bytes)


def _latent_bytes(part: LatentAttention, settings: SglangSettings, element_bytes: int) -> float:
    """The latent, not split over ranks; a sparse index keeps FP8 keys with a float per 128, on NPUs 16-bit keys.

    The engine sizes the pool for FP8 keys on NPUs as well (`get_cell_size_per_token`): DeepSeek V3.2's pool there is
    1408 / 1284 of what it meant it to be, in logs too.
    """
    found = _elements_bytes(part.kv_lora_rank + part.qk_rope_head_dim, settings, element_bytes)
    if part.top_k_tokens is not None and settings.kv_cache_dtype.startswith("fp8"):
        found = part.kv_lora_rank + part.kv_lora_rank // 128 * 4 + part.qk_rope_head_dim * element_bytes
    if part.indexer is not None:
        n = part.indexer.cached_elements
        found += n * element_bytes if settings.on_npu else n + n // 128 * 4
    return found


def _state(
    part: ConstantState, settings: SglangSettings, element_bytes: int, state_bytes: int | None
) -> tuple[int, int]:
    n = settings.parallel.attention
    conv, recurrent = part.conv_state_elements, part.state_elements - part.conv_state_elements
    width = state_bytes or 4  # SGLANG_MAMBA_SSM_DTYPE and --mamba-ssm-dtype default to float32
    if isinstance(part, KimiDeltaAttention):
        width = 4
    return conv // n * element_bytes, recurrent // n * width


def page_tokens(settings: SglangSettings, network: Network) -> int:
    """Tokens of a page: 1, 64 for sparse-index attention, 128 on NPUs."""
    if settings.page_size is not None:
        return settings.page_size
    if settings.on_npu:
        return NPU_PAGE
    sparse = any(isinstance(g.mixer, LatentAttention) and g.mixer.top_k_tokens for g in network.groups)
    return 64 if sparse else 1


def rest_bytes(free_after_load_bytes: float, free_before_load_bytes: float, static_fraction: float) -> float:
    """What caches may take: free after loading - (1 - fraction) * free before it (`profile_max_num_token`)."""
    return free_after_load_bytes - free_before_load_bytes * (1 - static_fraction)


def state_slots(settings: SglangSettings, held: Cell, n_bytes: float) -> int:
    """Slots of recurrent state: as many as requests without a radix cache, else 0.9 / 1.9 of the memory."""
    if not held.state_bytes:
        return 0
    if not settings.radix_cache and settings.max_running_requests is not None:
        return settings.max_running_requests // settings.parallel.attention_replicas
    return int(n_bytes * MAMBA_RATIO / (1 + MAMBA_RATIO) // held.state_bytes)


def token_pool(settings: SglangSettings, network: Network, held: Cell, n_bytes: float) -> TokenPool:
    """The pool that a memory makes: state slots first, then tokens, in whole pages.

    With windows, full layers get T tokens and windowed ones 0.8 * T: T = memory / (full + 0.8 * window) per token.
    """
    slots = state_slots(settings, held, n_bytes)
    left = max(0.0, n_bytes - slots * held.state_bytes)
    page = page_tokens(settings, network)
    per_token = held.charged_bytes + held.window_bytes
    if not per_token:
        return TokenPool(n_tokens=0, n_window_tokens=0, n_state_slots=slots, kv_bytes=0, state_bytes=0)
    if not held.full_bytes or not held.window_bytes:
        tokens = int(left // per_token) // page * page
        windowed = 0 if held.full_bytes else tokens
        n_bytes_kv = (held.full_bytes + held.window_bytes) * (tokens + page)
    else:
        share = held.charged_bytes + SWA_RATIO * held.window_bytes
        full_tokens = int(int(left // per_token) * per_token / share)
        windowed = int(full_tokens * SWA_RATIO) // page * page
        tokens = full_tokens // page * page
        n_bytes_kv = held.full_bytes * (tokens + page) + held.window_bytes * (windowed + page)
    return TokenPool(
        n_tokens=tokens,
        n_window_tokens=windowed,
        n_state_slots=slots,
        kv_bytes=round(n_bytes_kv),
        state_bytes=slots * held.state_bytes,
    )


def tokens_of_kv_bytes(settings: SglangSettings, network: Network, held: Cell, kv_bytes: float) -> int:
    """Tokens of full layers in a pool of which the engine printed the size: a page less than the tensors hold."""
    page = page_tokens(settings, network)
    share = held.full_bytes + (SWA_RATIO * held.window_bytes if held.full_bytes else held.window_bytes)
    if not share:
        return 0
    # The nearest whole number of pages: a printed size is rounded to 0.01.
    return max(0, round((kv_bytes / share - page) / page)) * page

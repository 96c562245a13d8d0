"""The work of one step: what reading a prompt or decoding a token computes and moves, engine aside.

Plain arithmetic over a network and its storage, so that a sweep over contexts or batches is one call with
NumPy arrays. What an engine adds (padding, kernels, launches) is not here.
"""

from dataclasses import dataclass
from typing import Any

from planner.model.network import Network
from planner.model.storage import Storage

KV_ELEMENT_BYTES = 2.0  # f16 or bf16
STATE_ELEMENT_BYTES = 4.0  # f32


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """FLOP and bytes of one step; numbers, or arrays of the shape that was asked for."""

    matmul_flop: Any
    mixing_flop: Any  # attention and recurrence, weights apart
    weight_bytes: Any
    cache_bytes: Any
    state_bytes: Any

    @property
    def flop(self) -> Any:
        """All floating-point operations, a multiply-add counted as two."""
        return self.matmul_flop + self.mixing_flop

    @property
    def moved_bytes(self) -> Any:
        """All bytes read from or written to memory, activations apart."""
        return self.weight_bytes + self.cache_bytes + self.state_bytes


def decode_work(
    network: Network,
    storage: Storage,
    n_context_tokens: Any,
    n_sequences: Any = 1,
    *,
    kv_element_bytes: float = KV_ELEMENT_BYTES,
    state_element_bytes: float = STATE_ELEMENT_BYTES,
) -> Work:
    """One new token for each of `n_sequences`, every one of them at a context of `n_context_tokens`.

    Weights are read once for the whole batch; caches and states for each sequence. The new token's own entry
    is written too, which is left out as one part in `n_context_tokens`.
    """
    flop = 0 * n_context_tokens
    cached = 0 * n_context_tokens
    state = 0
    for group in network.groups:
        if group.mixer is None:
            continue
        n = len(group.layers)
        flop = flop + n * group.mixer.decode_flop(n_context_tokens)
        for cache in group.mixer.token_caches:
            cached = cached + n * cache.entries_read(n_context_tokens) * cache.elements_per_entry
        state += n * group.mixer.state_elements
    return Work(
        matmul_flop=storage.matmul_flop(n_sequences, n_sequences),
        mixing_flop=flop * n_sequences,
        weight_bytes=storage.read_bytes(n_sequences),
        cache_bytes=cached * n_sequences * kv_element_bytes,
        state_bytes=2 * state * n_sequences * state_element_bytes,  # read and written
    )


def prefill_work(
    network: Network,
    storage: Storage,
    n_tokens: Any,
    n_past_tokens: Any = 0,
    n_sequences: Any = 1,
    *,
    kv_element_bytes: float = KV_ELEMENT_BYTES,
    state_element_bytes: float = STATE_ELEMENT_BYTES,
) -> Work:
    """`n_tokens` of a prompt for each of `n_sequences`, in one step after `n_past_tokens`; one token sampled each.

    The caches count as read once and the prompt's entries as written once, which is what fused attention
    kernels come close to.
    """
    flop = 0 * (n_tokens + n_past_tokens)
    cached = 0 * (n_tokens + n_past_tokens)
    state = 0
    for group in network.groups:
        if group.mixer is None:
            continue
        n = len(group.layers)
        flop = flop + n * group.mixer.prefill_flop(n_tokens, n_past_tokens)
        for cache in group.mixer.token_caches:
            moved = cache.entries(n_past_tokens) + n_tokens // cache.tokens_per_entry
            cached = cached + n * moved * cache.elements_per_entry
        state += n * group.mixer.state_elements
    return Work(
        matmul_flop=storage.matmul_flop(n_tokens * n_sequences, n_sequences),
        mixing_flop=flop * n_sequences,
        weight_bytes=storage.read_bytes(n_tokens * n_sequences),
        cache_bytes=cached * n_sequences * kv_element_bytes,
        state_bytes=2 * state * n_sequences * state_element_bytes,
    )

"""A step's attention on a processor alone in llama.cpp itself, which computes every head's row on its own.

Each new token meets each cached one head by head: a dot product, an exponential and a scaled sum, in 10 ns and 0.08 ns an
element on one thread of a Zen 5, whether or not instructions are wide (`ggml_compute_forward_flash_attn_ext_f16_one_chunk`
in ops.cpp of ggml-cpu, October 2026). That takes longer than reading the cache wherever its rows lie near each other;
rows of one head that lie 2 KiB and more apart are not fetched ahead, so that both add up.
"""

from collections.abc import Iterator
from typing import Any

from planner.model.network import Mixer
from planner.speed.device import SpeedDevice

PAIRS, ELEMENTS, NEAR_CACHE = "attend_pairs", "attend", "cache_near"
ATTENTION = (PAIRS, ELEMENTS)
PAIR_S = 1e-9  # the unit that pairs count in; how long one takes was measured
_FAR_BYTES = 2048.0  # from row to row of one head


def cache_class(cache_type: str) -> str:
    """The name that attention over a cache of a type goes by, apart from weights of that type."""
    return f"{cache_type} cache"


def processor_attention(
    mixer: Mixer, device: SpeedDevice, depth_tokens: Any, n_sequences: Any, n_new_tokens: Any,
    kv_bytes_per_element: float,
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    """Operators and ideal seconds of one layer's attention in a step; what it reads of the cache among them."""
    entries, read, far = 0, 0, False
    for cache in mixer.token_caches:
        found = cache.entries_read(depth_tokens)
        entries = entries + found
        read = read + found * cache.elements_per_entry
        far = far or cache.k_elements * kv_bytes_per_element >= _FAR_BYTES
    pairs = entries * getattr(mixer, "n_heads", 1) * n_sequences * n_new_tokens
    flop = mixer.decode_flop(depth_tokens) * n_sequences * n_new_tokens
    yield PAIRS, PAIR_S * pairs / device.n_threads
    yield ELEMENTS, flop / device.widened_flop_per_s
    reading = read * kv_bytes_per_element / device.memory_bytes_per_s * n_sequences
    yield "cache" if far else NEAR_CACHE, reading

"""KV caches and recurrent state of a network, before an engine rounds or splits them."""

from dataclasses import dataclass
from typing import Any

from planner.model.network import Network
from planner.model.token_cache import TokenCache

F32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLayers:
    """Layers that keep the same cache: how many of them, and what each keeps."""

    n_layers: int
    cache: TokenCache


def cache_layers(network: Network) -> tuple[CacheLayers, ...]:
    """Every cache of every layer, like ones counted together."""
    counts: dict[TokenCache, int] = {}
    for group in network.groups:
        for cache in group.mixer.token_caches if group.mixer else ():
            counts[cache] = counts.get(cache, 0) + len(group.layers)
    return tuple(CacheLayers(n_layers=n, cache=cache) for cache, n in counts.items())


def kv_bytes_per_token(network: Network, element_bytes: float = 2.0) -> float:
    """Cache bytes that one more token adds while no window is full: Σ layers · elements · element bytes."""
    return sum(found.n_layers * found.cache.elements_per_token for found in cache_layers(network)) * (
        element_bytes
    )


def kv_bytes(network: Network, n_context_tokens: Any, element_bytes: float = 2.0) -> Any:
    """Cache bytes of one sequence at a context, full windows counted once; broadcasts over contexts."""
    return sum(
        found.n_layers
        * found.cache.entries(n_context_tokens)
        * found.cache.elements_per_entry
        * element_bytes
        for found in cache_layers(network)
    )


def state_elements(network: Network) -> int:
    """Elements of constant-size recurrent state of one sequence."""
    return sum(len(g.layers) * g.mixer.state_elements for g in network.groups if g.mixer is not None)


def state_bytes(
    network: Network, element_bytes: float = F32_BYTES, conv_element_bytes: float | None = None
) -> float:
    """Recurrent state of one sequence; convolution inputs may be kept in a type of their own.

    llama.cpp keeps both in f32 (llama-memory-recurrent.cpp); vLLM keeps convolution inputs in the model's type.
    """
    conv = sum(len(g.layers) * g.mixer.conv_state_elements for g in network.groups if g.mixer is not None)
    if conv_element_bytes is None:
        conv_element_bytes = element_bytes
    return (state_elements(network) - conv) * element_bytes + conv * conv_element_bytes

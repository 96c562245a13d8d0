"""KV cache and recurrent state of a network, before an engine rounds or splits them."""

from dataclasses import dataclass

from planner.model.network import Network

F32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLayer:
    """Layers that cache alike: how many, elements per token, and the window, None for all tokens."""

    n_layers: int
    k_elements_per_token: int
    v_elements_per_token: int
    window_tokens: int | None


def cache_layers(network: Network) -> tuple[CacheLayer, ...]:
    """The layers that cache per token, grouped by what they cache."""
    counts: dict[tuple[int, int, int | None], int] = {}
    for group in network.groups:
        mixer = group.mixer
        if mixer is None or not mixer.k_elements_per_token + mixer.v_elements_per_token:
            continue
        key = (mixer.k_elements_per_token, mixer.v_elements_per_token, mixer.window_tokens)
        counts[key] = counts.get(key, 0) + len(group.layers)
    return tuple(
        CacheLayer(n_layers=n, k_elements_per_token=k, v_elements_per_token=v, window_tokens=window)
        for (k, v, window), n in counts.items()
    )


def kv_bytes_per_token(network: Network, element_bytes: float = 2.0) -> float:
    """KV bytes that one more token adds while no window is full: Σ layers (k + v) · element bytes."""
    return sum(
        layer.n_layers * (layer.k_elements_per_token + layer.v_elements_per_token) * element_bytes
        for layer in cache_layers(network)
    )


def state_elements(network: Network) -> int:
    """Elements of constant-size recurrent state of one sequence."""
    return sum(len(g.layers) * g.mixer.state_elements for g in network.groups if g.mixer is not None)


def state_bytes(network: Network, element_bytes: float = F32_BYTES) -> float:
    """Recurrent state of one sequence; llama.cpp keeps it in f32 (llama-memory-recurrent.cpp)."""
    return state_elements(network) * element_bytes

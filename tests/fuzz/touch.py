"""Uses a network the way an estimate does, so that a fuzzer also reaches what is computed later."""

from planner.errors import USER_ERRORS
from planner.model.network import Network
from planner.model.presets import preset_storage

_MOST_LAYERS = 500  # beyond, a predicted table is slow in proportion and finds nothing new


def touch(network: Network) -> None:
    """Counts, caches, states, FLOP at some contexts, and the storage that a preset would give."""
    assert network.parameters.counted >= 0
    assert network.active_matmul_parameters is not None
    for group in network.groups:
        assert group.kind
        if group.mixer is None:
            continue
        for n_tokens in (1, 4096, 131_072):
            for cache in group.mixer.token_caches:
                assert cache.k_elements >= 0
            assert group.mixer.decode_flop(n_tokens) >= 0
            assert group.mixer.prefill_flop(n_tokens) >= 0
        assert group.mixer.state_elements >= 0
    if network.n_layers <= _MOST_LAYERS:
        try:
            storage = preset_storage(network, "Q4_K_M")
        except USER_ERRORS:
            return
        assert storage.weights

"""Compute buffers of one network at several presets: a replay that is shared says what a replay of its own would."""

import pytest

from planner.engines.llama_cpp import LlamaCppFlags, Split
from planner.engines.llama_cpp.buffers import _replay, replayed
from planner.engines.llama_cpp.split import layer_gpus
from planner.engines.llama_cpp.weights import plan_layout
from planner.model.network import Network
from planner.model.presets import preset_storage
from planner.readers.catalogue_model import from_catalogue
from profiles.loader import model_entry

PRESETS = ("F16", "Q4_K_M", "Q2_K", "IQ2_XS")


def network(name: str) -> Network:
    return from_catalogue(model_entry(name), name).network


@pytest.mark.parametrize("name", ["qwen3-0.6b", "gemma-3-4b-it", "qwen3-30b-a3b", "deepseek-v2-lite-chat"])
@pytest.mark.parametrize("n_gpus", [0, 1, 2])
def test_types_decide_nothing_where_no_weight_is_copied(name: str, n_gpus: int) -> None:
    found = network(name)
    flags = LlamaCppFlags(n_context_tokens=8192, n_outputs=1)
    split = Split(n_gpu_layers=found.n_layers + 1 if n_gpus else 0)
    where = layer_gpus(found.n_layers, split, [2**34] * n_gpus)
    shared = []
    _replay.cache_clear()
    for preset in PRESETS:
        storage = preset_storage(found, preset)
        shared.append(replayed(found, storage, flags, plan_layout(storage, where, split, ["cuda"] * n_gpus)))
    assert _replay.cache_info().misses == 1
    for preset, one in zip(PRESETS, shared, strict=True):
        _replay.cache_clear()
        storage = preset_storage(found, preset)
        assert replayed(found, storage, flags, plan_layout(storage, where, split, ["cuda"] * n_gpus)) == one


def test_weights_in_ram_beside_a_gpu_are_copied_as_their_types_say() -> None:
    found = network("qwen3-0.6b")
    flags = LlamaCppFlags(n_context_tokens=8192, n_outputs=1)
    split = Split(n_gpu_layers=10)
    where = layer_gpus(found.n_layers, split, [2**34])
    _replay.cache_clear()
    sizes = {}
    for preset in PRESETS:
        storage = preset_storage(found, preset)
        sizes[preset] = replayed(found, storage, flags, plan_layout(storage, where, split, ["cuda"]))
    assert _replay.cache_info().misses == len(PRESETS)
    assert len({size.gpu_bytes for size in sizes.values()}) > 1

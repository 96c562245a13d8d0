"""GGUF presets: the tensors of a network as llama.cpp's quantizer would write them.

The rules are in `preset_rules`; here the network is laid out as the file that the quantizer would read.
Files sold under a preset's name with a custom mix differ; a file's own tensor table always wins.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from planner.model.attention import Attention
from planner.model.delta_net import GatedDeltaNet
from planner.model.experts import Experts
from planner.model.ggml_types import type_by_name
from planner.model.network import LayerGroup, Mixer, Network
from planner.model.parallel import ParallelMixers
from planner.model.preset_rules import BASE_TYPES, QuantizerFacts, Rules, TensorShape, quantizer_types
from planner.model.storage import Storage, StoredWeight
from planner.model.weight import Use, Weight

__all__ = ["ALIASES", "BASE_TYPES", "Rules", "preset_storage", "quantizer_facts"]

# Names that llama-quantize takes for another preset.
ALIASES: Final[Mapping[str, str]] = MappingProxyType({"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"})
# Architectures of 80 layers that the engine calls "70B" whatever their heads (src/models/*.cpp).
_ALWAYS_70B = frozenset({"qwen2", "deci", "nemotron-nas", "olmo"})
# Those that share the engine's "llama" architecture, where 70B needs grouped queries too.
_LLAMA = frozenset({"llama", "mistral", "mixtral"})


def preset_storage(
    network: Network,
    preset: str,
    *,
    importance_matrix: bool = False,
    rules: Rules = Rules.CURRENT,
    extra_layers: bool = False,
) -> Storage:
    """The tensors of a network as the quantizer would write them; towers are left out.

    Extra prediction layers are left out too unless `extra_layers` asks for them, as the converters of some
    architectures write them. Raises MissingFactError for a preset that the quantizer does not have, or that
    cannot be made of the network's shapes.
    """
    return _preset_storage(network, ALIASES.get(preset, preset), importance_matrix, rules, extra_layers)


@lru_cache(maxsize=512)
def _preset_storage(
    network: Network, preset: str, importance_matrix: bool, rules: Rules, extra_layers: bool
) -> Storage:
    laid_out = tuple(_in_file_order(network, extra_layers))
    types = quantizer_types(
        [TensorShape(layer=layer, role=weight.role, shape=weight.shape) for layer, weight in laid_out],
        preset,
        quantizer_facts(network, extra_layers=extra_layers),
        importance_matrix=importance_matrix,
        rules=rules,
    )
    sizes: dict[tuple[tuple[int, ...], str], int] = {}
    stored: list[StoredWeight] = []
    for (layer, weight), type_name in zip(laid_out, types, strict=True):
        key = (weight.shape, type_name)
        if key not in sizes:
            ggml_type = type_by_name(type_name)
            sizes[key] = weight.parameters // ggml_type.block_elements * ggml_type.block_bytes
        stored.append(
            StoredWeight(
                role=weight.role,
                layer=layer,
                type_name=type_name,
                shape=weight.shape,
                n_elements=weight.parameters,
                n_bytes=sizes[key],
                use=Use.UNUSED if layer is not None and layer >= network.n_layers else weight.use,
                active_fraction=weight.active_fraction,
            )
        )
    return Storage(label=preset, weights=tuple(stored), predicted=True)


def _in_file_order(network: Network, extra_layers: bool) -> Iterator[tuple[int | None, Weight]]:
    for weight in network.outer:
        yield None, weight
    by_layer = {}
    for group in network.groups:
        weights = group.weights(network.hidden_size)
        by_layer.update(dict.fromkeys(group.layers, weights))
    for layer in range(network.n_layers):
        for weight in by_layer[layer]:
            yield layer, weight
    n_extra = _n_extra_layers(network) if extra_layers else 0
    if n_extra:
        per_layer = len(network.mtp) // n_extra
        for i, weight in enumerate(network.mtp):
            yield network.n_layers + min(i // per_layer, n_extra - 1), weight


def _n_extra_layers(network: Network) -> int:
    return sum(weight.role == "nextn.enorm" for weight in network.mtp)


def quantizer_facts(network: Network, *, extra_layers: bool = False) -> QuantizerFacts:
    """What the quantizer's rules ask of a network."""
    experts = [group.block.n_experts for group in network.groups if isinstance(group.block, Experts)]
    first = next(group for group in network.groups if 0 in group.layers)
    grouped = _grouped_queries(first, network)
    is_70b = network.n_layers == 80 and (
        network.architecture in _ALWAYS_70B or (network.architecture in _LLAMA and grouped > 1)
    )
    return QuantizerFacts(
        architecture=network.architecture,
        n_layers=network.n_layers + (_n_extra_layers(network) if extra_layers else 0),
        grouped_queries=grouped,
        n_experts=max(experts, default=0),
        is_70b=is_70b,
    )


def _grouped_queries(first: LayerGroup, network: Network) -> int:
    """Query heads per KV head in layer 0, as the engine's metadata give them.

    Hybrids list KV heads by layer, with 0 where a layer has none; those of gated DeltaNet give one number.
    """
    attention = _attention(first.mixer)
    if attention is None and isinstance(first.mixer, GatedDeltaNet):
        attention = next((found for g in network.groups if (found := _attention(g.mixer))), None)
    return 0 if attention is None else attention.n_heads // attention.n_kv_heads


def _attention(mixer: Mixer | None) -> Attention | None:
    if isinstance(mixer, ParallelMixers):
        mixer = mixer.attention
    return mixer if isinstance(mixer, Attention) else None

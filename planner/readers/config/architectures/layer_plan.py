"""Which layer is of which kind: windows, experts, and groups of like layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.network import Block, LayerGroup, Mixer
from planner.model.weight import Weight
from planner.quoting import quoted
from planner.readers.config.architectures.window_rules import FULL_LAYERS, WindowDefault
from planner.readers.config.fields import ConfigFields, whole_number

MAX_LAYERS = 4096
LayerKind = Literal["full", "sliding", "chunked", "linear"]
FULL: LayerKind = "full"
SLIDING: LayerKind = "sliding"
_KINDS: dict[str, LayerKind] = {
    "full_attention": "full",
    "attention": "full",
    "global": "full",
    "sliding_attention": "sliding",
    "sliding": "sliding",
    "local": "sliding",
    "chunked_attention": "chunked",
    "linear_attention": "linear",
    "window_attention": "sliding",
}


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer before grouping."""

    mixer: Mixer | None
    block: Block | None
    norms: tuple[Weight, ...]


def layer_count(fields: ConfigFields) -> int:
    """Number of layers, bounded so that a broken config cannot make the planner build millions."""
    n_layers = fields.count(
        "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_transformer_layers"
    )
    if not 1 <= n_layers <= MAX_LAYERS:
        raise MalformedError(f"config.json says {n_layers:,} layers; expected 1 to {MAX_LAYERS:,}")
    return n_layers


def group_layers(layers: Sequence[PlannedLayer]) -> tuple[LayerGroup, ...]:
    """Groups of equal layers, in order of first appearance."""
    # Most are made of the very same parts, which is quicker to see than that parts are equal.
    of_parts: dict[tuple[int, int, int], tuple[PlannedLayer, list[int]]] = {}
    for index, layer in enumerate(layers):
        parts = (id(layer.mixer), id(layer.block), id(layer.norms))
        of_parts.setdefault(parts, (layer, []))[1].append(index)
    grouped: dict[PlannedLayer, list[int]] = {}
    for layer, indices in of_parts.values():
        grouped.setdefault(layer, []).extend(indices)
    return tuple(
        LayerGroup(layers=tuple(sorted(indices)), mixer=layer.mixer, block=layer.block, norms=layer.norms)
        for layer, indices in grouped.items()
    )


def attention_kinds(
    fields: ConfigFields, n_layers: int, default: WindowDefault
) -> tuple[tuple[LayerKind, ...], int | None]:
    """The kind of each layer and the window; `default` is what the reference code does without a list."""
    window = fields.positive("sliding_window", "sliding_window_size", "attention_window_size", "window_size")
    chunk = fields.positive("attention_chunk_size")
    listed = fields.words("layer_types", "attention_layers")
    flagged = fields.counts("sliding_window_layout")
    pattern = fields.raw("sliding_window_pattern", "_sliding_window_pattern")
    fields.unused("max_window_layers")
    use_window = fields.flag("use_sliding_window", default=default != "qwen")
    no_rope = fields.counts("no_rope_layers")
    if chunk is not None:
        fields.unused("no_rope_layer_interval")  # what no_rope_layers was made with
    kinds: tuple[LayerKind, ...]
    if listed is not None:
        kinds = _listed_kinds(listed, n_layers, fields.model_type)
    elif flagged is not None and window is not None and len(flagged) >= n_layers:
        kinds = tuple(_either(not windowed) for windowed in flagged[:n_layers])
    elif chunk is not None and no_rope is not None and len(no_rope) >= n_layers:
        kinds = tuple(_either(not uses_rope, "chunked") for uses_rope in no_rope[:n_layers])
    elif chunk is not None and default == "every_fourth_full":
        period = fields.count("no_rope_layer_interval", default=4)
        kinds = tuple(_either((i + 1) % period == 0, "chunked") for i in range(n_layers))
    elif window is None or not use_window:
        kinds = (FULL,) * n_layers
    elif pattern is not None and default != "cohere2_moe":
        kinds = _patterned_kinds(pattern, n_layers)
    else:
        rule = FULL_LAYERS[default]
        kinds = tuple(_either(rule(fields, i, n_layers)) for i in range(n_layers))
    if "chunked" in kinds:
        window = chunk
    if window is None and {"sliding", "chunked"} & set(kinds):
        raise MalformedError(
            f"config.json of a {fields.model_type} model lists windowed layers but no window"
        )
    return kinds, window


def _either(is_full: bool, otherwise: LayerKind = "sliding") -> LayerKind:
    return "full" if is_full else otherwise


def _listed_kinds(listed: Sequence[str], n_layers: int, model_type: str) -> tuple[LayerKind, ...]:
    if len(listed) < n_layers:
        raise MalformedError(f"config.json: layer_types has {len(listed)} entries for {n_layers} layers")
    unknown = sorted({kind[:40] for kind in listed[:n_layers] if kind not in _KINDS})
    if unknown:
        raise UnknownArchitectureError(f"{model_type}: layer kind {quoted(unknown[0])} is not understood yet")
    return tuple(_KINDS[kind] for kind in listed[:n_layers])


def _patterned_kinds(pattern: object, n_layers: int) -> tuple[LayerKind, ...]:
    if isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"}:
        return tuple(_either(pattern[i % len(pattern)] == "G") for i in range(n_layers))
    period = whole_number(pattern)
    if period is not None and period > 0:
        return tuple(_either((i + 1) % period == 0) for i in range(n_layers))
    raise MalformedError("config.json: sliding_window_pattern is neither a period nor a text of L and G")


def expert_layers(fields: ConfigFields, n_layers: int, default_dense: int = 0) -> tuple[bool, ...]:
    """Which layers hold experts, by whichever of the several fields the config uses."""
    dense_first = fields.maybe_count("first_k_dense_replace", "num_dense_layers")
    if dense_first is None:
        dense_first = default_dense
    kinds = fields.words("mlp_layer_types")
    frequency = fields.raw("moe_layer_freq")
    step = fields.positive("decoder_sparse_step") or 1
    only_dense = set(fields.counts("mlp_only_layers") or ())
    interleave = fields.positive("interleave_moe_layer_step") or 1
    listed = fields.counts("moe_layers")
    flagged = fields.counts("is_moe_layer")
    first = fields.maybe_count("moe_layer_start_index") or 0
    last = fields.raw("moe_layer_end_index")
    interval = fields.positive("moe_layer_interval") or 1
    if kinds is not None:
        if len(kinds) < n_layers or not set(kinds) <= {"dense", "sparse"}:
            raise MalformedError("config.json: mlp_layer_types must say dense or sparse for every layer")
        return tuple(kind == "sparse" for kind in kinds[:n_layers])
    if isinstance(frequency, list):
        flags = fields.counts("moe_layer_freq") or ()
        if len(flags) < n_layers:
            raise MalformedError(f"config.json: moe_layer_freq has {len(flags)} of {n_layers} entries")
        return tuple(bool(flag) for flag in flags[:n_layers])
    if flagged is not None:
        if len(flagged) < n_layers:
            raise MalformedError(f"config.json: is_moe_layer has {len(flagged)} of {n_layers} entries")
        return tuple(bool(flag) for flag in flagged[:n_layers])
    if listed is not None:
        chosen = set(listed)
        return tuple(i in chosen for i in range(n_layers))
    end = whole_number(last)
    if end is None or end < 0:  # ERNIE writes −1 for the last layer
        end = n_layers - 1
    every = max(whole_number(frequency) or 1, 1)
    return tuple(
        dense_first <= i
        and first <= i <= end
        and i % every == 0
        and (i + 1) % step == 0
        and (i + 1) % interleave == 0
        and (i + 1) % interval == 0
        and i not in only_dense
        for i in range(n_layers)
    )

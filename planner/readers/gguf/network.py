"""Reads a GGUF header into a network: metadata say the kinds, the tensor table says what is there.

Every tensor must be accounted for by a part that the planner knows. A tensor that no part explains, or a
layer whose parts do not add up to its tensors, is refused by name. Names and keys follow llama.cpp
(src/llama-arch.cpp and src/models/*.cpp, as shipped with llama-cpp-python 0.3.36).
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from planner.errors import MalformedError, MissingFactError, UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.network import Mixer, Network
from planner.model.parallel import ParallelMixers
from planner.model.repeated_layer import RepeatedMixer
from planner.model.storage import Storage, StoredWeight
from planner.model.stream_conv import StreamConvolutions
from planner.model.weight import Use, Weight
from planner.quoting import quoted
from planner.readers.assumptions import ARCHITECTURE, NOTHING_ASSUMED, Assumptions
from planner.readers.config.architectures.layer_plan import MAX_LAYERS, PlannedLayer, group_layers
from planner.readers.gguf.architectures.attention import (
    attention,
    head_dims,
    indexed,
    replaced_by_linear,
    uncached,
)
from planner.readers.gguf.architectures.blocks import feed_forward_block
from planner.readers.gguf.architectures.keys import ArchitectureKeys
from planner.readers.gguf.architectures.latent import compressed_attention, latent_attention, own_indexes
from planner.readers.gguf.architectures.other_weights import other_layer_weight, outer_weight
from planner.readers.gguf.architectures.recurrent import recurrent_mixer
from planner.readers.gguf.architectures.registry import (
    ARCHITECTURES,
    NOT_TEXT_MODELS,
    OLLAMA_NAMES,
    Architecture,
)
from planner.readers.gguf.architectures.tensor_table import (
    LayerTensors,
    by_layer_and_role,
    has,
    split_name,
    use_of,
)
from planner.readers.gguf.file import GgufFile, GgufTensor, file_type_name
from planner.readers.gguf.projector import is_projector, is_tower_tensor, read_projector, towers_of

_MOST_ROLES: Final = 24
_DIFFUSION_NOTE: Final = (
    "writes by denoising blocks of text over many steps: it keeps no cache, and estimates of tokens one by one "
    "do not hold for it"
)


def network_from_gguf(file: GgufFile, assumptions: Assumptions = NOTHING_ASSUMED) -> Network:
    """The network a GGUF file holds, an unknown architecture or tensor read as assumed.

    Raises UnknownArchitectureError for an architecture, tensor or window the planner does not know.
    """
    if is_projector(file):
        raise UnknownArchitectureError(
            f"{quoted(file.path)} is {read_projector(file).description}: name that model's main file instead"
        )
    keys = ArchitectureKeys(file.metadata)
    _check_assumptions(keys, assumptions, file)
    name = assumptions.architecture or OLLAMA_NAMES.get(keys.architecture, keys.architecture)
    known = _known(name, keys, file)
    # Ollama keeps the towers of a model in its main file.
    of_towers = [tensor for tensor in file.tensors if is_tower_tensor(tensor.name)]
    by_layer, outer = by_layer_and_role([t for t in file.tensors if not is_tower_tensor(t.name)])
    n_layers, mtp_layers, notes = _depth(keys, known, by_layer, file.path)
    reader = _LayerReader(keys, known, n_layers, assumptions.ignored)
    try:
        layers = [reader.layer(i, by_layer.get(i, {})) for i in range(n_layers)]
        layers = _repeated(keys, known, layers)
        if known.adapter_router:
            layers.append(PlannedLayer(_adapter_router(keys), None, ()))
        groups = group_layers(layers)
    except ValueError as error:
        raise MalformedError(f"{quoted(file.path)}: the header contradicts itself: {error}") from error
    if known.repeats != "none" and len(layers) > n_layers:
        notes.append(
            f"runs its {n_layers} layers {len(layers)} times in all, each with a cache of its own; weights are "
            "counted once, and the speed estimate reads them once a token"
        )
    if not known.cached:
        notes.append(_DIFFUSION_NOTE)
    tied = "output" not in outer
    embedding = outer.get("token_embd")
    if embedding is None or len(embedding.shape) != 2:
        raise MalformedError(
            f"{quoted(file.path)}: no token_embd tensor; is this a language model's main file?"
        )
    return Network(
        architecture=name,
        hidden_size=keys.count("embedding_length"),
        vocab_size=embedding.shape[1],
        tied_embeddings=tied,
        groups=groups,
        outer=tuple(
            outer_weight(keys, role, tensor, tied, outer, assumptions.ignored)
            for role, tensor in outer.items()
        ),
        mtp=tuple(
            Weight(role=role, shape=tensor.shape, use=Use.UNUSED)
            for i in mtp_layers
            for role, tensor in by_layer.get(i, {}).items()
        ),
        towers=towers_of(of_towers),
        context_tokens=keys.maybe_count("context_length"),
        notes=(*notes, *assumptions.notes),
        assumed=assumptions.texts,
    )


def storage_from_gguf(file: GgufFile, network: Network) -> Storage:
    """The file's own tensor table, with what each tensor costs a token."""
    tied = network.tied_embeddings
    known = {
        layer: {weight.role: weight for weight in group.weights(network.hidden_size)}
        for group in network.groups
        for layer in group.layers
    }
    stored = []
    for tensor in file.tensors:
        layer, role = split_name(tensor.name)
        weight = known.get(layer, {}).get(role) if layer is not None else None
        if is_tower_tensor(tensor.name):
            use = Use.UNUSED  # while text is written
        elif weight is not None:
            use = weight.use
        elif layer is None:
            use = use_of(role, tensor, tied)
        else:
            use = Use.UNUSED  # a prediction layer's
        stored.append(
            StoredWeight(
                role=role,
                layer=layer,
                type_name=tensor.type_name,
                shape=tensor.shape,
                n_elements=tensor.n_elements,
                n_bytes=tensor.n_bytes,
                use=use,
                active_fraction=1.0 if weight is None else weight.active_fraction,
                offset=tensor.offset,
            )
        )
    file_type = file.metadata.get("general.file_type")
    label = file_type_name(file_type) if isinstance(file_type, int) else "mixed types"
    return Storage(label=label, weights=tuple(stored), predicted=False, file_bytes=file.file_bytes)


def _known(name: str, keys: ArchitectureKeys, file: GgufFile) -> Architecture:
    if name in NOT_TEXT_MODELS:
        raise UnknownArchitectureError(f"GGUF architecture {name!r} is {NOT_TEXT_MODELS[name]}")
    found = ARCHITECTURES.get(name)
    if found is None:
        like = (*get_close_matches(name[:40], ARCHITECTURES, n=1), "llama")[0]
        roles = {split_name(tensor.name)[1] for tensor in file.tensors if tensor.name.startswith("blk.")}
        shown = ", ".join(quoted(role)[1:-1] for role in sorted(roles)[:_MOST_ROLES])
        more = f" and {len(roles) - _MOST_ROLES} more" if len(roles) > _MOST_ROLES else ""
        raise UnknownArchitectureError(
            f"GGUF architecture {quoted(name[:40])} is not known; its header tells of {keys.count('block_count'):,} "
            f"layers of width {keys.count('embedding_length'):,} with {shown}{more}; not known: which layers have "
            "windows, share a cache or run twice; to go on, name a known architecture that it is like: "
            f"--assume {ARCHITECTURE}={like}"
        )
    return found


def _check_assumptions(keys: ArchitectureKeys, assumptions: Assumptions, file: GgufFile) -> None:
    """Refuse what a tensor table already says, and tensors that are not there."""
    if assumptions.parts:
        part, kind = assumptions.parts[0]
        raise MissingFactError(
            f"{part}={kind}: a GGUF file's tensors say its parts; only its {ARCHITECTURE} or a tensor can be assumed"
        )
    if assumptions.architecture is not None and assumptions.architecture not in ARCHITECTURES:
        near = get_close_matches(assumptions.architecture[:40], ARCHITECTURES, n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise MissingFactError(
            f"{ARCHITECTURE}={quoted(assumptions.architecture[:40])} is none of the GGUF architectures of "
            f"llama.cpp{hint}"
        )
    roles = {split_name(tensor.name)[1] for tensor in file.tensors} if assumptions.ignored else set()
    for role in sorted(assumptions.ignored - roles):
        raise MissingFactError(f"{quoted(role)}=ignored: no tensor of {keys.label} goes by that name")


def _depth(
    keys: ArchitectureKeys, known: Architecture, by_layer: Mapping[int, LayerTensors], path: str
) -> tuple[int, Sequence[int], list[str]]:
    """Layers of the language model, indices of the prediction layers behind them, and what to say about them."""
    n_all, n_extra = keys.count("block_count"), keys.maybe_count("nextn_predict_layers") or 0
    if known.repeats == "cycles":
        n_all = 2 * keys.count("hrm.layers_per_stack")  # block_count is that of the caches
    if not 1 <= n_all <= MAX_LAYERS or n_extra >= n_all:
        raise MalformedError(
            f"{quoted(path)}: {n_all:,} layers of which {n_extra:,} extra; expected 1 to {MAX_LAYERS:,}"
        )
    empty = {i for i in range(n_all) if i not in by_layer and _is_no_op(keys, i)}
    stored = sorted(empty | by_layer.keys())
    trunk = n_all - n_extra
    if stored == list(range(trunk, n_all)) and n_extra:
        raise UnknownArchitectureError(
            f"{quoted(path)} holds only prediction layers (MTP: {n_extra}) of a {keys.label} model; they draft "
            "for its main file: name that one"
        )
    if stored == list(range(trunk)) and n_extra:
        note = f"prediction layers (MTP): {n_extra}, not in this file"
        return trunk, (), [note]
    if stored != list(range(n_all)):
        raise MalformedError(f"{quoted(path)}: tensors for {len(by_layer)} layers, block_count says {n_all}")
    if not any(role.startswith("nextn.") for i in range(trunk, n_all) for role in by_layer.get(i, ())):
        trunk = n_all  # the key speaks of layers that the converter left out (src/models/deepseek4.cpp)
    return trunk, range(trunk, n_all), []


def _is_no_op(keys: ArchitectureKeys, layer: int) -> bool:
    """Whether a layer without tensors is meant to have none, as some of NAS models."""
    sizes = (keys.raw("attention.head_count"), keys.raw("feed_forward_length"))
    return all(isinstance(size, tuple) and layer < len(size) and size[layer] == 0 for size in sizes)


class _LayerReader:
    """Reads the layers of one file, one by one."""

    def __init__(self, keys: ArchitectureKeys, known: Architecture, n_layers: int, ignored: frozenset[str]):
        self._ignored = ignored
        self._keys = keys
        self._known = known
        self._hidden_size = keys.count("embedding_length")
        self._windows = known.windows.windows(keys, n_layers)
        self._own_indexes = own_indexes(keys, n_layers)
        self._ngram_layers = self._listed("ple.layers")
        self._first_shared = n_layers
        if known.first_shared_kv_layer == "key":
            shared = keys.maybe_count("attention.shared_kv_layers") or 0
            self._first_shared = n_layers - min(shared, n_layers)
        elif known.first_shared_kv_layer is not None:
            self._first_shared = known.first_shared_kv_layer

    def layer(self, index: int, tensors: LayerTensors) -> PlannedLayer:
        """A layer with every tensor explained."""
        mixer = self._mixer(index, tensors)
        block = feed_forward_block(self._keys, index, tensors)
        explained: dict[str, Weight] = {}
        for part in (mixer, block):
            if part is not None:
                explained.update({weight.role: weight for weight in part.weights(self._hidden_size)})
        others = list(replaced_by_linear(tensors) if mixer is None else ())
        explained.update({weight.role: weight for weight in others})
        missing = set(explained)
        for role, tensor in tensors.items():
            if role in explained:
                _check_shape(tensor, explained[role])
                missing.discard(role)
            else:
                others.append(other_layer_weight(self._keys, role, tensor, tensors, self._ignored))
        if missing:
            raise UnknownArchitectureError(
                f"GGUF architecture {self._keys.label}: layer {index} has no {min(missing)!r}, "
                "which its parts should have"
            )
        return PlannedLayer(mixer, block, tuple(others))

    def _listed(self, key: str) -> tuple[int, ...]:
        value = self._keys.raw(key)
        return tuple(entry for entry in value if isinstance(entry, int)) if isinstance(value, tuple) else ()

    def _mixer(self, index: int, tensors: LayerTensors) -> Mixer | None:
        found = self._one_mixer(index, tensors)
        if found is not None and index in self._ngram_layers and "ple_key" in tensors:
            width = self._keys.count("hyper_connection.count") * self._hidden_size
            taps, dilation = self._keys.count("ple.conv_kernel"), self._keys.count("ple.ngram_size")
            # The convolution over n-gram embeddings is dilated by the n-gram's length.
            history = StreamConvolutions(streams=(("ple", width, taps, dilation),))
            return ParallelMixers(attention=found, recurrent=history)
        return found if self._known.cached else uncached(found)

    def _one_mixer(self, index: int, tensors: LayerTensors) -> Mixer | None:
        keys, window = self._keys, self._windows[index]
        if "attn_kv_a_mqa" in tensors:
            return latent_attention(keys, index, tensors, window, index_is_own=self._own_indexes[index])
        if has(tensors, "attn_kv", "attn_output_a"):
            return compressed_attention(keys, index, tensors)
        recurrent = recurrent_mixer(keys, index, tensors)
        if "attn_output" not in tensors or not ("attn_q" in tensors or "attn_qkv" in tensors):
            return recurrent
        if recurrent is not None and "ssm_in" not in tensors:
            return recurrent  # its tensors carry the names of attention's
        part = self._attention(index, tensors, window)
        return part if recurrent is None else ParallelMixers(attention=part, recurrent=recurrent)

    def _attention(self, index: int, tensors: LayerTensors, window: int | None) -> Attention:
        part = attention(
            self._keys,
            index,
            tensors,
            window,
            chunked=self._known.windows.chunked,
            shares_kv=index >= self._first_shared,
        )
        if self._known.indexed and "indexer.k_proj" in tensors:
            return indexed(self._keys, part, index_stores_values=self._known.index_stores_values)
        return part


def _repeated(keys: ArchitectureKeys, known: Architecture, layers: list[PlannedLayer]) -> list[PlannedLayer]:
    """Passes over the same layers, in the order the engine numbers their caches."""
    if known.repeats == "none":
        return layers
    stack = len(layers) // 2
    if known.repeats == "loops":
        cycle, n_cycles = [(0, len(layers))], keys.maybe_count("num_loops") or 1
    else:
        low_passes, n_cycles = keys.count("hrm.l_cycles"), keys.count("hrm.h_cycles")
        if low_passes > MAX_LAYERS:
            raise MalformedError(f"{keys.label}: {low_passes:,} passes over its lower layers")
        cycle = [(0, stack)] * low_passes + [(stack, 2 * stack)]
    n_runs = n_cycles * sum(end - start for start, end in cycle)
    if not 1 <= n_runs <= MAX_LAYERS:
        raise MalformedError(f"{keys.label}: {n_runs:,} runs of its layers; expected 1 to {MAX_LAYERS:,}")
    order = [index for start, end in cycle * n_cycles for index in range(start, end)]
    passes_seen: set[int] = set()
    found = []
    for index in order:
        layer = layers[index]
        if index in passes_seen:
            again = None if layer.mixer is None else RepeatedMixer(mixer=layer.mixer)
            layer = PlannedLayer(again, None, ())
        passes_seen.add(index)
        found.append(layer)
    return found


def _adapter_router(keys: ArchitectureKeys) -> Mixer:
    """The cache without weights in which Granite's switch keeps its signal (src/models/granite-switch.cpp)."""
    key_dim, value_dim = head_dims(keys, windowed=False)
    signal = Attention(n_heads=1, n_kv_heads=1, key_head_dim=key_dim, value_head_dim=value_dim)
    return RepeatedMixer(mixer=signal)


def _check_shape(tensor: GgufTensor, weight: Weight) -> None:
    if tensor.n_elements != weight.parameters:
        raise MalformedError(
            f"tensor {quoted(tensor.name)} has the shape {tensor.shape}, the metadata say {weight.shape}"
        )

"""Every text architecture of llama.cpp against the engine: sizes, caches and state of each layer.

Each file of gguf_headers/ holds small headers of one architecture and what the engine (as shipped with
llama-cpp-python 0.3.36) said of the very same headers. To make them anew: compile the engine's
tests/test-llama-archs.cpp with a `main` that, instead of saving models, calls `llama_model_init_from_user` for
the metadata of each architecture (also those that the test skips, with the keys they miss), writes the tensor
table that the model then has as a header-only file (tests/gguf_writer.py), once whole, once without its optional
tensors and once with queries, keys and values fused; load each with `no_alloc`, and print the elements, and the
width of K and V and the cells in every layer of `llama_get_memory`, and its total for several sequences. Files the engine refuses are left out.
"""

import json
from collections import defaultdict
from math import prod
from pathlib import Path
from typing import Any

import pytest

from planner.engines.llama_cpp import LlamaCppFlags, cache_cells, kv_bytes, padded, state_bytes
from planner.errors import MalformedError, MissingFactError, UnknownArchitectureError
from planner.model.network import Network
from planner.model.weight import Use
from planner.readers.assumptions import parse_assumptions
from planner.readers.gguf.architectures.registry import ARCHITECTURES, NOT_TEXT_MODELS
from planner.readers.gguf.file import read_gguf
from planner.readers.gguf.network import network_from_gguf, storage_from_gguf
from tests.gguf_writer import Tensor, Value, write_gguf

HEADERS = Path(__file__).parent / "gguf_headers"
_F32, _I32 = 0, 26

Figures = dict[int, list[tuple[int, int, int]]]


def recorded() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """All headers by "architecture, variant": the metadata, and the tensors with the engine's figures."""
    found = {}
    for path in sorted(HEADERS.glob("*.json")):
        content = json.loads(path.read_text())
        for name, header in content["headers"].items():
            found[f"{path.stem}, {name}"] = (content["metadata"] | header["metadata"], header)
    return found


RECORDED = recorded()


def tensor_table(header: dict[str, Any]) -> list[Tensor]:
    """The tensors of a header; shapes are of f32, or stand beside another type."""
    named = dict(header["outer"])
    for layers, roles in header["layers"]:
        named |= {f"blk.{layer}.{role}": shape for layer in layers for role, shape in roles.items()}
    table: list[Tensor] = []
    for name, entry in named.items():
        shape, type_id = entry if entry and isinstance(entry[0], list) else (entry, _F32)
        assert type_id in (_F32, _I32)
        table.append((name, shape, type_id, prod(shape) * 4))
    return table


def written(name: str, folder: Path) -> Path:
    """The header-only file that the engine was given."""
    metadata, header = RECORDED[name]
    values: dict[str, Value] = {
        key: (value[0], tuple(value[1:]) if value[0] == "array" else value[1])
        for key, value in metadata.items()
    }
    return write_gguf(folder / "model.gguf", values, tensor_table(header))


def our_caches(network: Network, header: dict[str, Any]) -> tuple[Figures, dict[int, int]]:
    """K, V and cells of every cache of every layer, and the state of every layer, as the planner has them."""
    engine = header["engine"]
    flags = LlamaCppFlags(n_context_tokens=engine["context"], n_ubatch=engine["ubatch"])
    caches: Figures = defaultdict(list)
    states: dict[int, int] = {}
    for group in network.groups:
        for layer in group.layers:
            if group.mixer is None:
                continue
            for cache in group.mixer.token_caches:
                cells = cache_cells(flags, cache.window_tokens)
                if cache.tokens_per_entry > 1:
                    cells = padded(-(-engine["context"] // cache.tokens_per_entry))
                caches[layer].append((cache.k_elements, cache.v_elements, cells))
            if group.mixer.state_elements:
                states[layer] = group.mixer.state_elements
    return {layer: sorted(found) for layer, found in caches.items()}, states


def engine_caches(header: dict[str, Any]) -> tuple[Figures, dict[int, int]]:
    """The same as the engine printed them; state is convolution inputs and the rest."""
    caches: Figures = defaultdict(list)
    for layers, (k, v, cells) in header["engine"]["caches"]:
        for layer in layers:
            caches[layer].append((k, v, cells))
    states: dict[int, int] = defaultdict(int)
    for layers, sizes in header["engine"]["states"]:
        for layer in layers:
            states[layer] += sum(sizes)
    return {layer: sorted(found) for layer, found in caches.items()}, dict(states)


@pytest.mark.parametrize("name", RECORDED)
def test_the_header_is_read_as_the_engine_reads_it(name: str, tmp_path: Path) -> None:
    header = RECORDED[name][1]
    file = read_gguf(written(name, tmp_path))
    network = network_from_gguf(file)
    assert network.parameters.total == header["engine"]["parameters"] == file.n_elements
    assert our_caches(network, header) == engine_caches(header)
    storage = storage_from_gguf(file, network)
    assert storage.n_elements == network.parameters.total
    assert storage.total_bytes == file.tensor_bytes
    stored_in_layers = {weight.layer for weight in storage.weights if weight.layer is not None}
    assert stored_in_layers <= set(range(network.n_layers + 1))


@pytest.mark.parametrize("name", [name for name in RECORDED if "memory" in RECORDED[name][1]["engine"]])
def test_memory_is_the_engines_for_several_sequences(name: str, tmp_path: Path) -> None:
    # Bytes of all caches and states of a context, as llama_memory_i::memory_breakdown sums them up.
    network = network_from_gguf(read_gguf(written(name, tmp_path)))
    for context, ubatch, n_sequences, unified, n_bytes in RECORDED[name][1]["engine"]["memory"]:
        flags = LlamaCppFlags(
            n_context_tokens=context, n_ubatch=ubatch, n_sequences=n_sequences, unified_cache=bool(unified)
        )
        assert kv_bytes(network, flags) + state_bytes(network, flags) == n_bytes


def test_convolution_inputs_are_told_apart_from_the_rest_of_the_state(tmp_path: Path) -> None:
    # The engine keeps both apart (cache_r and cache_s of llama-memory-recurrent.cpp), in every recurrent family.
    for name in ("mamba, dense base", "falcon-h1, dense base", "lfm2, dense base", "kimi-linear, moe base",
                 "qwen35, dense base", "qwen4exp, moe base", "rwkv7, dense base", "minimax-01, moe base"):  # fmt: skip
        header = RECORDED[name][1]
        network = network_from_gguf(read_gguf(written(name, tmp_path)))
        ours = {
            layer: group.mixer.conv_state_elements
            for group in network.groups
            for layer in group.layers
            if group.mixer is not None and group.mixer.state_elements
        }
        theirs = {layer: conv for layers, (conv, _) in header["engine"]["states"] for layer in layers}
        assert ours == theirs, name


def test_every_architecture_is_read_or_refused_with_a_reason() -> None:
    # llama.cpp of llama-cpp-python 0.3.36 names 153 (LLM_ARCH_NAMES without "(unknown)"); "clip" has a reader
    # of its own, planner/readers/gguf/projector.py.
    assert not ARCHITECTURES.keys() & NOT_TEXT_MODELS.keys()
    assert len(ARCHITECTURES) + len(NOT_TEXT_MODELS) + 1 == 153
    assert {name.partition(",")[0] for name in RECORDED} == ARCHITECTURES.keys()


@pytest.mark.parametrize("name", NOT_TEXT_MODELS)
def test_what_writes_no_text_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf", {"general.architecture": ("string", name)})
    with pytest.raises(UnknownArchitectureError, match=f"'{name}' is a|'{name}' is named") as caught:
        network_from_gguf(read_gguf(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_architecture_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    path = renamed("qwen3, dense base", tmp_path, "qwen36")
    with pytest.raises(UnknownArchitectureError) as caught:
        network_from_gguf(read_gguf(path))
    told = str(caught.value)
    assert "'qwen36' is not known" in told
    assert "attn_q_norm" in told  # what there is of it
    assert "windows, share a cache" in told  # what a header cannot say
    assert "--assume architecture=qwen3" in told


def renamed(name: str, folder: Path, architecture: str) -> Path:
    """A recorded header under another architecture's name."""
    given, header = RECORDED[name]
    old = str(given["general.architecture"][1])
    values: dict[str, Value] = {
        key.replace(f"{old}.", f"{architecture}."): (
            value[0],
            tuple(value[1:]) if value[0] == "array" else value[1],
        )
        for key, value in given.items()
    }
    values["general.architecture"] = ("string", architecture)
    return write_gguf(folder / "renamed.gguf", values, tensor_table(header))


def test_a_person_can_say_what_an_unknown_architecture_is_like(tmp_path: Path) -> None:
    known = network_from_gguf(read_gguf(written("qwen3, dense base", tmp_path)))
    file = read_gguf(renamed("qwen3, dense base", tmp_path, "qwen36"))
    found = network_from_gguf(file, parse_assumptions(["architecture=qwen3"]))
    assert found.parameters == known.parameters
    assert found.assumed == ("architecture=qwen3",)
    assert any("assumed, not known: architecture=qwen3" in note for note in found.notes)
    with pytest.raises(MissingFactError, match="did you mean qwen3"):
        network_from_gguf(file, parse_assumptions(["architecture=qwen33"]))
    with pytest.raises(MissingFactError, match="tensors say its parts"):
        network_from_gguf(file, parse_assumptions(["mlp=gated"]))


def test_a_tensor_nobody_knows_can_be_taken_as_plain_weights(tmp_path: Path) -> None:
    added = ("blk.3.attn_quux.weight", (256, 4), _F32, 4096)
    plain = network_from_gguf(read_gguf(written("llama, dense base", tmp_path)))
    file = read_gguf(changed("llama, dense base", tmp_path, added=added))
    with pytest.raises(UnknownArchitectureError, match="--assume attn_quux=ignored"):
        network_from_gguf(file)
    found = network_from_gguf(file, parse_assumptions(["attn_quux=ignored"]))
    assert found.parameters.text == plain.parameters.text + 256 * 4
    with pytest.raises(MissingFactError, match="no tensor"):
        network_from_gguf(file, parse_assumptions(["attn_quuz=ignored"]))


def changed(name: str, folder: Path, *, metadata: dict[str, Value] | None = None,
            without: str | None = None, added: Tensor | None = None) -> Path:  # fmt: skip
    """A recorded header with keys changed, tensors left out or one added."""
    given, header = RECORDED[name]
    values: dict[str, Value] = {
        key: (value[0], tuple(value[1:]) if value[0] == "array" else value[1]) for key, value in given.items()
    }
    table = [tensor for tensor in tensor_table(header) if without is None or without not in tensor[0]]
    table += [] if added is None else [added]
    return write_gguf(folder / "model.gguf", values | (metadata or {}), table)


def test_a_tensor_nobody_knows_is_refused_by_name(tmp_path: Path) -> None:
    path = changed("llama, dense base", tmp_path, added=("blk.3.attn_quux.weight", (256, 4), _F32, 4096))
    with pytest.raises(UnknownArchitectureError, match=r"'blk.3.attn_quux.weight' belongs to no part"):
        network_from_gguf(read_gguf(path))
    path = changed("llama, dense base", tmp_path, added=("quux.weight", (256, 4), _F32, 4096))
    with pytest.raises(UnknownArchitectureError, match=r"'quux.weight' belongs to no part"):
        network_from_gguf(read_gguf(path))


def test_a_missing_tensor_is_refused_by_name(tmp_path: Path) -> None:
    path = changed("llama, dense base", tmp_path, without="blk.2.attn_k.weight")
    with pytest.raises(UnknownArchitectureError, match="layer 2 has no 'attn_k'"):
        network_from_gguf(read_gguf(path))


def test_a_shape_that_contradicts_the_keys_is_refused(tmp_path: Path) -> None:
    # 4 heads of 64 fill the 256 columns of attn_q; 8 heads do not.
    path = changed("qwen2, dense base", tmp_path, metadata={
        "qwen2.attention.head_count": ("uint32", 8), "qwen2.attention.key_length": ("uint32", 64),
    })  # fmt: skip
    with pytest.raises(MalformedError, match=r"attn_q.*has the shape"):
        network_from_gguf(read_gguf(path))


def test_prediction_layers_stand_apart(tmp_path: Path) -> None:
    # The fixture has 6 blocks of which the last one predicts; its tensors are extra, and no token reads them.
    file = read_gguf(written("glm4moe, moe nextn", tmp_path))
    network = network_from_gguf(file)
    assert network.n_layers == 5
    own = sum(tensor.n_elements for tensor in file.tensors if tensor.name.startswith("blk.5."))
    assert network.parameters.mtp == own > 0
    assert any(weight.role == "nextn.eh_proj" for weight in network.mtp)
    extra = [weight for weight in storage_from_gguf(file, network).weights if weight.layer == 5]
    assert extra
    assert all(weight.use is Use.UNUSED for weight in extra)


def test_prediction_layers_in_a_file_of_their_own(tmp_path: Path) -> None:
    trunk = network_from_gguf(read_gguf(changed("glm4moe, moe nextn", tmp_path, without="blk.5.")))
    assert trunk.n_layers == 5
    assert trunk.parameters.mtp == 0
    assert trunk.notes == ("prediction layers (MTP): 1, not in this file",)
    header = RECORDED["glm4moe, moe nextn"][1]
    table = [
        tensor
        for tensor in tensor_table(header)
        if not tensor[0].startswith(tuple(f"blk.{i}." for i in range(5)))
    ]
    given = RECORDED["glm4moe, moe nextn"][0]
    values: dict[str, Value] = {
        key: (value[0], value[1]) for key, value in given.items() if value[0] != "array"
    }
    alone = write_gguf(tmp_path / "mtp.gguf", values, table)
    with pytest.raises(UnknownArchitectureError, match="holds only prediction layers"):
        network_from_gguf(read_gguf(alone))


def test_models_that_denoise_say_so(tmp_path: Path) -> None:
    network = network_from_gguf(read_gguf(written("llada, dense base", tmp_path)))
    assert network.notes[0].startswith("writes by denoising")


def test_repeated_layers_have_caches_and_no_weights(tmp_path: Path) -> None:
    # Six layers, two passes: twelve caches; the second pass stores nothing.
    network = network_from_gguf(read_gguf(written("nanbeige, dense loops", tmp_path)))
    assert network.n_layers == 12
    repeats = [g for g in network.groups if g.mixer is not None and g.mixer.kind.endswith("repeated")]
    assert sum(len(group.layers) for group in repeats) == 6
    assert all(not group.weights(network.hidden_size) for group in repeats)
    assert "12 times in all" in network.notes[0]


def test_files_that_ollama_converts_itself(tmp_path: Path) -> None:
    # The same model under Ollama's names: "gptoss" for the architecture, attn_out for attn_output.
    ours = network_from_gguf(read_gguf(written("gpt-oss, moe base", tmp_path)))
    given, header = RECORDED["gpt-oss, moe base"]
    values: dict[str, Value] = {
        key.replace("gpt-oss.", "gptoss."): (value[0], tuple(value[1:]) if value[0] == "array" else value[1])
        for key, value in given.items()
    }
    values["general.architecture"] = ("string", "gptoss")
    table: list[Tensor] = [
        (name.replace("attn_output", "attn_out"), shape, type_id, n_bytes)
        for name, shape, type_id, n_bytes in tensor_table(header)
    ]
    file = read_gguf(write_gguf(tmp_path / "ollama.gguf", values, table))
    assert network_from_gguf(file) == ours
    uses = {weight.role: weight.use for weight in storage_from_gguf(file, ours).weights}
    assert uses["attn_output"] is Use.MATMUL

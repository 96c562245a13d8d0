"""Projector files: counted by tower, told what they are for, refused as models, held against a model's width."""

from pathlib import Path

import pytest

from planner.errors import MalformedError, UnknownArchitectureError
from planner.readers.gguf.file import GgufFile, read_gguf
from planner.readers.gguf.network import network_from_gguf, storage_from_gguf
from planner.readers.gguf.projector import is_projector, read_projector, with_projector
from planner.readers.open_model import open_model
from tests.gguf_writer import Tensor, Value, write_gguf

_F16 = 1
CLIP: dict[str, Value] = {
    "general.architecture": ("string", "clip"),
    "general.name": ("string", "Gemma 3 4b It"),
    "clip.has_vision_encoder": ("bool", True),
    "clip.projector_type": ("string", "gemma3"),
    "clip.vision.projection_dim": ("uint32", 2560),
}


def f16(name: str, *shape: int) -> Tensor:
    n = 1
    for size in shape:
        n *= size
    return (name, shape, _F16, 2 * n)


# A patch embedding of 14·14·3 to 1,152, one layer's query, and the projection from 1,152 to 2,560.
VISION = [
    f16("v.patch_embd.weight", 14, 14, 3, 1152),
    f16("v.blk.0.attn_q.weight", 1152, 1152),
    f16("mm.input_projection.weight", 1152, 2560),
]
TOWER = 14 * 14 * 3 * 1152 + 1152 * 1152
PROJECTION = 1152 * 2560


def projector(folder: Path, tensors: list[Tensor], metadata: dict[str, Value] | None = None) -> GgufFile:
    return read_gguf(write_gguf(folder / "mmproj-model-f16.gguf", CLIP | (metadata or {}), tensors))


def llama(folder: Path, width: int, more: list[Tensor] | None = None) -> GgufFile:
    """A one-layer model of a width, with four heads."""
    keys = {"block_count": 1, "embedding_length": width, "feed_forward_length": 64, "attention.head_count": 4}
    metadata: dict[str, Value] = {"general.architecture": ("string", "llama")}
    metadata |= {f"llama.{key}": ("uint32", value) for key, value in keys.items()}
    names = ("attn_q", "attn_k", "attn_v", "attn_output")
    tensors = [
        f16("token_embd.weight", width, 100),
        *(f16(f"blk.0.{name}.weight", width, width) for name in names),
    ]
    return read_gguf(write_gguf(folder / "model.gguf", metadata, tensors + (more or [])))


def test_parameters_and_bytes_by_tower(tmp_path: Path) -> None:
    found = read_projector(projector(tmp_path, VISION))
    assert {tower.name: tower.parameters for tower in found.towers} == {
        "vision tower": TOWER, "vision projector": PROJECTION,
    }  # fmt: skip
    assert found.parameters == TOWER + PROJECTION
    assert found.n_bytes == 2 * found.parameters
    assert found.types == ("gemma3",)
    assert found.text_hidden_size == 2560


def test_ears_beside_eyes_and_ears_alone(tmp_path: Path) -> None:
    audio = [f16("a.conv1d.0.weight", 3, 128, 1280), f16("mm.a.mlp.1.weight", 1280, 2560)]
    both = read_projector(projector(tmp_path, VISION + audio))
    assert [tower.name for tower in both.towers] == [
        "vision tower", "vision projector", "audio tower", "audio projector",
    ]  # fmt: skip
    # With no eyes in the file, what others call the vision projector is the ears'.
    alone = read_projector(projector(tmp_path, [audio[0], f16("mm.fc.weight", 1280, 2560)]))
    assert [(tower.name, tower.parameters) for tower in alone.towers] == [
        ("audio tower", 3 * 128 * 1280), ("audio projector", 1280 * 2560),
    ]  # fmt: skip


def test_opened_as_a_model_it_says_what_it_is_and_what_it_needs(tmp_path: Path) -> None:
    file = projector(tmp_path, VISION)
    assert is_projector(file)
    with pytest.raises(UnknownArchitectureError) as caught:
        network_from_gguf(file)
    message = str(caught.value)
    assert "a projector with vision tower of 2.00 M, vision projector of 2.95 M parameters" in message
    assert "for a model of width 2,560 ('Gemma 3 4b It')" in message
    assert "\n" not in message


def test_a_projector_is_put_in_front_of_its_model_only(tmp_path: Path) -> None:
    found = read_projector(projector(tmp_path, VISION, {"clip.vision.projection_dim": ("uint32", 32)}))
    network = network_from_gguf(llama(tmp_path, 32))
    seeing = with_projector(network, found)
    assert seeing.parameters.towers == found.parameters
    assert seeing.parameters.text == network.parameters.text
    with pytest.raises(MalformedError, match="for a model of width 32; this llama model is 64 wide"):
        with_projector(network_from_gguf(llama(tmp_path, 64)), found)


def test_the_one_projector_beside_a_model_is_taken(tmp_path: Path) -> None:
    llama(tmp_path, 32)
    projector(tmp_path, VISION, {"clip.vision.projection_dim": ("uint32", 32)})
    for reference in (tmp_path / "model.gguf", tmp_path):
        opened = open_model(str(reference))
        assert opened.network.parameters.towers == TOWER + PROJECTION
        assert any("--mmproj" in note and "9.4 MiB" in note for note in opened.notes)
        # Nothing of it is read while text is written, and it is no part of the model's file.
        assert opened.storage is not None
        assert opened.storage.n_elements == opened.network.parameters.text


def test_a_projector_of_another_model_is_told_of_and_left(tmp_path: Path) -> None:
    llama(tmp_path, 32)
    projector(tmp_path, VISION)
    opened = open_model(str(tmp_path / "model.gguf"))
    assert opened.network.parameters.towers == 0
    assert any("was not taken" in note and "width 2,560" in note for note in opened.notes)


def test_towers_within_the_main_file(tmp_path: Path) -> None:
    # As Ollama converts them: 100·32 + 4·32² of text, and the towers beside.
    file = llama(tmp_path, 32, VISION)
    network = network_from_gguf(file)
    assert network.parameters.text == 100 * 32 + 4 * 32 * 32
    assert network.parameters.towers == TOWER + PROJECTION
    storage = storage_from_gguf(file, network)
    assert storage.n_elements == network.parameters.total
    # A token reads the four matrices and, tied, the table as its head.
    assert storage.read_bytes_per_token == 2 * network.parameters.text


def test_what_is_no_projector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="not a projector file"):
        read_projector(llama(tmp_path, 32))
    with pytest.raises(UnknownArchitectureError, match=r"'t\.blk\.0\.attn_q\.weight' belongs to no tower"):
        read_projector(projector(tmp_path, [f16("t.blk.0.attn_q.weight", 8, 8)]))


def test_hostile_names_stay_on_one_line(tmp_path: Path) -> None:
    name = "\x1b[31m\n" * 1000
    file = projector(
        tmp_path, VISION, {"general.name": ("string", name), "clip.projector_type": ("string", name)}
    )
    found = read_projector(file)
    assert "\x1b" not in found.description
    assert "\n" not in found.description
    assert len(found.description) < 600

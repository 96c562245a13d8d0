"""Shapes of projector files, read from their metadata and tensor table."""

from pathlib import Path

import pytest

from planner.errors import MalformedError
from planner.readers.gguf.file import GgufFile, read_gguf
from planner.readers.gguf.projector_shape import projector_shapes
from tests.gguf_writer import Tensor, Value, write_gguf

_F16 = 1
VISION: dict[str, Value] = {
    "general.architecture": ("string", "clip"),
    "clip.has_vision_encoder": ("bool", True),
    "clip.projector_type": ("string", "internvl"),
    "clip.vision.embedding_length": ("uint32", 1024),
    "clip.vision.feed_forward_length": ("uint32", 4096),
    "clip.vision.attention.head_count": ("uint32", 16),
    "clip.vision.image_size": ("uint32", 448),
    "clip.vision.patch_size": ("uint32", 14),
    "clip.vision.projection_dim": ("uint32", 2048),
    "clip.vision.projector.scale_factor": ("uint32", 2),
}
AUDIO: dict[str, Value] = {
    "clip.has_audio_encoder": ("bool", True),
    "clip.audio.embedding_length": ("uint32", 1280),
    "clip.audio.feed_forward_length": ("uint32", 5120),
    "clip.audio.attention.head_count": ("uint32", 20),
    "clip.audio.projection_dim": ("uint32", 2048),
}


def f16(name: str, *shape: int) -> Tensor:
    n = 1
    for size in shape:
        n *= size
    return (name, shape, _F16, 2 * n)


def written(folder: Path, metadata: dict[str, Value], tensors: list[Tensor]) -> GgufFile:
    return read_gguf(write_gguf(folder / "mmproj.gguf", metadata, tensors))


def test_eyes(tmp_path: Path) -> None:
    tensors = [f16("v.class_embd", 1024), f16("v.blk.0.ffn_up.weight", 1024, 4096)]
    (found,) = projector_shapes(written(tmp_path, VISION, tensors))
    assert (found.kind, found.hidden_size, found.feed_forward_size, found.n_heads) == (
        "internvl", 1024, 4096, 16,
    )  # fmt: skip
    assert (found.image_pixels, found.patch_pixels, found.n_merge, found.projection_size) == (
        448,
        14,
        2,
        2048,
    )
    assert found.has_class_token
    assert found.n_deepstack == 0


def test_eyes_and_ears_of_one_file_have_a_kind_each(tmp_path: Path) -> None:
    both = VISION | AUDIO | {"clip.projector_type": ("string", "qwen2.5o")}
    eyes, ears = projector_shapes(written(tmp_path, both, [f16("v.class_embd", 1024)]))
    assert (eyes.kind, ears.kind) == ("qwen2.5vl_merger", "qwen2a")
    assert ears.hidden_size == 1280


def test_old_conversions_that_state_no_width_or_swap_the_matrices(tmp_path: Path) -> None:
    stated = VISION | {"clip.vision.feed_forward_length": ("uint32", 1)}
    (found,) = projector_shapes(written(tmp_path, stated, [f16("v.blk.0.ffn_up.weight", 4096, 1024)]))
    assert found.feed_forward_size == 4096


def test_layers_whose_features_are_stacked(tmp_path: Path) -> None:
    tensors = [f16(f"v.deepstack.{i}.fc1.weight", 4096, 4096) for i in (5, 11, 17)]
    (found,) = projector_shapes(written(tmp_path, VISION, tensors))
    assert found.n_deepstack == 3


@pytest.mark.parametrize(
    "key", ["clip.vision.patch_size", "clip.vision.embedding_length", "clip.projector_type"]
)
def test_what_is_missing_is_named(tmp_path: Path, key: str) -> None:
    without = {name: value for name, value in VISION.items() if name != key}
    with pytest.raises(MalformedError, match=key):
        projector_shapes(written(tmp_path, without, [f16("v.class_embd", 1024)]))


def test_a_zero_is_not_a_size(tmp_path: Path) -> None:
    broken = VISION | {"clip.vision.patch_size": ("uint32", 0)}
    with pytest.raises(MalformedError, match="patch_size"):
        projector_shapes(written(tmp_path, broken, [f16("v.class_embd", 1024)]))

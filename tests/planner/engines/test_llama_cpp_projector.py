"""Projector buffers, held against llama.cpp's own plans for files without weights."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.engines.llama_cpp.projector import (
    ProjectorShape,
    largest_positions,
    projector_compute_bytes,
    start_positions,
)
from planner.errors import MissingFactError

ROWS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "llama_cpp_projector.json").read_text(encoding="utf-8")
)["rows"]
_OWN = ("real", "flash_attention", "start_pixels", "compute_mib")
GEMMA = ProjectorShape(
    kind="gemma3", hidden_size=1152, feed_forward_size=4304, n_heads=16, image_pixels=896, patch_pixels=14,
    projection_size=2560,
)  # fmt: skip
QWEN = ProjectorShape(
    kind="qwen2vl_merger", hidden_size=1280, feed_forward_size=5120, n_heads=16, image_pixels=560,
    patch_pixels=14, projection_size=3584,
)  # fmt: skip


def shape_of(row: dict[str, Any]) -> ProjectorShape:
    """The shape that a row was planned for."""
    return ProjectorShape(**{key: value for key, value in row.items() if key not in _OWN})


def label(row: dict[str, Any]) -> str:
    """A row's name in test reports."""
    return f"{row['kind']}-{row['hidden_size']}-{row['feed_forward_size']}-fa{row['flash_attention']:d}"


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_the_buffer_is_the_one_that_llama_cpp_plans(row: dict[str, Any]) -> None:
    shape = shape_of(row)
    found = projector_compute_bytes(shape, start_positions(shape), flash_attention=row["flash_attention"])
    rotated_and_gated = row["kind"] in ("pixtral", "gemma4v")
    tolerance = 0.09 if not row["flash_attention"] else 0.07 if rotated_and_gated else 0.002
    assert found / 2**20 == pytest.approx(row["compute_mib"], rel=tolerance, abs=0.01)


@pytest.mark.parametrize("row", [row for row in ROWS if row["image_pixels"]], ids=label)
def test_the_image_tried_at_start_has_as_many_patches(row: dict[str, Any]) -> None:
    """llama.cpp logs its side in pixels."""
    shape = shape_of(row)
    patches = (row["start_pixels"] // shape.patch_pixels) ** 2
    assert start_positions(shape) == patches + shape.has_class_token


def test_gemma_by_hand() -> None:
    """896 / 14 = 64 a side, 4,096 patches; (3·1152 + 4304) · 4096 · 4 = 127,139,840 bytes, 121.25 MiB."""
    assert start_positions(GEMMA) == largest_positions(GEMMA) == 4096
    assert projector_compute_bytes(GEMMA, 4096) == 127_139_840


def test_the_largest_image_of_qwen() -> None:
    """4,096 tokens of 2 × 2 patches; --image-max-tokens 1024 makes it 4,096 patches."""
    assert start_positions(QWEN) == (46 * 2) ** 2
    assert largest_positions(QWEN) == 16_384
    assert largest_positions(QWEN, 1024) == 4096


def test_larger_images_and_no_flash_attention_never_need_less() -> None:
    for row in ROWS:
        shape = shape_of(row)
        sizes = [projector_compute_bytes(shape, n) for n in (64, 256, 1024, 4096, 16_384)]
        assert sizes == sorted(sizes)
        for n in (256, 4096):
            with_scores = projector_compute_bytes(shape, n, flash_attention=False)
            assert with_scores >= projector_compute_bytes(shape, n) or row["kind"] == "qwen2.5vl_merger"


def test_an_unknown_kind_is_refused_by_name() -> None:
    shape = ProjectorShape(kind="telescope", hidden_size=1, feed_forward_size=1, n_heads=1)
    with pytest.raises(MissingFactError, match="telescope"):
        start_positions(shape)

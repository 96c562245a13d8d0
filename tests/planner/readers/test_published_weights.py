"""Weights as a repository publishes them: what its config amounts to, and what its files' headers say of it."""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

import pytest

from planner.readers.config.network import network_from_config
from planner.readers.open_model import open_model
from planner.readers.published_weights import published_weights, stored_claim

# Two layers of width 256: attention 4·256², three matrices of 256·512, two norms; tables of 1,000 rows.
CONFIG: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 4, "intermediate_size": 512, "vocab_size": 1000, "tie_word_embeddings": False,
    "max_position_embeddings": 2048, "dtype": "bfloat16",
}  # fmt: skip
MATRICES = 2 * (4 * 256 * 256 + 3 * 256 * 512)
OTHERS = 2 * 1000 * 256 + 2 * 2 * 256 + 256
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
SCALES = 2 * (4 * 2 * 2 + 3 * 2 * 4)  # one f32 for each block of 128·128


def folder(path: Path, config: dict[str, Any], tensors: dict[str, tuple[str, list[int]]]) -> Path:
    """A repository with headers of safetensors that end where their weights would begin."""
    (path / "config.json").write_text(json.dumps(config))
    sizes = {"BF16": 2, "F8_E4M3": 1, "F32": 4}
    header, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        n_bytes = prod(shape) * sizes[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + n_bytes]}
        end += n_bytes
    text = json.dumps(header).encode()
    weights = path / "model.safetensors"
    weights.write_bytes(struct.pack("<Q", len(text)) + text)
    with weights.open("r+b") as file:
        file.truncate(8 + len(text) + end)
    return path


def test_an_unquantized_repository_is_stored_in_its_own_type() -> None:
    layout, notes = published_weights(CONFIG, network_from_config(CONFIG))
    assert layout is not None
    assert layout.storage.label == "BF16"
    assert layout.file_bytes == 2 * (MATRICES + OTHERS)
    assert notes == ()


def test_block_fp8_is_laid_out_with_its_scales() -> None:
    config = CONFIG | {"quantization_config": FP8}
    layout, _ = published_weights(config, network_from_config(config))
    assert layout is not None
    assert layout.file_bytes == MATRICES + 4 * SCALES + 2 * OTHERS
    assert layout.stored_elements == MATRICES + SCALES + OTHERS
    assert layout.hub_parameters == MATRICES + OTHERS


def test_a_format_nobody_understands_is_told_and_the_network_stays() -> None:
    config = CONFIG | {"quantization_config": {"quant_method": "quux9"}}
    layout, notes = published_weights(config, network_from_config(config))
    assert layout is None
    assert "quux9" in notes[0]


@pytest.mark.parametrize(
    ("n_elements", "agrees", "as_what"),
    [
        (MATRICES + SCALES + OTHERS, True, "as stored"),
        (MATRICES + OTHERS, True, "as the config describes"),
        (2 * MATRICES, False, ""),
        (0, False, ""),
    ],
)
def test_headers_are_held_against_what_the_config_amounts_to(
    n_elements: int, agrees: bool, as_what: str
) -> None:
    config = CONFIG | {"quantization_config": FP8}
    network = network_from_config(config)
    layout, _ = published_weights(config, network)
    claim = stored_claim(layout, network, n_elements, "safetensors headers")
    assert claim.agrees is agrees
    assert as_what in claim.found
    assert (claim.note is None) is agrees


def test_a_folder_whose_weights_are_another_models_says_so(tmp_path: Path) -> None:
    opened = open_model(str(folder(tmp_path, CONFIG, {"model.embed_tokens.weight": ("BF16", [1000, 256])})))
    assert opened.stored_elements == 256_000
    assert opened.stored_bytes == 512_000
    assert any("safetensors headers give 256,000 elements" in note for note in opened.notes)
    assert [claim.agrees for claim in opened.claims] == [False]


def test_a_folder_that_holds_what_it_describes_is_quiet(tmp_path: Path) -> None:
    tensors = {"model.embed_tokens.weight": ("BF16", [1000, 256]), "lm_head.weight": ("BF16", [1000, 256]),
               "rest": ("BF16", [MATRICES + 2 * 2 * 256 + 256])}  # fmt: skip
    opened = open_model(str(folder(tmp_path, CONFIG, tensors)))
    assert opened.notes == ()
    assert [claim.agrees for claim in opened.claims] == [True]


def test_settings_in_a_file_of_their_own_are_found(tmp_path: Path) -> None:
    settings = {"quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    opened = open_model(str(tmp_path))
    assert opened.published is not None
    assert opened.published.storage.label != "BF16"
    assert opened.published.file_bytes < 2 * (MATRICES + OTHERS)

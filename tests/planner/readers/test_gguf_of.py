"""The header behind a reference: the same file that `open_model` reads, and nothing for a config."""

from pathlib import Path

import pytest

from planner.readers.gguf_of import gguf_of
from planner.readers.hub.repository import HubOptions
from tests.gguf_writer import Tensor, Value, gguf_header, write_gguf
from tests.planner.readers.hub_server import LocalHub, large, small

REPO = "org/name"
METADATA: dict[str, Value] = {"general.architecture": ("string", "llama"), "llama.block_count": ("uint32", 3)}
WEIGHTS: list[Tensor] = [("token_embd.weight", (64, 10), 0, 64 * 10 * 4)]


def test_a_file_here(tmp_path: Path) -> None:
    found = gguf_of(str(write_gguf(tmp_path / "m.gguf", METADATA, WEIGHTS)))
    assert found is not None
    assert [tensor.name for tensor in found.tensors] == ["token_embd.weight"]


@pytest.mark.parametrize("reference", [REPO, f"{REPO}:Q8_0", f"{REPO}:m-Q8_0.gguf"])
def test_a_file_on_the_hub(reference: str, hub: LocalHub, options: HubOptions) -> None:
    header = gguf_header(METADATA, WEIGHTS)
    hub.repos[REPO] = {"m-Q8_0.gguf": large(header, -(-len(header) // 32) * 32 + WEIGHTS[0][3])}
    found = gguf_of(reference, options=options)
    assert found is not None
    assert found.metadata["llama.block_count"] == 3


def test_a_repository_read_by_its_config_has_none(hub: LocalHub, options: HubOptions) -> None:
    header = gguf_header(METADATA, WEIGHTS)
    hub.repos[REPO] = {
        "config.json": small({"model_type": "llama"}),
        "m-Q8_0.gguf": large(header, -(-len(header) // 32) * 32 + WEIGHTS[0][3]),
    }
    assert gguf_of(REPO, options=options) is None
    assert gguf_of(f"{REPO}:Q8_0", options=options) is not None


def test_a_catalogue_model_has_none() -> None:
    assert gguf_of("qwen3-8b") is None

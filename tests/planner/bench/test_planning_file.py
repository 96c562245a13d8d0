"""Files that are only good for planning: what is written is what a reader finds, and the engine agrees with them."""

from pathlib import Path

import pytest

from hardware.units import MIB
from planner.bench.llama_cpp import engine_is_installed
from planner.bench.plan_question import PlanQuestion
from planner.bench.planning_file import PlannedTensor, write_planning_file
from planner.bench.referee import Referee
from planner.engines.llama_cpp import LlamaCppFlags, kv_bytes
from planner.engines.llama_cpp.described_header import FAMILIES, header_metadata, header_tensors
from planner.errors import BenchError
from planner.model.ggml_types import type_by_name
from planner.model.network import Network
from planner.model.presets import preset_storage
from planner.model.storage import Storage
from planner.readers.gguf.file import read_gguf
from planner.readers.open_model import open_model

METADATA: dict[str, object] = {
    "general.architecture": "llama",
    "general.alignment": 64,  # of the original; ours is 32
    "llama.block_count": 2,
    "llama.rope.freq_base": 10_000.0,
    "llama.big": 2**40,
    "llama.negative": -3,
    "llama.flag": True,
    "llama.layers": (1, 2, 3),
    "llama.mixed": (1, -2),
    "llama.unwritable": object(),
    "tokenizer.ggml.tokens": ("a", "b"),
    "split.count": 3,
}
TENSORS = (
    PlannedTensor(name="token_embd.weight", shape=(64, 3), type_id=8, n_bytes=64 // 32 * 34 * 3),
    PlannedTensor(name="output_norm.weight", shape=(64,), type_id=0, n_bytes=256),
)
# One catalogue model for each family whose header can be written from its config.
MODELS = {
    "llama": "llama-3.2-1b-instruct", "mistral": "mistral-7b-instruct-v0.3", "mixtral": "mixtral-8x7b-v0.1",
    "internlm3": "internlm3-8b-instruct", "mistral3": "magistral-small-2509",
    "ministral3": "devstral-2-123b-instruct-2512", "qwen2": "qwen2.5-1.5b-instruct", "qwen3": "qwen3-1.7b",
    "qwen3_moe": "qwen3-30b-a3b", "qwen2_5_vl": "qwen2.5-vl-3b-instruct", "qwen3_vl": "qwen3-vl-2b-instruct",
    "qwen3_vl_moe": "qwen3-vl-30b-a3b-instruct", "gemma2": "gemma-2-2b-it", "gemma3": "medgemma-1.5-4b-it",
    "gpt_oss": "gpt-oss-20b", "smollm3": "smollm3-3b", "glm4": "glm-4-9b-0414",
    "granite": "granite-3.3-2b-instruct", "hunyuan_v1_dense": "hunyuan-7b-instruct", "phi3": "phi-4",
    "phimoe": "phi-mini-moe-instruct", "starcoder2": "starcoder2-7b", "deepseek_v3": "deepseek-v3",
    "kimi_k2": "kimi-k2-instruct",
}  # fmt: skip


def written(path: Path, network: Network, storage: Storage) -> Path:
    """The planning file of a described model."""
    metadata = header_metadata(network)
    assert metadata is not None
    tensors = [
        PlannedTensor(name=name, shape=shape, type_id=type_by_name(type_name).id, n_bytes=n_bytes)
        for name, shape, type_name, n_bytes in header_tensors(network, storage)
    ]
    return write_planning_file(path, metadata, tensors, n_vocabulary=network.vocab_size)


def test_keys_and_tensors_are_read_back(tmp_path: Path) -> None:
    file = read_gguf(write_planning_file(tmp_path / "a.gguf", METADATA, TENSORS, n_vocabulary=3))
    assert file.metadata["llama.vocab_size"] == 3
    assert file.metadata["tokenizer.ggml.model"] == "no_vocab"
    for key in ("block_count", "rope.freq_base", "big", "negative", "flag", "layers", "mixed"):
        assert file.metadata[f"llama.{key}"] == METADATA[f"llama.{key}"]
    for gone in ("tokenizer.ggml.tokens", "split.count", "general.alignment", "llama.unwritable"):
        assert gone not in file.metadata
    assert [(t.name, t.shape, t.type_id, t.n_bytes) for t in file.tensors] == [
        (t.name, t.shape, t.type_id, t.n_bytes) for t in TENSORS
    ]


def test_the_weights_take_no_room(tmp_path: Path) -> None:
    network = open_model("llama-3.3-70b-instruct").network
    storage = preset_storage(network, "Q4_K_M")
    path = written(tmp_path / "big.gguf", network, storage)
    assert path.stat().st_size > storage.total_bytes
    assert path.stat().st_blocks * 512 < MIB


def test_a_vocabulary_of_unknown_size_is_no_guess(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="vocabulary is unknown"):
        write_planning_file(tmp_path / "a.gguf", METADATA, TENSORS, n_vocabulary=None)
    with pytest.raises(BenchError, match=r"general\.architecture"):
        write_planning_file(tmp_path / "a.gguf", {}, TENSORS, n_vocabulary=3)


def test_other_families_have_no_written_header() -> None:
    assert header_metadata(open_model("minimax-m2").network) is None
    assert header_metadata(open_model("qwen3-next-80b-a3b-instruct").network) is None


def test_every_family_has_a_model_here() -> None:
    assert set(FAMILIES) - set(MODELS) == {"gemma3_text"}  # gemma3 without a tower


@pytest.mark.engine
@pytest.mark.skipif(not engine_is_installed(), reason="llama-cpp-python is not installed")
def test_the_engine_plans_with_headers_written_from_configs(tmp_path: Path) -> None:
    # It refuses a missing or an unknown tensor and any wrong shape; that it agrees about cache and weights shows
    # that no key that matters was left out.
    flags = LlamaCppFlags(n_context_tokens=8192)
    with Referee() as referee:
        for family, name in MODELS.items():
            network = open_model(name).network
            assert network.architecture == family
            storage = preset_storage(network, "Q4_K_M")
            path = written(tmp_path / f"{name}.gguf", network, storage)
            plan = referee.plan(PlanQuestion(model_path=path, n_context_tokens=8192))
            assert plan.total("kv") == kv_bytes(network, flags), name
            assert plan.model_bytes == storage.total_bytes, name

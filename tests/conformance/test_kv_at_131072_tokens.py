"""The cache of eight models at 131,072 tokens, from config.json and from GGUF headers, and by the engine itself.

Every one of these is wrong by up to 25 times in some published tool: head size taken as hidden size over
heads, windows applied to all layers or to none, latent attention sized as K and V of every head, recurrent
layers sized as attention. Flags: f16, one sequence, ubatch 512, flash attention.
"""

from pathlib import Path

import pytest

from planner.bench.llama_cpp import engine_is_installed, engine_memory
from planner.bench.protocol import MemoryRequest
from planner.engines.llama_cpp import LlamaCppFlags, kv_bytes, state_bytes
from planner.readers.open_model import open_model
from tests.conformance.headers import PUBLISHED, write_published

GIB = 2**30
TOKENS = 131_072
FLAGS = LlamaCppFlags(n_context_tokens=TOKENS)

# Model of the catalogue, bytes of its cache, bytes of its recurrent state.
CASES = {
    # Layers · tokens · (K + V) heads · head size · 2 bytes.
    "llama-3.1-8b": ("llama-3.1-8b-instruct", 32 * TOKENS * 2 * 8 * 128 * 2, 0),
    "qwen3-30b-a3b": ("qwen3-30b-a3b", 48 * TOKENS * 2 * 4 * 128 * 2, 0),
    # Half of the layers keep pad(128 + 512, 256) = 768 cells.
    "gpt-oss-20b": ("gpt-oss-20b", 12 * (TOKENS + 768) * 2 * 8 * 64 * 2, 0),
    "gpt-oss-120b": ("gpt-oss-120b", 18 * (TOKENS + 768) * 2 * 8 * 64 * 2, 0),
    # Every sixth of 62 layers is full; 52 keep pad(1024 + 512, 256) = 1536 cells.
    "gemma-3-27b": ("gemma-3-27b-it", (10 * TOKENS + 52 * 1536) * 2 * 16 * 128 * 2, 0),
    # Every fourth of 48 layers is attention; the others keep, in f32, a 128·128 matrix for each of 32 heads
    # and three inputs of a convolution over 2·16·128 + 32·128 channels.
    "qwen3-next-80b": (
        "qwen3-next-80b-a3b-instruct",
        12 * TOKENS * 2 * 2 * 256 * 2,
        36 * (32 * 128 * 128 + 3 * 8192) * 4,
    ),
    # One latent of 512 and a rotary key of 64 a token and layer, once: not for each head, not for K and V.
    "deepseek-v3": ("deepseek-v3", 61 * TOKENS * 576 * 2, 0),
    "kimi-k2": ("kimi-k2-instruct", 61 * TOKENS * 576 * 2, 0),
}
# What the engine reported for real headers of these models, in GiB.
REPORTED_GIB = {
    "llama-3.1-8b": 16.00, "qwen3-30b-a3b": 12.00, "gpt-oss-20b": 3.02, "gpt-oss-120b": 4.53,
    "gemma-3-27b": 10.61, "qwen3-next-80b": 3.00 + 0.07, "deepseek-v3": 8.58, "kimi-k2": 8.58,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_sums_are_what_the_engine_reported(name: str) -> None:
    _, kv, state = CASES[name]
    assert (kv + state) / GIB == pytest.approx(REPORTED_GIB[name], abs=0.006)


@pytest.mark.parametrize("name", CASES)
def test_from_config_json(name: str) -> None:
    entry, kv, state = CASES[name]
    network = open_model(entry).network
    assert kv_bytes(network, FLAGS) == kv
    assert state_bytes(network, FLAGS) == state


@pytest.mark.parametrize("name", CASES)
def test_from_a_gguf_header(name: str, tmp_path: Path) -> None:
    entry, kv, state = CASES[name]
    found = open_model(str(write_published(tmp_path / f"{name}.gguf", PUBLISHED[name])))
    assert kv_bytes(found.network, FLAGS) == kv
    assert state_bytes(found.network, FLAGS) == state
    # The header and the config describe one network: the same parameters, used and in all.
    told = open_model(entry).network
    # Gemma's converted files leave out the 64 rows that pad the published embedding table.
    padding = (told.vocab_size - found.network.vocab_size) * told.hidden_size
    assert padding == (64 * 5376 if name == "gemma-3-27b" else 0)
    assert found.network.parameters.text == told.parameters.text - padding
    assert found.network.parameters.active == pytest.approx(told.parameters.active - padding)


@pytest.mark.engine
@pytest.mark.skipif(not engine_is_installed(), reason="llama-cpp-python is not installed")
@pytest.mark.parametrize("name", CASES)
def test_the_engine_reads_the_same_headers_alike(name: str, tmp_path: Path) -> None:
    _, kv, state = CASES[name]
    path = write_published(tmp_path / f"{name}.gguf", PUBLISHED[name])
    report = engine_memory(
        MemoryRequest(
            model_path=path,
            n_context_tokens=TOKENS,
            n_batch=2048,
            n_ubatch=512,
            flash_attention=True,
            kv_type="f16",
        )
    ).memory
    # Of a hybrid the engine tells the sum; how it divides is read from its log, in rounded MiB.
    assert report.kv_bytes + report.state_bytes == kv + state

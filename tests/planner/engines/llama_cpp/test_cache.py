"""llama.cpp's memory rules: worked numbers, properties, and the engine itself as referee."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.bench.llama_cpp import engine_is_installed, engine_memory
from planner.bench.protocol import MemoryRequest
from planner.engines import llama_cpp
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import MissingFactError
from planner.model.network import Network
from planner.model.presets import preset_storage
from planner.readers.config.network import network_from_config
from planner.readers.gguf.file import read_gguf
from planner.readers.gguf.network import network_from_gguf, storage_from_gguf
from tests.header_only import CONFIGS, write_header_only

needs_engine = pytest.mark.skipif(not engine_is_installed(), reason="llama-cpp-python is not installed")


def network(name: str) -> Network:
    return network_from_config(CONFIGS[name])


def test_contexts_are_padded_to_256_cells() -> None:
    assert llama_cpp.cache_cells(LlamaCppFlags(n_context_tokens=1), None) == 256
    assert llama_cpp.cache_cells(LlamaCppFlags(n_context_tokens=4096), None) == 4096
    assert llama_cpp.cache_cells(LlamaCppFlags(n_context_tokens=4097), None) == 4352


def test_a_window_keeps_itself_and_one_ubatch() -> None:
    # gpt-oss: 128 + 512 = 640, padded to 768; 128 + 2048 = 2176, padded to 2304 (recorded in logs).
    flags = LlamaCppFlags(n_context_tokens=32_768)
    assert llama_cpp.cache_cells(flags, 128) == 768
    wide = LlamaCppFlags(n_context_tokens=32_768, n_ubatch=2048)
    assert llama_cpp.cache_cells(wide, 128) == 2304
    # A context shorter than the window is all there is to keep.
    assert llama_cpp.cache_cells(LlamaCppFlags(n_context_tokens=512), 4096) == 512


def test_sequences_share_a_unified_cache_and_divide_a_split_one() -> None:
    # Four slots of Gemma 4: 4 · 1024 + 512 = 4608 cells when unified (recorded in a log).
    unified = LlamaCppFlags(n_context_tokens=32_768, n_sequences=4)
    assert llama_cpp.cache_cells(unified, 1024) == 4608
    # Split: each stream keeps pad(1024 + 512) = 1536 cells, four streams 6144.
    split = LlamaCppFlags(n_context_tokens=32_768, n_sequences=4, unified_cache=False)
    assert llama_cpp.cache_cells(split, 1024) == 6144
    assert llama_cpp.cache_cells(split, None) == 32_768


def test_kv_of_llama_3_2_1b() -> None:
    # 16 layers · 8 KV heads · 64 · 2 (K and V) · 2 bytes = 32,768 bytes a token; 8192 tokens are 256 MiB.
    flags = LlamaCppFlags(n_context_tokens=8192)
    assert llama_cpp.kv_bytes(network("llama"), flags) == 256 * 2**20
    # q8_0 stores 32 elements in 34 bytes instead of 64.
    small = LlamaCppFlags(n_context_tokens=8192, k_type="Q8_0", v_type="Q8_0")
    assert llama_cpp.kv_bytes(network("llama"), small) == 256 * 2**20 * 34 // 64


def test_mistral_caches_the_whole_context_in_this_engine() -> None:
    config = dict(CONFIGS["llama"], model_type="mistral", sliding_window=4096)
    flags = LlamaCppFlags(n_context_tokens=32_768)
    # Its config has a window, the engine does not use it: as much as Llama of the same shape.
    assert llama_cpp.kv_bytes(network_from_config(config), flags) == llama_cpp.kv_bytes(
        network("llama"), flags
    )


def test_a_quantized_v_cache_needs_flash_attention() -> None:
    with pytest.raises(ValueError, match="flash attention"):
        LlamaCppFlags(n_context_tokens=512, v_type="Q8_0", flash_attention=False)


def test_a_cache_type_that_does_not_divide_a_row_is_refused() -> None:
    config = dict(
        CONFIGS["llama"], num_attention_heads=6, num_key_value_heads=1, head_dim=40, hidden_size=240
    )
    flags = LlamaCppFlags(n_context_tokens=512, k_type="Q8_0", v_type="Q8_0")
    with pytest.raises(MissingFactError, match="F16"):
        llama_cpp.kv_bytes(network_from_config(config), flags)


@given(
    name=st.sampled_from(sorted(CONFIGS)),
    n=st.integers(1, 200_000),
    more=st.integers(0, 100_000),
    ubatch=st.sampled_from([32, 128, 512, 2048]),
    sequences=st.integers(1, 8),
    flash=st.booleans(),
)
def test_more_of_anything_never_needs_less(
    name: str, n: int, more: int, ubatch: int, sequences: int, flash: bool
) -> None:
    small = LlamaCppFlags(n_context_tokens=n, n_ubatch=ubatch, n_sequences=sequences, flash_attention=flash)
    longer = LlamaCppFlags(
        n_context_tokens=n + more, n_ubatch=ubatch, n_sequences=sequences, flash_attention=flash
    )
    wider = LlamaCppFlags(
        n_context_tokens=n, n_ubatch=2 * ubatch, n_sequences=sequences, flash_attention=flash
    )
    net = network(name)
    for rule in (llama_cpp.kv_bytes, llama_cpp.compute_bytes, llama_cpp.hidden_compute_bytes):
        assert rule(net, longer) >= rule(net, small)
        assert rule(net, wider) >= rule(net, small)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_written_header_reads_back_as_the_same_network(name: str, tmp_path: Path) -> None:
    """config.json and GGUF header of one model describe the same parameters, cache and bytes."""
    expected = network(name)
    path = write_header_only(tmp_path / f"{name}.gguf", name, expected, "Q4_K_M")
    file = read_gguf(path)
    found = network_from_gguf(file)
    assert found.parameters.text == expected.parameters.text
    assert found.parameters.active == pytest.approx(expected.parameters.active)
    flags = LlamaCppFlags(n_context_tokens=16_384)
    assert llama_cpp.kv_bytes(found, flags) == llama_cpp.kv_bytes(expected, flags)
    assert storage_from_gguf(file, found).total_bytes == preset_storage(expected, "Q4_K_M").total_bytes


@needs_engine
@pytest.mark.engine
@pytest.mark.parametrize("name", sorted(CONFIGS))
@pytest.mark.parametrize(
    "flags",
    [
        LlamaCppFlags(n_context_tokens=4096),
        LlamaCppFlags(n_context_tokens=20_000, n_ubatch=128),
        LlamaCppFlags(n_context_tokens=8192, k_type="Q8_0", v_type="Q8_0"),
        LlamaCppFlags(n_context_tokens=8192, flash_attention=False),
    ],
    ids=["4k", "20k-ub128", "8k-q8", "8k-no-fa"],
)
def test_the_engine_agrees(name: str, flags: LlamaCppFlags, tmp_path: Path) -> None:
    """Weights and cache to the byte, compute within 8 %, the total within 2 % of the engine's own plan."""
    net = network(name)
    path = write_header_only(tmp_path / f"{name}.gguf", name, net, "Q4_K_M")
    report = engine_memory(
        MemoryRequest(
            model_path=path,
            n_context_tokens=flags.n_context_tokens,
            n_batch=max(2048, flags.n_ubatch),
            n_ubatch=flags.n_ubatch,
            flash_attention=flags.flash_attention,
            kv_type=flags.k_type.lower(),
        )
    ).memory
    weights = preset_storage(net, "Q4_K_M").total_bytes
    kv = llama_cpp.kv_bytes(net, flags)
    compute = llama_cpp.compute_bytes(net, flags)
    # Tensors are aligned in memory, which adds a few bytes to each.
    assert report.weights_bytes == pytest.approx(weights, rel=1e-4)
    assert report.kv_bytes == kv
    assert compute == pytest.approx(report.compute_bytes, rel=0.08)
    assert weights + kv + compute == pytest.approx(
        report.weights_bytes + report.kv_bytes + report.compute_bytes, rel=0.02
    )

"""Ollama's choices, against its source and recorded starts."""

import pytest

from hardware.units import GIB, MIB
from planner.engines.ollama.settings import (
    OllamaEnvironment,
    OllamaHost,
    OllamaModel,
    OllamaOptions,
    automatic_batch,
    context_tokens,
    fit_margin_bytes,
    llama_cpp_flags,
    reported_size,
    sequences,
)
from planner.engines.ollama.versions import default_context_tokens, llama_cpp_build, parse_version
from planner.errors import MissingFactError

NOTHING, NO_ENVIRONMENT, NO_HOST = OllamaOptions(), OllamaEnvironment(), OllamaHost()
LLAMA = OllamaModel(family="llama", context_tokens=131_072)


@pytest.mark.parametrize(
    ("version", "build"),
    # LLAMA_CPP_VERSION at the tags: v0.30.0 b9452, v0.30.2 still b9479 of v0.30.1, v0.32.15 b10488.
    [("0.30.0", 9452), ("v0.30.2", 9479), ("0.32.7", 10242), ("ollama 0.33.0-rc2", 10488)],
)
def test_versions_name_a_build_of_llama_cpp(version: str, build: int) -> None:
    assert llama_cpp_build(parse_version(version)) == build


def test_older_versions_have_no_build() -> None:
    with pytest.raises(MissingFactError, match=r"0\.12\.0 carries its own changed copy"):
        llama_cpp_build((0, 12, 0))
    with pytest.raises(MissingFactError, match="no version of Ollama"):
        parse_version("latest")


@pytest.mark.parametrize(
    ("version", "gib", "expected"),
    # server/routes.go: 256 Ki tokens from 47 GiB, 32 Ki from 23 GiB, else 4 Ki; 4096 before 0.15.5, 2048 before 0.6.7.
    [("0.33.0", 48, 262_144), ("0.33.0", 46.9, 32_768), ("0.15.5", 24, 32_768), ("0.33.0", 16, 4096),
     ("0.15.4", 80, 4096), ("0.6.7", 80, 4096), ("0.6.6", 80, 2048)],
)  # fmt: skip
def test_the_default_context_goes_by_memory(version: str, gib: float, expected: int) -> None:
    assert default_context_tokens(parse_version(version), int(gib * GIB)) == expected


def test_the_overhead_of_every_gpu_lowers_the_tier() -> None:
    two = OllamaHost(gpu_memory_bytes=48 * GIB, n_gpus=2)
    assert context_tokens(LLAMA, NOTHING, NO_ENVIRONMENT, two) == 131_072  # 262,144, but trained with less
    less = OllamaEnvironment(gpu_overhead_bytes=GIB)
    assert context_tokens(LLAMA, NOTHING, less, two) == 32_768


def test_a_models_parameter_beats_the_server_and_images_need_some() -> None:
    told = OllamaEnvironment(context_length=8192)
    assert context_tokens(LLAMA, NOTHING, told, NO_HOST) == 8192
    assert context_tokens(LLAMA, OllamaOptions(num_ctx=512), told, NO_HOST) == 512
    sees = OllamaModel(family="gemma3", reads_images=True)
    assert context_tokens(sees, OllamaOptions(num_ctx=512), told, NO_HOST) == 2048


def test_some_families_serve_one_request_at_a_time() -> None:
    four = OllamaEnvironment(num_parallel=4)
    assert sequences(LLAMA, four) == 4
    assert sequences(OllamaModel(family="qwen35moe"), four) == 1
    assert sequences(LLAMA, NO_ENVIRONMENT) == 1
    assert sequences(LLAMA, NO_ENVIRONMENT, (0, 6, 7)) == 2
    assert sequences(LLAMA, NO_ENVIRONMENT, (0, 5, 7)) == 4


def test_a_recorded_start_of_gpt_oss() -> None:
    # ollama/ollama issue 16480, version 0.30.2: -c 262144 -np 2, streams of 131,072, not unified, batch 1024.
    flags = llama_cpp_flags(
        OllamaModel(family="gptoss", context_tokens=131_072),
        OllamaOptions(num_ctx=131_072, num_batch=1024),
        OllamaEnvironment(num_parallel=2),
        OllamaHost(gpu_memory_bytes=96 * GIB, n_gpus=1),
        (0, 30, 2),
    )
    assert (flags.n_context_tokens, flags.n_sequences, flags.unified_cache) == (262_144, 2, False)
    assert (flags.n_batch, flags.n_ubatch, flags.flash_attention, flags.build) == (1024, 1024, True, 9479)


def test_a_recorded_start_of_the_old_runner() -> None:
    # A log of Qwen2.5 7B with two sequences: n_ctx 8192, n_ctx_seq 4096, n_batch 1024, n_ubatch 512, no flash attention.
    flags = llama_cpp_flags(
        OllamaModel(family="qwen2"), NOTHING, OllamaEnvironment(num_parallel=2), NO_HOST, (0, 12, 6)
    )
    assert (flags.n_context_tokens, flags.n_sequences) == (8192, 2)
    assert (flags.n_batch, flags.n_ubatch, flags.flash_attention) == (1024, 512, False)


@pytest.mark.parametrize(
    ("context", "file_gib", "free_gib", "expected"),
    # Without a cache: 2048 wants the file within 60 % of free memory and 2 GiB more within 80 %.
    [(4096, 1, 24, 512), (8192, 1, 24, 1024), (65_536, 1, 24, 2048), (65_536, 14.3, 24, 2048),
     (65_536, 14.5, 24, 1024), (65_536, 18, 24, 1024), (65_536, 18.1, 24, 512), (65_536, 5, 8, 1024)],
)  # fmt: skip
def test_long_contexts_get_larger_batches_while_there_is_room(
    context: int, file_gib: float, free_gib: float, expected: int
) -> None:
    model = OllamaModel(family="llama", file_bytes=int(file_gib * GIB), f16_cache_bytes_per_token=0)
    host = OllamaHost(gpu_free_bytes=int(free_gib * GIB))
    assert automatic_batch(context, model, host, flash_attention=True) == expected


def test_quantized_caches_need_flash_attention() -> None:
    q8 = OllamaEnvironment(kv_cache_type="q8_0")
    assert llama_cpp_flags(LLAMA, NOTHING, q8, NO_HOST).v_type == "Q8_0"
    off = OllamaEnvironment(kv_cache_type="q8_0", flash_attention=False)
    assert llama_cpp_flags(LLAMA, NOTHING, off, NO_HOST).k_type == "F16"


def test_a_projector_is_left_room_beside_the_layers() -> None:
    assert fit_margin_bytes() == 1024 * MIB
    assert fit_margin_bytes(800 * MIB + 1) == 1825 * MIB


def test_what_ollama_ps_shows() -> None:
    # llm/llama_server_test.go: Llama 3.2 3B on ROCm: 1918.35 + 448.00 + 256.50 MiB there, 308.23 + 20.01 in RAM.
    gpu, host = int(2622.85 * MIB), int(328.24 * MIB)
    whole = reported_size(gpu, host, everything_on_gpu=True)
    assert (whole.size_bytes, whole.vram_bytes) == (gpu, gpu)
    part = reported_size(gpu, host, everything_on_gpu=False)
    assert (part.size_bytes, part.vram_bytes) == (gpu + host, gpu)


def test_more_context_is_never_fewer_tokens() -> None:
    previous = 0
    for num_ctx in (1, 512, 4096, 65_536, 500_000):
        tokens = context_tokens(LLAMA, OllamaOptions(num_ctx=num_ctx), NO_ENVIRONMENT, NO_HOST)
        assert tokens >= previous
        previous = tokens

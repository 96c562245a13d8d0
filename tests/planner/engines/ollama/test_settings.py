"""Ollama's choices, against its source and its own tests."""

import pytest

from hardware.units import GIB, MIB
from planner.engines.ollama.gpu_choice import OllamaGpu
from planner.engines.ollama.settings import (
    OllamaEnvironment,
    OllamaHost,
    OllamaModel,
    OllamaOptions,
    context_tokens,
    fit_margin_bytes,
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
    card = OllamaGpu(memory_bytes=24 * GIB, free_bytes=24 * GIB)
    two = OllamaHost(gpus=(card, card))
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
    assert sequences(OllamaModel(family="qwen3_vl_moe"), four) == 1  # as a config.json writes it
    assert sequences(LLAMA, NO_ENVIRONMENT) == 1
    assert sequences(LLAMA, NO_ENVIRONMENT, (0, 6, 7)) == 2
    assert sequences(LLAMA, NO_ENVIRONMENT, (0, 5, 7)) == 4


def test_a_projector_is_left_room_beside_the_layers() -> None:
    assert fit_margin_bytes() == 1024 * MIB
    assert fit_margin_bytes(800 * MIB + 1) == 1825 * MIB


def test_more_context_is_never_fewer_tokens() -> None:
    previous = 0
    for num_ctx in (1, 512, 4096, 65_536, 500_000):
        tokens = context_tokens(LLAMA, OllamaOptions(num_ctx=num_ctx), NO_ENVIRONMENT, NO_HOST)
        assert tokens >= previous
        previous = tokens

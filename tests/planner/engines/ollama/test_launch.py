"""What Ollama starts llama-server with, against its own tests and recorded starts."""

import pytest

from hardware.units import GIB, MIB
from planner.engines.ollama.gpu_choice import OllamaGpu
from planner.engines.ollama.launch import automatic_batch, launch
from planner.engines.ollama.settings import OllamaEnvironment, OllamaHost, OllamaModel, OllamaOptions
from planner.errors import MissingFactError

NOTHING, NO_ENVIRONMENT = OllamaOptions(), OllamaEnvironment()
LLAMA = OllamaModel(family="llama", context_tokens=131_072)


def card(gib: float, library: str = "cuda", *, integrated: bool = False, flash: bool = True) -> OllamaGpu:
    """A card of which all is free."""
    size = round(gib * GIB)
    return OllamaGpu(
        memory_bytes=size, free_bytes=size, library=library, is_integrated=integrated, supports_flash_attention=flash
    )  # fmt: skip


def host(*gpus: OllamaGpu, os: str = "linux", ram_gib: int = 64) -> OllamaHost:
    """A machine with these cards."""
    return OllamaHost(gpus=gpus, ram_free_bytes=ram_gib * GIB, ram_bytes=ram_gib * GIB, os=os)


@pytest.mark.parametrize(
    ("context", "guess", "gpus", "flash", "expected"),
    # server/sched_test.go of v0.33.0-rc2, TestAutomaticGenerationBatch, its eight cases in its order.
    [
        (4096, None, [], True, 512),
        (32_768, None, [], True, 1024),
        (131_072, 8 * GIB, [card(14)], True, 2048),
        (131_072, 9 * GIB, [card(14)], True, 1024),
        (131_072, 8 * GIB, [card(11)], True, 1024),
        (32_768, 8500 * MIB, [card(11)], True, 512),
        (131_072, 8 * GIB, [card(14)], False, 512),
        (131_072, 3 * GIB, [card(6)], False, 256),
    ],
)
def test_long_contexts_get_larger_batches_while_there_is_room(
    context: int, guess: int | None, gpus: list[OllamaGpu], flash: bool, expected: int
) -> None:
    assert automatic_batch(context, guess, gpus, flash_attention=flash) == expected


def test_a_recorded_start_of_gpt_oss() -> None:
    # ollama/ollama issue 16480, version 0.30.2: -c 262144 -np 2, streams of 131,072, not unified, batch 1024.
    started = launch(
        OllamaModel(family="gptoss", context_tokens=131_072),
        OllamaOptions(num_ctx=131_072, num_batch=1024),
        OllamaEnvironment(num_parallel=2),
        host(card(96, "rocm")),
        (0, 30, 2),
    )
    flags = started.flags
    assert (flags.n_context_tokens, flags.n_sequences, flags.unified_cache) == (262_144, 2, False)
    assert (flags.n_batch, flags.n_ubatch, flags.flash_attention, flags.build) == (1024, 1024, True, 9479)
    assert started.num_gpu is None  # --fit decides


def test_a_recorded_start_of_the_old_runner() -> None:
    # A log of Qwen2.5 7B with two sequences: n_ctx 8192, n_ctx_seq 4096, n_batch 1024, n_ubatch 512, no flash attention.
    started = launch(
        OllamaModel(family="qwen2"), NOTHING, OllamaEnvironment(num_parallel=2), host(card(40)), (0, 12, 6)
    )
    flags = started.flags
    assert (flags.n_context_tokens, flags.n_sequences) == (8192, 2)
    assert (flags.n_batch, flags.n_ubatch, flags.flash_attention) == (1024, 512, False)


def test_llama_server_keeps_the_logits_of_one_token_a_slot() -> None:
    # llama.cpp's pull request 23861; builds before it pay no attention (planner.engines.llama_cpp.builds).
    two = OllamaEnvironment(num_parallel=2)
    assert launch(LLAMA, NOTHING, two, host(card(24)), (0, 30, 4)).flags.n_outputs == 2
    assert launch(LLAMA, NOTHING, two, host(card(24)), (0, 12, 6)).flags.n_outputs is None  # its own runner


def test_quantized_caches_need_flash_attention() -> None:
    q8 = OllamaEnvironment(kv_cache_type="q8_0")
    assert launch(LLAMA, NOTHING, q8, host(card(24))).flags.v_type == "Q8_0"
    off = OllamaEnvironment(kv_cache_type="q8_0", flash_attention=False)
    with pytest.raises(MissingFactError, match="refuses to start"):
        launch(LLAMA, NOTHING, off, host(card(24)))
    assert (
        launch(LLAMA, NOTHING, off, host(card(24)), (0, 12, 6)).flags.k_type == "F16"
    )  # the old runner warned


def test_flash_attention_needs_every_card_to_have_it() -> None:
    old = card(24, flash=False)
    assert launch(LLAMA, NOTHING, NO_ENVIRONMENT, host(card(24))).flags.flash_attention
    assert not launch(LLAMA, NOTHING, NO_ENVIRONMENT, host(old)).flags.flash_attention
    forced = OllamaEnvironment(flash_attention=True)
    assert launch(LLAMA, NOTHING, forced, host(old)).flags.flash_attention


@pytest.mark.parametrize(
    ("there", "options", "expected"),
    # server/sched.go: without a GPU, with CUDA on Windows, and for a part on Metal the file is copied.
    [
        (host(), NOTHING, False),
        (host(card(24)), NOTHING, True),
        (host(card(24)), OllamaOptions(num_gpu=0), False),
        (host(card(24)), OllamaOptions(use_mmap=False), False),
        (host(card(24), os="windows"), NOTHING, False),
        (host(card(48, "metal", integrated=True), os="darwin"), NOTHING, True),
        (host(card(48, "metal", integrated=True), os="darwin"), OllamaOptions(num_gpu=32), False),
        (host(card(48, "metal", integrated=True), os="darwin"), OllamaOptions(num_gpu=33), True),
        (host(card(96, "rocm", integrated=True)), NOTHING, False),  # --load-mode dio
        # 8 GB of headroom beside a file of 4 GiB are not there in 8 GiB, and the model fits the card.
        (host(card(24), ram_gib=8), NOTHING, False),
        # A model too large for the card keeps the mapped file however short memory is.
        (host(card(4), ram_gib=8), NOTHING, True),
    ],
)
def test_when_the_file_is_mapped(there: OllamaHost, options: OllamaOptions, expected: bool) -> None:
    model = OllamaModel(
        family="llama", context_tokens=131_072, n_layers=32, file_bytes=4 * GIB, f16_cache_bytes_per_token=131_072
    )  # fmt: skip
    assert launch(model, options, NO_ENVIRONMENT, there).flags.mmap is expected


def test_a_model_that_one_card_holds_gets_one_card() -> None:
    model = OllamaModel(family="llama", file_bytes=10 * GIB, f16_cache_bytes_per_token=131_072)
    two = host(card(24), card(24))
    assert launch(model, OllamaOptions(num_ctx=8192), NO_ENVIRONMENT, two).choice.indices == (0,)
    # 10 GiB and 16 GiB of cache are more than 80 % of 24 GiB.
    assert launch(model, OllamaOptions(num_ctx=131_072), NO_ENVIRONMENT, two).choice.indices == (0, 1)

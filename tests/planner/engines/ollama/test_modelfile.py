"""A Modelfile says a placement, and reading it gives the placement back."""

import random

import pytest

from hardware.units import GIB
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.split import Split, TensorOverride
from planner.engines.ollama.gpu_choice import OllamaGpu
from planner.engines.ollama.launch import launch
from planner.engines.ollama.modelfile import (
    Modelfile,
    environment_lines,
    modelfile_text,
    ollama_plan,
    parse_environment,
    parse_modelfile,
)
from planner.engines.ollama.settings import OllamaEnvironment, OllamaHost, OllamaModel, OllamaOptions
from planner.errors import MalformedError, MissingFactError

PLAIN = LlamaCppFlags(n_context_tokens=8192, n_batch=512, unified_cache=False)


def test_the_text_of_a_plan() -> None:
    flags = LlamaCppFlags(
        n_context_tokens=16_384, n_sequences=2, unified_cache=False, n_batch=1024, n_ubatch=1024,
        k_type="Q8_0", v_type="Q8_0",
    )  # fmt: skip
    plan = ollama_plan("/models/a b.gguf", flags, Split(n_gpu_layers=999), n_layers=32)
    assert modelfile_text(plan.modelfile) == (
        "FROM /models/a b.gguf\nPARAMETER num_ctx 8192\nPARAMETER num_batch 1024\nPARAMETER num_gpu 33\n"
    )
    assert environment_lines(plan.environment) == ("OLLAMA_NUM_PARALLEL=2", "OLLAMA_KV_CACHE_TYPE=q8_0")


def test_other_instructions_are_skipped() -> None:
    text = '''# a comment
FROM llama3.2
SYSTEM """You are
PARAMETER num_ctx 99 inside a text
"""
parameter num_ctx 4096
PARAMETER temperature 1
PARAMETER num_gpu -1
PARAMETER use_mmap false
'''
    options = OllamaOptions(num_ctx=4096, use_mmap=False)
    assert parse_modelfile(text) == Modelfile(source="llama3.2", options=options)


@pytest.mark.parametrize(
    ("text", "message"),
    [("PARAMETER num_ctx 1", "no FROM line"), ("FROM a\nPARAMETER num_ctx many", "num_ctx wants a whole number"),
     ("FROM a\nPARAMETER use_mmap 1", "use_mmap wants true or false")],
)  # fmt: skip
def test_malformed_files_are_named(text: str, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        parse_modelfile(text)


def test_malformed_variables_are_named() -> None:
    with pytest.raises(MalformedError, match="OLLAMA_NUM_PARALLEL wants a whole number"):
        parse_environment({"OLLAMA_NUM_PARALLEL": "two"})
    with pytest.raises(MalformedError, match="OLLAMA_FLASH_ATTENTION wants 0 or 1"):
        parse_environment({"OLLAMA_FLASH_ATTENTION": "maybe"})


@pytest.mark.parametrize(
    ("flags", "split", "message"),
    [
        (PLAIN, Split(n_gpu_layers=9, n_cpu_moe=3), "to keep experts in main memory"),
        (PLAIN, Split(n_gpu_layers=9, overrides=(TensorOverride(pattern="x", device="CPU"),)), "experts"),
        (PLAIN, Split(n_gpu_layers=9, tensor_split=(1.0, 2.0)), "shares of GPUs"),
        (LlamaCppFlags(n_context_tokens=512), Split(n_gpu_layers=9), "a logical batch"),
        (
            LlamaCppFlags(n_context_tokens=512, n_batch=512, k_type="Q8_0"),
            Split(n_gpu_layers=9),
            "types of K and V",
        ),
    ],
)
def test_what_ollama_has_no_words_for_is_refused(flags: LlamaCppFlags, split: Split, message: str) -> None:
    with pytest.raises(MissingFactError, match=message):
        ollama_plan("m", flags, split, n_layers=32)


def test_written_out_and_read_back_it_is_the_same_plan() -> None:
    rng = random.Random(11)
    model = OllamaModel(family="llama")
    host = OllamaHost(gpus=(OllamaGpu(memory_bytes=24 * GIB, free_bytes=24 * GIB),))
    for _ in range(200):
        n, batch = rng.choice([1, 2, 4]), rng.choice([256, 512, 2048])
        kv_type = rng.choice(["F16", "Q8_0", "Q4_0"])
        flags = LlamaCppFlags(
            n_context_tokens=n * rng.choice([512, 4096, 131_072]), n_sequences=n, unified_cache=False, n_batch=batch,
            n_ubatch=batch, k_type=kv_type, v_type=kv_type, flash_attention=kv_type != "F16" or rng.random() < 0.5,
            n_outputs=n, build=10488,
        )  # fmt: skip
        split = Split(n_gpu_layers=rng.choice([7, 33]))
        plan = ollama_plan("model.gguf", flags, split, n_layers=32)
        file = parse_modelfile(modelfile_text(plan.modelfile))
        lines = dict(line.split("=", 1) for line in environment_lines(plan.environment))
        environment = parse_environment(lines)
        assert (file, environment) == (plan.modelfile, plan.environment)
        started = launch(model, file.options, environment, host)
        assert started.flags == flags
        assert started.num_gpu == split.n_gpu_layers


def test_an_empty_environment_says_nothing() -> None:
    assert parse_environment({"PATH": "/bin"}) == OllamaEnvironment()
    assert environment_lines(OllamaEnvironment()) == ()


def test_spreading_over_all_gpus_is_a_variable() -> None:
    spread = OllamaEnvironment(spread=True)
    assert environment_lines(spread) == ("OLLAMA_SCHED_SPREAD=1",)
    assert parse_environment({"OLLAMA_SCHED_SPREAD": "1"}) == spread

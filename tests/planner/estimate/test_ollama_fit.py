"""Ollama's own placement and what it can be told."""

import random

import pytest

from hardware.spec import Machine
from planner.engines.ollama.launch import launch
from planner.engines.ollama.modelfile import (
    environment_lines,
    modelfile_text,
    parse_environment,
    parse_modelfile,
)
from planner.engines.ollama.settings import OllamaEnvironment, OllamaOptions
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.ollama_fit import (
    Asked,
    OllamaRow,
    ollama_host,
    ollama_model,
    ollama_row,
    rough_cache_bytes,
)
from planner.estimate.speed import decode_read_bytes
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model
from tests.planner.estimate.test_speed import FACTS

NO_ENVIRONMENT = OllamaEnvironment()


def row(
    described: DescribedModel,
    on: Machine,
    environment: OllamaEnvironment = NO_ENVIRONMENT,
    num_ctx: int | None = None,
) -> OllamaRow:
    asked = Asked(options=OllamaOptions(num_ctx=num_ctx), environment=environment)
    return ollama_row(described, on, FACTS, asked, "model.gguf")


def test_ollamas_rough_guess_of_the_cache() -> None:
    # Llama 70B: 2 · 80 layers · 8 KV heads · (8192 / 64) · 2 bytes.
    assert rough_cache_bytes(model("llama-70b").network) == 2 * 80 * 8 * 128 * 2
    assert ollama_model(model("llama-70b")).family == "llama"


def test_the_default_context_of_a_large_machine_spills_where_a_shorter_one_would_not() -> None:
    # 52 GiB: 262,144 tokens, of which the model was trained with 131,072: 40 GiB of cache beside 39.6 of weights.
    found = row(model("llama-70b"), machine(card(0, memory_gib=26), card(1, memory_gib=26)))
    assert found.is_default_context
    assert found.own.row.placement.flags.n_context_tokens == 131_072
    assert found.own.spills
    assert found.shorter is not None
    assert not found.shorter.spills
    # 52 GiB less 2 of margin, 1 of driver, 39.6 of weights leave 9.4 GiB: 16,384 tokens take 5 GiB, twice that 10.
    assert found.shorter.row.placement.flags.n_context_tokens == 16_384


def test_the_margin_that_ollama_keeps_can_be_told_away() -> None:
    # A card with some hundred MiB to spare: --fit wants 1 GiB free and takes layers off, num_gpu does not.
    described, context = model("llama-70b"), 8192
    whole = row(described, machine(card(0, memory_gib=80)), num_ctx=context)
    needed = whole.own.row.placement.loads[0].needed_bytes
    tight = machine(card(0, memory_gib=needed / 2**30 + 0.4))
    found = row(described, tight, num_ctx=context)
    assert found.own.spills
    assert not found.best.spills
    assert found.best.plan.modelfile.options.num_gpu == 81
    assert "PARAMETER num_gpu 81" in modelfile_text(found.best.plan.modelfile)


def test_experts_leave_the_card_layer_by_layer() -> None:
    found = row(model("qwen3-30b-a3b"), machine(card(0, memory_gib=12)), num_ctx=8192)
    assert found.own.row.placement.split.n_gpu_layers == 49
    assert 0 < found.own.n_layers_without_experts < 48
    assert found.own.where.startswith("experts of ")
    # What `ollama ps` shows beside the card is in main memory: less than everything, more than the card's part.
    assert 0 < found.own.reported.vram_bytes < found.own.reported.size_bytes
    # One token reads as much as with all of it on a larger card, part of it from main memory.
    larger = row(model("qwen3-30b-a3b"), machine(card(0, memory_gib=48)), num_ctx=8192)
    here, there = (
        decode_read_bytes(model("qwen3-30b-a3b"), choice.row.placement, 0)
        for choice in (found.own, larger.own)
    )
    assert sum(here) == pytest.approx(sum(there))
    assert here[-1] > 0 == there[-1]


def test_a_whole_model_is_shown_as_all_gpu() -> None:
    found = row(model("llama-70b"), machine(card(0, memory_gib=80)), num_ctx=8192)
    load = found.own.row.placement.loads[0]
    assert found.own.reported.size_bytes == found.own.reported.vram_bytes
    assert found.own.reported.vram_bytes == load.needed_bytes - load.term_bytes("engine and driver")
    assert found.best is found.own


def test_more_requests_at_once_take_a_cache_each() -> None:
    box = machine(card(0, memory_gib=80))
    one = row(model("llama-70b"), box, num_ctx=8192)
    four = row(model("llama-70b"), box, OllamaEnvironment(num_parallel=4), num_ctx=8192)
    kv = [found.own.row.placement.loads[0].term_bytes("KV cache") for found in (one, four)]
    assert kv[1] == 4 * kv[0]


def test_versions_with_a_split_of_their_own_are_refused() -> None:
    asked = Asked(options=OllamaOptions(), environment=NO_ENVIRONMENT, version=(0, 12, 0))
    with pytest.raises(MissingFactError, match=r"Ollama 0\.12\.0 split models by an estimate of its own"):
        ollama_row(model("llama"), machine(card(0)), FACTS, asked, "model.gguf")


def test_what_is_printed_gives_the_plan_that_is_shown() -> None:
    rng = random.Random(5)
    for _ in range(6):
        described = model(rng.choice(["llama", "llama-70b", "qwen3-30b-a3b"]))
        sizes = rng.sample([8, 12, 24, 48], rng.choice([1, 2]))
        box = machine(*(card(i, memory_gib=size) for i, size in enumerate(sizes)), ram_gib=128)
        environment = OllamaEnvironment(
            num_parallel=rng.choice([None, 2]),
            kv_cache_type=rng.choice([None, "q8_0"]),
            spread=rng.random() < 0.3,
        )
        found = row(described, box, environment, num_ctx=rng.choice([None, 4096, 32_768]))
        for choice in (found.own, found.best):
            file = parse_modelfile(modelfile_text(choice.plan.modelfile))
            lines = dict(line.split("=", 1) for line in environment_lines(choice.plan.environment))
            read = parse_environment(lines)
            assert (file, read) == (choice.plan.modelfile, choice.plan.environment)
            started = launch(ollama_model(described), file.options, read, ollama_host(box))
            assert started.flags == choice.row.placement.flags
            again = ollama_row(
                described, box, FACTS, Asked(options=file.options, environment=read), file.source
            )
            assert again.own.row.placement.split == choice.row.placement.split

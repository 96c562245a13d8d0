"""vLLM's and SGLang's start-up: recorded weights, the inequality that decides, and properties."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.units import GIB
from planner.engines.release import Release
from planner.engines.sglang.settings import SglangSettings
from planner.engines.sharding import Parallel
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError
from planner.estimate.served.model import ServedModel, ServingGpu, served_model
from planner.estimate.served.publisher_layouts import conventional_layout
from planner.estimate.served.sglang_memory import sglang_memory
from planner.estimate.served.vllm_memory import cache_types, loaded_weights, vllm_memory
from planner.readers.catalogue_lookup import catalogue_resolver

resolve = catalogue_resolver()
H100 = ServingGpu(name="NVIDIA H100 80GB HBM3", total_bytes=int(79.18 * GIB), free_bytes=int(78.6 * GIB))
RTX_3090 = ServingGpu(name="RTX 3090", total_bytes=int(23.58 * GIB), free_bytes=int(23.3 * GIB))


def model(name: str, stored: str = "") -> ServedModel:
    opened = resolve(name)
    assert opened is not None
    if not stored:
        return served_model(opened)
    found = conventional_layout(opened.network, stored, opened.published)
    assert found is not None
    return served_model(opened, found[0])


@pytest.mark.parametrize(
    ("name", "stored", "tensor", "gib"),
    [
        ("llama-3.1-8b-instruct", "", 1, 14.9889),
        ("llama-2-7b-chat-hf", "", 1, 12.5523),
        ("llama-3.1-405b-instruct", "", 8, 94.5351),
        ("qwen3-30b-a3b", "", 2, 28.4571),
        ("qwen3-coder-30b-a3b-instruct", "", 1, 56.93),
        ("qwen3-embedding-8b", "", 1, 14.1062),  # the head is not loaded for embeddings
        ("qwen3-0.6b", "", 1, 1.12),
        ("phi-3-mini-4k-instruct", "", 1, 7.12),
        ("gpt-oss-20b", "", 1, 13.47),  # experts padded from 2880 to 3072 inputs
        ("qwen3-vl-30b-a3b-instruct", "", 2, 29.3115),
        ("llama-3.3-70b-instruct", "FP8-dynamic", 2, 33.88),
        ("llama-3.1-70b-instruct", "quantized.w8a8", 1, 67.7229),
    ],
)
def test_loaded_weights_of_recorded_starts(name: str, stored: str, tensor: int, gib: float) -> None:
    weights, made = loaded_weights(model(name, stored), VllmSettings(parallel=Parallel(tensor=tensor)))
    assert (weights.total_bytes + made) / GIB == pytest.approx(gib, rel=0.006)


def test_experts_in_mxfp4_are_padded() -> None:
    gpt = model("gpt-oss-20b")
    # 2880 inputs become 3072; of two ranks each has 1440 outputs, padded to 1472 and, as inputs, to 1536:
    # (2 · 3072 · 1472 + 2880 · 1536) / (3 · 2880 · 1440).
    assert gpt.expert_padding(Parallel()) == pytest.approx(3072 / 2880)
    assert gpt.expert_padding(Parallel(tensor=2)) == pytest.approx(13_467_648 / 12_441_600)
    assert gpt.expert_padding(Parallel(tensor=2, expert=2)) == pytest.approx(3072 / 2880)
    assert model("qwen3-30b-a3b").expert_padding(Parallel(tensor=2)) == 1.0


def test_a_tower_is_not_loaded_for_text_alone() -> None:
    # Qwen3.6 35B as text: 64.69 GiB in a log; its tower has 0.83 GiB more.
    text = loaded_weights(model("qwen3.6-35b-a3b"), VllmSettings(language_model_only=True))
    assert (text[0].total_bytes + text[1]) / GIB == pytest.approx(64.69, rel=0.001)
    both = loaded_weights(model("qwen3.6-35b-a3b"), VllmSettings())
    assert (both[0].total_bytes - text[0].total_bytes) / GIB == pytest.approx(0.83, abs=0.01)


@pytest.mark.parametrize(
    ("name", "stored", "tensor", "activation", "kv"),
    [  # one table of measurements, vLLM 0.11.0 on H100s at 0.9 and 16,000 tokens
        ("gpt-oss-20b", "", 1, 7.38, 50.28),
        ("llama-3.3-70b-instruct", "FP8-dynamic", 2, 4.84, 32.0),
        ("llama-3.1-8b-instruct", "", 1, 4.76, 51.38),
        ("qwen3-0.6b", "", 1, 5.56, 64.45),
    ],
)
def test_measured_starts_on_h100(name: str, stored: str, tensor: int, activation: float, kv: float) -> None:
    found = vllm_memory(
        model(name, stored),
        VllmSettings(version=Release(0, 11), parallel=Parallel(tensor=tensor), max_model_len=16_000),
        H100,
    )
    assert found.starts
    assert found.tightest.term_bytes("activations") / GIB == pytest.approx(activation, rel=0.01)
    assert found.tightest.kv_bytes / GIB == pytest.approx(kv, rel=0.01)


def test_a_24_gb_card_starts_at_20000_tokens_and_not_at_29000() -> None:
    # vLLM before V1 reads the whole prompt at once: activations grow with the length (issue 10517, 2024-12).
    before_v1 = VllmSettings(version=Release(0, 6, 4), gpu_memory_utilization=0.9)
    short = vllm_memory(model("llama-3.1-8b-instruct"), replace(before_v1, max_model_len=20_000), RTX_3090)
    assert short.starts
    assert short.tightest.kv_bytes / GIB == pytest.approx(3.81, abs=0.04)
    assert short.capacity.concurrency == pytest.approx(1.56, abs=0.02)
    long = vllm_memory(model("llama-3.1-8b-instruct"), replace(before_v1, max_model_len=29_000), RTX_3090)
    assert long.tightest.kv_bytes / GIB == pytest.approx(2.89, abs=0.04)
    assert not long.starts
    assert long.refusal is not None
    assert "29,000" in long.refusal
    assert 20_000 < long.longest_length < 29_000


def test_70b_in_fp8_does_not_start_on_one_h100() -> None:
    found = vllm_memory(
        model("llama-3.3-70b-instruct", "FP8-dynamic"),
        VllmSettings(version=Release(0, 11), gpu_memory_utilization=0.9, max_model_len=16_000),
        H100,
    )
    assert not found.starts
    assert found.refusal == "no memory is left for the KV cache after weights and activations"
    assert found.capacity.n_tokens == 0


def test_too_little_free_memory_is_refused_first() -> None:
    busy = replace(H100, free_bytes=40 * GIB)
    found = vllm_memory(model("qwen3-0.6b"), VllmSettings(max_model_len=4096), busy)
    assert found.refusal == "less memory is free at start-up than the utilization asks for"


def test_a_model_without_a_length_needs_one() -> None:
    named = model("llama-3.1-8b-instruct")
    nowhere = replace(named, network=replace(named.network, context_tokens=None))
    with pytest.raises(MissingFactError, match="--context"):
        vllm_memory(nowhere, VllmSettings(), H100)


def test_lora_slots_by_hand() -> None:
    # Qwen3 0.6B: per layer q 1024+2048, k and v 2·(1024+1024), o 2048+1024, gate, up and down 3·(1024+3072);
    # 28 layers · 22,528 · rank 16 · 2 slots · 2 bytes.
    named = model("qwen3-0.6b")
    plain = loaded_weights(named, VllmSettings())[1]
    slots = loaded_weights(named, VllmSettings(max_loras=2, max_lora_rank=16))[1]
    assert slots - plain == 28 * 22_528 * 16 * 2 * 2


SERVED = {
    name: model(name) for name in ("llama-3.1-8b-instruct", "qwen3-30b-a3b", "qwen3.5-9b", "deepseek-v3")
}


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(SERVED)),
    length=st.integers(64, 32_768),
    batched=st.integers(64, 16_384),
    requests=st.integers(1, 1024),
    grow=st.sampled_from(["max_num_batched_tokens", "max_num_seqs", "max_model_len"]),
    version=st.sampled_from([Release(0, 6, 4), Release(0, 11), Release(0, 25, 1)]),
)
def test_more_never_leaves_more(
    name: str, length: int, batched: int, requests: int, grow: str, version: Release
) -> None:
    base = VllmSettings(
        version=version, max_model_len=length, max_num_batched_tokens=batched, max_num_seqs=requests
    )
    values = {"max_num_batched_tokens": batched, "max_num_seqs": requests, "max_model_len": length}
    grown = replace(base, **{grow: 2 * values[grow]})  # type: ignore[arg-type]
    small, large = (vllm_memory(SERVED[name], asked, H100) for asked in (base, grown))
    assert large.tightest.kv_bytes <= small.tightest.kv_bytes
    assert large.capacity.concurrency <= small.capacity.concurrency
    assert small.starts or not large.starts


@pytest.mark.parametrize("name", sorted(SERVED))
def test_a_wider_cache_holds_less(name: str) -> None:
    base = VllmSettings(max_model_len=8192, gpu_memory_utilization=0.9, parallel=Parallel(tensor=8))
    narrow = vllm_memory(SERVED[name], replace(base, kv_cache_dtype="fp8"), H100)
    wide = vllm_memory(SERVED[name], base, H100)
    assert narrow.capacity.concurrency >= wide.capacity.concurrency


def test_a_checkpoint_s_cache_type_is_taken_since_0_13() -> None:
    asks = replace(SERVED["llama-3.1-8b-instruct"], checkpoint_cache="fp8")
    old = VllmSettings(version=Release(0, 12), max_model_len=8192)
    assert cache_types(asks, old).cache == "auto"
    assert cache_types(asks, replace(old, version=Release(0, 14))).cache == "fp8"
    assert (
        cache_types(asks, replace(old, version=Release(0, 14), kv_cache_dtype="bfloat16")).cache == "bfloat16"
    )


def test_only_the_last_stage_samples() -> None:
    staged = VllmSettings(version=Release(0, 11), parallel=Parallel(pipeline=2), max_model_len=8192)
    first, last = vllm_memory(SERVED["llama-3.1-8b-instruct"], staged, H100).ranks
    names = [
        [term.name for term in rank.terms if term.name.startswith("activations")] for rank in (first, last)
    ]
    assert names == [["activations: forward pass"], ["activations: sampler"]]
    assert first.kv_bytes > last.kv_bytes


def test_sglang_on_a_card() -> None:
    found = sglang_memory(model("llama-3.1-8b-instruct"), SglangSettings(), H100)
    # 79.18 GiB: 1 - (512 + 1.5 · 8192 + 512 + 128) / 81,080 = 0.834 of what is free, less 14.99 of weights.
    assert found.used_fraction == 0.834
    free = 78.6 - 600 / 1024
    assert found.tightest.kv_bytes / GIB == pytest.approx(free * 0.834 - 14.99, abs=0.1)
    assert found.capacity.n_tokens == pytest.approx(found.tightest.kv_bytes / 131_072, rel=0.001)
    assert found.starts
    full = sglang_memory(model("llama-3.1-70b-instruct"), SglangSettings(), H100)
    assert not full.starts
    assert full.capacity.n_tokens == 0

"""The command lines that are printed, read back: the same plan, whatever it is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.engines.release import Release
from planner.engines.sglang.command import launch_command, parse_launch_command
from planner.engines.sglang.settings import SglangSettings
from planner.engines.sharding import Parallel
from planner.engines.vllm.command import parse_serve_command, serve_command
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MalformedError

maybe_count = st.none() | st.integers(1, 1 << 20)
fractions = st.none() | st.integers(1, 100).map(lambda n: n / 100)


@st.composite
def parallels(draw: st.DrawFn) -> Parallel:
    attention, replicas = draw(st.sampled_from([1, 2, 4, 8])), draw(st.sampled_from([1, 2, 4]))
    ranks = attention * replicas
    return Parallel(
        tensor=ranks,
        pipeline=draw(st.integers(1, 4)),
        expert=ranks if draw(st.booleans()) else 1,
        attention_replicas=replicas,
    )


@st.composite
def vllm_settings(draw: st.DrawFn) -> VllmSettings:
    loras = draw(st.integers(0, 4))
    return VllmSettings(
        parallel=draw(parallels()),
        max_model_len=draw(maybe_count),
        gpu_memory_utilization=draw(fractions),
        max_num_batched_tokens=draw(maybe_count),
        max_num_seqs=draw(maybe_count),
        block_size=draw(st.none() | st.sampled_from([16, 64, 128])),
        kv_cache_dtype=draw(st.sampled_from(["auto", "fp8", "nvfp4"])),
        enforce_eager=draw(st.booleans()),
        n_speculative_tokens=draw(st.integers(0, 5)),
        prefix_caching=draw(st.none() | st.booleans()),
        language_model_only=draw(st.booleans()),
        quantization=draw(st.none() | st.sampled_from(["fp8", "bitsandbytes"])),
        max_loras=loras,
        max_lora_rank=draw(st.sampled_from([8, 16, 64])) if loras else 16,
    )


@st.composite
def sglang_settings(draw: st.DrawFn) -> SglangSettings:
    return SglangSettings(
        parallel=draw(parallels()),
        context_length=draw(maybe_count),
        mem_fraction_static=draw(fractions),
        chunked_prefill_size=draw(maybe_count),
        max_running_requests=draw(maybe_count),
        page_size=draw(st.none() | st.sampled_from([1, 64])),
        kv_cache_dtype=draw(st.sampled_from(["auto", "fp8_e4m3"])),
        cuda_graph_max_bs=draw(maybe_count),
        radix_cache=draw(st.booleans()),
        all_to_all=draw(st.booleans()),
        head_per_replica=draw(st.booleans()),
    )


@given(vllm_settings(), st.sampled_from([Release(0, 11), Release(0, 25, 1)]))
def test_vllm_command_lines_read_back(settings: VllmSettings, version: Release) -> None:
    asked = replace(settings, version=version)
    assert parse_serve_command(serve_command("a/b", asked), version) == ("a/b", asked)


def test_text_alone_is_asked_for_in_the_version_s_words() -> None:
    new = serve_command("m", VllmSettings(version=Release(0, 25), language_model_only=True))
    old = serve_command("m", VllmSettings(version=Release(0, 12), language_model_only=True))
    assert "--language-model-only" in new
    assert old[-2:] == ("--limit-mm-per-prompt", '{"image": 0, "video": 0, "audio": 0}')
    some = parse_serve_command(["vllm", "serve", "m", "--limit-mm-per-prompt", '{"image": 2}'])
    assert not some[1].language_model_only


@given(sglang_settings())
def test_sglang_command_lines_read_back(settings: SglangSettings) -> None:
    assert parse_launch_command(launch_command("a/b", settings)) == ("a/b", settings)


def test_short_names_and_equals_signs_are_read() -> None:
    _, found = parse_serve_command(["vllm", "serve", "m", "-tp", "4", "--max-model-len=32768"])
    assert found == VllmSettings(parallel=Parallel(tensor=4), max_model_len=32_768)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vllm"], "begins with"),
        (["vllm", "serve", "m", "--port", "80"], "no option that decides memory"),
        (["vllm", "serve", "m", "--max-model-len"], "without its value"),
        (["vllm", "serve", "m", "--max-model-len", "long"], "expected a whole number"),
        (["vllm", "serve", "m", "--gpu-memory-utilization", "most"], "expected a number"),
        (["vllm", "serve", "m", "--speculative-config", '{"method": "eagle3"}'], "only the method mtp"),
        (["vllm", "serve", "m", "--speculative-config", "{"], "not JSON"),
        (["vllm", "serve", "m", "--limit-mm-per-prompt", "none"], "not JSON"),
    ],
)
def test_other_lines_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        parse_serve_command(words)


def test_sglang_needs_its_model_and_dp_attention() -> None:
    start = ["python", "-m", "sglang.launch_server"]
    with pytest.raises(MalformedError, match="--model-path"):
        parse_launch_command(start)
    with pytest.raises(MalformedError, match="whole replicas"):
        parse_launch_command([*start, "--model-path", "m", "--dp-size", "2"])
    with pytest.raises(MalformedError, match="begins with"):
        parse_launch_command(["sglang"])

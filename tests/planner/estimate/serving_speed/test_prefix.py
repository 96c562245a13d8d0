"""Prompts that begin alike: less is read, the rest attends to all, and the cache keeps the beginning once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner import api
from planner.engines.prefix_reuse import found_tokens
from planner.engines.release import Release
from planner.engines.sglang.prefix_reuse import prefix_page_tokens
from planner.engines.sglang.settings import SglangSettings
from planner.engines.vllm.prefix_reuse import prefix_block_tokens
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError
from planner.estimate.served.answer import ServingLoad
from planner.estimate.serving_speed.deployment import batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.step_time import prompt_step_s
from planner.report.serving_document import serving_document
from tests.planner.estimate.serving_speed.questions import START, deployment

NAME = "llama-3.1-8b-instruct"


def test_whole_blocks_are_found_and_never_the_whole_prompt() -> None:
    assert found_tokens(1000, 4096, 16) == 992
    assert found_tokens(4096, 4096, 16) == 4080  # 4,095 at most, 255 blocks
    assert found_tokens(4096, 4096, 1) == 4095
    assert found_tokens(0, 4096, 16) == 0


def test_what_is_read_attends_to_all_of_the_prompt() -> None:
    one = deployment(NAME, n_prompt_tokens=8192, n_cached_tokens=4096)
    q = batch([one])
    assert (q.n_prompt[0], q.n_cached[0]) == (4096, 4096)
    # Attention goes over pairs: of n(n+1)/2 of them the first half of the tokens has a quarter.
    whole = one.load.prefill_mixing_flop(8192)
    assert q.prompt_mixing_flop["attended"][0] == pytest.approx(0.75 * whole["attended"], rel=1e-3)
    # 32 layers of 8 KV heads of 128, keys and values, 2 bytes.
    assert q.prompt_cache_bytes[0] == 4096 * 32 * 2 * 8 * 128 * 2
    short = prompt_step_s(batch([deployment(NAME, n_prompt_tokens=4096)]), START)
    long = prompt_step_s(batch([deployment(NAME, n_prompt_tokens=8192)]), START)
    assert short[0] < prompt_step_s(q, START)[0] < long[0]


def test_the_pool_holds_the_prefix_once() -> None:
    # 131,072 bytes a token: of 10 GiB the prefix of 8,000 tokens takes 1,048,576,000 once, and each request 1,000 + 128
    # tokens half-way through its answer: 65.
    one = deployment(
        NAME, n_prompt_tokens=9000, n_cached_tokens=8000, n_output_tokens=256, pool_bytes=10 * 2**30
    )
    expected = (10 * 2**30 - 8000 * 131072) / (1128 * 131072)
    assert batch([one]).most_running[0] == pytest.approx(expected)


@given(cached=st.integers(0, 8000), more=st.integers(1, 190))
def test_a_longer_prefix_is_never_slower(cached: int, more: int) -> None:
    q = batch(
        [
            deployment(NAME, n_prompt_tokens=8192, n_requests=16, n_cached_tokens=n)
            for n in (cached, cached + more)
        ]
    )
    found = latency(q, START)
    assert np.diff(found.prompt_step_s)[0] <= 0
    assert np.diff(found.tpot_s)[0] <= 0


def test_engines_keep_prefixes_by_their_rules() -> None:
    opened = api.open_model("llama-3.1-8b-instruct").network
    hybrid = api.open_model("qwen3.5-35b-a3b").network
    assert prefix_block_tokens(opened, VllmSettings()) == 16
    assert prefix_block_tokens(opened, VllmSettings(version=Release(0, 6, 3), prefix_caching=True)) == 16
    assert prefix_page_tokens(SglangSettings()) == 1
    for network, settings in (
        (opened, VllmSettings(version=Release(0, 6, 3))),
        (opened, VllmSettings(prefix_caching=False)),
        (hybrid, VllmSettings(version=Release(0, 20, 0))),
    ):
        with pytest.raises(MissingFactError, match="keeps no prefixes"):
            prefix_block_tokens(network, settings)
    with pytest.raises(MissingFactError, match="--disable-radix-cache"):
        prefix_page_tokens(SglangSettings(radix_cache=False))


def test_an_answer_says_what_the_prefix_saves() -> None:
    load = ServingLoad(n_prompt_tokens=8192, n_output_tokens=512, n_prefix_tokens=6005)
    answer = api.fit_vllm(
        "llama-3.1-8b-instruct", VllmSettings(max_model_len=16384), on="H100 SXM", load=load
    )
    reuse = answer.prefix
    assert reuse is not None
    assert (reuse.n_found_tokens, reuse.n_read_tokens) == (6000, 2192)
    assert reuse.n_at_once > reuse.n_at_once_without
    assert answer.speeds[0].latency.ttft_s.expected < reuse.without[0].latency.ttft_s.expected
    document = serving_document(answer)
    assert any("6,000 found, 2,192 read" in table.title for table in document.tables)
    assert document.data["prefix"]["n_found_tokens"] == 6000

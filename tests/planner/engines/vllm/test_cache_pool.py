"""vLLM's cache pool against what its logs print: blocks, tokens and concurrency for pools of a printed size.

The recorded start-ups print the pool's GiB to two decimals, so a hundredth either way is allowed for.
"""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.units import GIB
from planner.engines.release import Release, parse_release
from planner.engines.sharding import Parallel
from planner.engines.vllm.cache_pool import CachePool, Capacity, capacity, longest_length, pool
from planner.engines.vllm.cache_specs import (
    CacheTypes,
    InFlight,
    LayerSpec,
    hybrid_block_tokens,
    in_flight,
    layer_specs,
)
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError, UnknownArchitectureError
from planner.model.network import Network
from planner.readers.catalogue_lookup import catalogue_resolver

resolve = catalogue_resolver()


def network(name: str) -> Network:
    opened = resolve(name)
    assert opened is not None
    return opened.network


PLAIN = CacheTypes()
F32 = CacheTypes(state_bytes=4)


@dataclass(frozen=True, kw_only=True)
class Log:
    """One start-up's line: what ran, how much the pool had, and what the engine printed of it."""

    model: str
    version: str
    kv_gib: float
    length: int
    tokens: int | None = None
    concurrency: float | None = None
    block: int | None = None
    n_batched: int = 2048
    tensor: int = 1
    n_speculative: int = 0
    types: CacheTypes = PLAIN
    block_size: int | None = None


LOGS = (
    Log(model="qwen3-coder-30b-a3b-instruct", version="0.26.1", kv_gib=13.84, length=131_072, tokens=151_216,
        concurrency=1.15),
    Log(model="qwen3-30b-a3b", version="0.12.0", kv_gib=41.68, length=40_960, tokens=910_464, concurrency=22.23,
        tensor=2),
    Log(model="llama-3.1-8b-instruct", version="0.11.0", kv_gib=19.24, length=4096, tokens=157_584,
        concurrency=38.47),
    # All of Phi-3's layers have a window of 2047: one group of windows.
    Log(model="phi-3-mini-4k-instruct", version="0.19.1", kv_gib=13.06, length=4096, tokens=35_648,
        concurrency=8.67),
    # States: the attention block grows to hold one. 16 · ceil(2,170,880 / (16 · 2048)) = 1056.
    Log(model="qwen3.6-35b-a3b", version="0.19.2rc1.dev134", kv_gib=47.55, length=131_072, tokens=623_040,
        concurrency=18.44, block=1056, types=F32),
    Log(model="qwen3.5-27b", version="0.19.0", kv_gib=7.0, length=32_768, tokens=114_464, concurrency=12.98,
        block=784, tensor=4, types=F32),
    Log(model="qwen3.5-9b", version="0.19.0", kv_gib=15.36, length=32_768, tokens=502_656, concurrency=57.74,
        block=528, tensor=4, types=F32),
    # Speculation keeps a page of state per draft token and adds a layer of attention: groups of 17.
    Log(model="qwen3.8-27b", version="0.25.1", kv_gib=80.17, length=262_144, tokens=1_191_213, concurrency=4.54,
        block=800, n_speculative=3, types=F32),
    Log(model="qwen3.8-27b", version="0.25.1", kv_gib=76.4, length=262_144, tokens=2_192_477, concurrency=8.36,
        block=1600, n_speculative=3, types=CacheTypes(cache="fp8", state_bytes=4)),
    Log(model="nemotron-3-super-120b-a12b", version="0.19.2", kv_gib=36.25, length=131_072, tokens=1_399_712,
        concurrency=27.81, block=8432, n_speculative=3, types=CacheTypes(cache="fp8")),
    Log(model="nemotron-3-nano-30b-a3b", version="0.26.0", kv_gib=30.0, length=131_072, block=4176,
        types=CacheTypes(cache="fp8")),
    # Windows of 16 kv heads' pages beside full layers whose smaller page holds twice the tokens.
    Log(model="gemma-4-26b-a4b", version="0.25.1", kv_gib=83.89, length=262_144, tokens=3_875_400,
        concurrency=14.78, n_batched=2496),
)  # fmt: skip


def made(log: Log) -> tuple[VllmSettings, CachePool]:
    settings = VllmSettings(
        version=parse_release(log.version),
        parallel=Parallel(tensor=log.tensor),
        n_speculative_tokens=log.n_speculative,
        block_size=log.block_size,
    )
    specs = layer_specs(network(log.model), settings, log.types)
    return settings, pool(specs, settings.version)


def printed(log: Log, kv_gib: float) -> Capacity:
    settings, found = made(log)
    return capacity(
        found,
        int(kv_gib * GIB),
        version=settings.version,
        max_model_len=log.length,
        step=in_flight(network(log.model), settings, log.n_batched),
    )


@pytest.mark.parametrize("log", LOGS, ids=lambda log: f"{log.model} {log.version}")
def test_logs(log: Log) -> None:
    low, high = printed(log, log.kv_gib - 0.006), printed(log, log.kv_gib + 0.006)
    if log.tokens is not None:
        assert low.n_tokens <= log.tokens <= high.n_tokens
    if log.concurrency is not None:
        assert low.concurrency - 0.005 <= log.concurrency <= high.concurrency + 0.005
    settings, _ = made(log)
    assert hybrid_block_tokens(network(log.model), settings, log.types) == log.block


def test_llama_3_1_8b_by_hand() -> None:
    # 32 layers · 16 tokens · 2 (K, V) · 8 heads · 128 · 2 bytes = 2 MiB a block; 4 GiB are 2048 blocks.
    log = Log(model="llama-3.1-8b-instruct", version="0.25.1", kv_gib=4.0, length=16_384)
    found = printed(log, 4.0)
    assert found.n_blocks == 2048
    assert found.concurrency == 2.0  # 16,384 tokens are 1024 blocks
    assert found.n_tokens == 32_768


def test_latent_attention_is_not_split_over_ranks() -> None:
    # DeepSeek V3: 61 layers · 576 · 2 bytes = 70,272 bytes a token, on one rank as on eight.
    for tensor in (1, 8):
        log = Log(model="deepseek-v3", version="0.25.1", kv_gib=10, length=8192, tensor=tensor)
        _, found = made(log)
        assert found.block_bytes == 64 * 70_272


def test_a_sparse_index_keeps_its_own_keys() -> None:
    # V3.2 in FP8: 656 bytes of latent and 132 of index per token and layer (fp8_ds_mla, DeepseekV32IndexerCache).
    log = Log(model="deepseek-v3.2", version="0.25.1", kv_gib=10, length=8192, types=CacheTypes(cache="fp8"))
    assert made(log)[1].block_bytes == 64 * 61 * (656 + 132)
    plain = replace(log, types=CacheTypes())
    assert made(plain)[1].block_bytes == 64 * 61 * (1152 + 132)
    # 0.11 used the mixed type wherever nothing was asked for.
    assert made(replace(plain, version="0.11.0"))[1].block_bytes == 64 * 61 * (656 + 132)


def test_pages_of_different_sizes_do_not_mix_before_0_12() -> None:
    log = Log(model="gemma-4-26b-a4b", version="0.11.0", kv_gib=10, length=8192)
    with pytest.raises(UnknownArchitectureError, match=r"0\.12\.0 and later can"):
        made(log)


def test_windows_were_whole_contexts_before_the_hybrid_manager() -> None:
    old = made(Log(model="gpt-oss-20b", version="0.8.5", kv_gib=10, length=8192))[1]
    new = made(Log(model="gpt-oss-20b", version="0.10.1", kv_gib=10, length=8192))[1]
    assert len(old.groups) == 1
    assert sorted(group.spec.kind for group in new.groups) == ["full", "window"]


def test_a_pipeline_stage_pays_for_its_own_layers() -> None:
    specs = layer_specs(network("llama-3.1-8b-instruct"), VllmSettings(), CacheTypes())
    assert pool(specs, Release(0, 25), range(16)).block_bytes == 16 * 65_536
    assert pool(specs, Release(0, 25)).block_bytes == 32 * 65_536


def test_nvfp4_keeps_a_byte_of_scale_for_sixteen_elements() -> None:
    assert CacheTypes(cache="nvfp4").head_bytes(128) == 64 + 8
    assert CacheTypes(cache="fp8_e4m3").head_bytes(128) == 128
    assert CacheTypes(cache="fp8_per_token_head").head_bytes(128) == 132
    with pytest.raises(UnknownArchitectureError, match="not understood"):
        CacheTypes(cache="magic").head_bytes(128)


NETWORKS = st.sampled_from(
    ["llama-3.1-8b-instruct", "gpt-oss-20b", "qwen3.5-9b", "gemma-3-27b-it", "deepseek-v3.2",
     "llama-4-scout-17b-16e-instruct", "granite-4.0-h-small", "kimi-linear-48b-a3b-instruct", "lfm2-1.2b"]
)  # fmt: skip


@given(name=NETWORKS, length=st.integers(1, 131_072), more=st.integers(0, 50_000), kv=st.integers(0, 2**37))
def test_a_longer_request_never_needs_less(name: str, length: int, more: int, kv: int) -> None:
    settings = VllmSettings()
    found = pool(layer_specs(network(name), settings, CacheTypes()), settings.version)
    step = in_flight(network(name), settings, 2048)
    wider = in_flight(network(name), settings, 4096)
    assert found.request_blocks(length, step) <= found.request_blocks(length + more, step)
    assert found.request_blocks(length, step) <= found.request_blocks(length, wider)
    longest = longest_length(found, kv, step=step, at_most=length)
    blocks = found.n_blocks(kv)
    if longest:
        assert found.request_blocks(longest, step) <= blocks
    if longest < length:
        assert found.request_blocks(longest + 1, step) > blocks


@given(name=NETWORKS, tensor=st.sampled_from([1, 2, 4, 8]))
def test_ranks_share_a_cache_and_never_lose_of_it(name: str, tensor: int) -> None:
    one = pool(layer_specs(network(name), VllmSettings(), CacheTypes()), Release(0, 25))
    settings = VllmSettings(parallel=Parallel(tensor=tensor))
    many = pool(layer_specs(network(name), settings, CacheTypes()), Release(0, 25))
    tokens = [min(group.spec.block_tokens for group in found.groups) for found in (one, many)]
    assert tensor * many.block_bytes / tokens[1] >= 0.99 * one.block_bytes / tokens[0]


def test_pages_of_a_request() -> None:
    full = LayerSpec(kind="full", page_bytes=1, block_tokens=16)
    window = replace(full, kind="window", window_tokens=128)
    chunk = replace(full, kind="chunked", window_tokens=8192)
    state = replace(full, kind="state")
    step = InFlight(n_tokens=2048, n_state_pages=3)
    assert full.pages(4097, step) == 257
    # A window of 128 keeps 127 tokens and the chunk: 2175 / 16 = 136, and one more for its start within a block.
    assert window.pages(100_000, step) == 137
    assert window.pages(64, step) == 5
    assert chunk.pages(100_000, step) == 640
    assert state.pages(100_000, step) == 3


def test_versions() -> None:
    assert parse_release("0.19.2rc1.dev134+gfe9c3d6c5") == Release(0, 19, 2)
    assert parse_release("v0.6.6.post2") == Release(0, 6, 6)
    with pytest.raises(MissingFactError, match="names no release"):
        parse_release("0.1.dev1+gda1daf40b")


def test_what_is_in_flight_depends_on_the_version() -> None:
    qwen, nemotron = network("qwen3.5-9b"), network("nemotron-3-nano-30b-a3b")
    assert in_flight(qwen, VllmSettings(version=Release(0, 25, 1)), 2048) == InFlight(
        n_tokens=2048, n_state_pages=1
    )
    # Two batches at once, and prefix caching of states by default.
    assert in_flight(qwen, VllmSettings(version=Release(0, 26)), 2048) == InFlight(
        n_tokens=4096, n_state_pages=2
    )
    asked = VllmSettings(version=Release(0, 33), n_speculative_tokens=3)
    assert in_flight(nemotron, asked, 2048).n_state_pages == 2 + 1 + 3
    without = VllmSettings(version=Release(0, 33), prefix_caching=False)
    assert in_flight(nemotron, without, 2048).n_state_pages == 1


def test_latent_hybrids_have_blocks_of_128_since_0_27() -> None:
    kimi = network("kimi-linear-48b-a3b-instruct")
    old, new = (
        hybrid_block_tokens(kimi, VllmSettings(version=v), PLAIN) for v in (Release(0, 26), Release(0, 27))
    )
    assert old is not None
    assert new is not None
    assert old % 64 == 0
    assert new % 128 == 0
    assert new >= old


def test_compressed_attention_packs_pages_of_every_size() -> None:
    """DeepSeek V4 Flash: 43 layers, 21 compressed by 4 with an index, 20 by 128, 2 with windows alone."""
    flash = network("deepseek-v4-flash")
    settings = VllmSettings(version=Release(0, 33))
    found = pool(layer_specs(flash, settings, PLAIN), settings.version)
    # Rows of 584 bytes, pages up to a multiple of 576: 64 rows 37,440; 2 rows 1,728; 64 keys of 132 bytes 8,640.
    # The widest group holds all compressed rows and keys: 21 · (37,440 + 8,640) + 20 · 1,728.
    assert found.block_bytes == 1_002_240
    # 43, 21 and 20 repeats are padded least by groups of 22: two of windows, one of each compressor's states.
    assert sorted(len(group.layers) for group in found.groups) == [20, 21, 22, 42, 62]
    # 100,000 tokens with 4,096 in flight: 391 blocks of rows, 2 · (ceil(4,223 / 64) + 1) of windows,
    # ceil(4,103 / 4) + 1 and ceil(4,223 / 8) + 1 of states.
    step = in_flight(flash, settings, 2048)
    assert found.request_blocks(100_000, step) == 391 + 2 * 67 + 1027 + 529
    with pytest.raises(UnknownArchitectureError, match="compressed caches"):
        pool(layer_specs(flash, VllmSettings(version=Release(0, 25)), PLAIN), Release(0, 25))
    with pytest.raises(UnknownArchitectureError, match="prediction layer"):
        layer_specs(flash, VllmSettings(n_speculative_tokens=1), PLAIN)

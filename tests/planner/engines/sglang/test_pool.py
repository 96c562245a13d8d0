"""SGLang's token pool against what its logs print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.units import GIB
from planner.engines.release import Release
from planner.engines.sglang.pool import cell, rest_bytes, state_slots, token_pool, tokens_of_kv_bytes
from planner.engines.sglang.settings import SglangSettings, chunk_tokens, static_fraction
from planner.engines.sharding import Parallel
from planner.errors import UnknownArchitectureError
from planner.model.network import Network
from planner.readers.catalogue_lookup import catalogue_resolver

resolve = catalogue_resolver()


def network(name: str) -> Network:
    opened = resolve(name)
    assert opened is not None
    return opened.network


def test_cells_by_hand() -> None:
    # Llama 3.1 8B: 32 layers · 2 · 8 heads · 128 · 2 bytes; a quarter of it on each of four ranks.
    assert cell(network("llama-3.1-8b-instruct"), SglangSettings()).full_bytes == 131_072
    four = SglangSettings(parallel=Parallel(tensor=4))
    assert cell(network("llama-3.1-8b-instruct"), four).full_bytes == 32_768
    # DeepSeek R1's latent, 61 · 576 · 2, is on every rank.
    assert cell(network("deepseek-r1"), four).full_bytes == 70_272
    # V3.2 on an NPU keeps 16-bit index keys: 61 · (1152 + 256); on CUDA 128 bytes and a float.
    on_npu = SglangSettings(on_npu=True)
    assert cell(network("deepseek-v3.2"), on_npu).full_bytes == 61 * 1408
    assert cell(network("deepseek-v3.2"), SglangSettings()).full_bytes == 61 * (1152 + 132)


def test_fp4_keeps_scales_beside_the_cache() -> None:
    # 131,072 bytes of 16 bits are 65,536 elements: half a byte each and a byte for sixteen.
    fp4 = SglangSettings(kv_cache_dtype="fp4_e2m1")
    assert cell(network("llama-3.1-8b-instruct"), fp4).full_bytes == 65_536 * 0.5625


def test_other_cache_types_are_refused() -> None:
    with pytest.raises(UnknownArchitectureError, match="nvfp4"):
        cell(network("llama-3.1-8b-instruct"), SglangSettings(kv_cache_dtype="nvfp4"))


def test_attention_replicas_share_fewer_heads() -> None:
    # Qwen3 235B with 32 ranks and 32 replicas: all 4 KV heads on each, 94 · 2 · 4 · 128 · 2 bytes.
    replicas = SglangSettings(parallel=Parallel(tensor=32, expert=32, attention_replicas=32), on_npu=True)
    held = cell(network("qwen3-235b-a22b"), replicas)
    assert held.full_bytes == 192_512
    # A log of such a start prints 17.13 + 17.13 GB and 190,976 tokens.
    found = tokens_of_kv_bytes(replicas, network("qwen3-235b-a22b"), held, 2 * 17.13 * GIB)
    assert found == pytest.approx(190_976, rel=0.001)


@pytest.mark.parametrize(("kv_gib", "tokens"), [(4.98, 75_904), (14.25, 217_600), (8.69, 132_608)])
def test_tokens_of_a_latent_pool(kv_gib: float, tokens: int) -> None:
    # DeepSeek R1 on NPUs, three logs; pages of 128 tokens.
    settings = SglangSettings(on_npu=True, parallel=Parallel(tensor=16, expert=16, attention_replicas=16))
    held = cell(network("deepseek-r1"), settings)
    assert tokens_of_kv_bytes(settings, network("deepseek-r1"), held, kv_gib * GIB) == pytest.approx(
        tokens, rel=0.002
    )


def test_the_pool_is_what_is_left_of_the_static_share() -> None:
    # 31.87 GiB free after loading 28.94: 31.87 - 60.81 · 0.29 = 14.24 GiB, printed as 14.25.
    left = rest_bytes(31.87, 60.81, 0.71)
    assert left == pytest.approx(14.24, abs=0.01)


def test_states_take_nine_parts_of_nineteen() -> None:
    held = cell(network("qwen3.5-9b"), SglangSettings(parallel=Parallel(tensor=2)), state_bytes=2)
    # 24 layers · 16 value heads · 128 · 128 · 2 bytes, and 3 inputs of 4096 channels · 2 bytes.
    assert held.recurrent_bytes == 24 * 16 * 128 * 128 * 2
    assert held.conv_bytes == 24 * 3 * 4096 * 2
    slots = state_slots(SglangSettings(), held, 39.42 * GIB)
    # A log prints 1521 slots beside 20.74 GiB of KV: 18.68 GiB of states, 0.9 of the KV.
    assert slots == pytest.approx(1521, rel=0.01)
    without_radix = SglangSettings(radix_cache=False, max_running_requests=80)
    assert state_slots(without_radix, held, 39.42 * GIB) == 80


def test_ascend_gave_every_layer_of_a_hybrid_a_pool() -> None:
    # Qwen3-Next on 4 ranks: one KV head of 256, 2 · 256 · 2 bytes; 48 layers before 0.5.10, then 12. A log of such a
    # start prints 10.32 + 10.32 GB for 450,560 tokens: 49,152 bytes each.
    ranks = Parallel(tensor=4)
    old = SglangSettings(version=Release(0, 5, 9), parallel=ranks, on_npu=True)
    new = SglangSettings(version=Release(0, 5, 10), parallel=ranks, on_npu=True)
    next_80b = network("qwen3-next-80b-a3b-instruct")
    assert cell(next_80b, old).full_bytes == 48 * 1024
    assert cell(next_80b, new).full_bytes == 12 * 1024
    found = tokens_of_kv_bytes(old, next_80b, cell(next_80b, old), 2 * 10.32 * GIB)
    assert found == pytest.approx(450_560, rel=0.001)


def test_a_draft_is_charged_since_0_5_10() -> None:
    old = SglangSettings(version=Release(0, 5, 9), n_draft_layers=1)
    new = SglangSettings(version=Release(0, 5, 23), n_draft_layers=1)
    assert cell(network("deepseek-r1"), old).full_bytes == 61 * 1152
    assert cell(network("deepseek-r1"), new).full_bytes == 62 * 1152


def test_defaults_follow_the_gpu() -> None:
    assert chunk_tokens(SglangSettings(), 24 * GIB) == 2048
    assert chunk_tokens(SglangSettings(), 80 * GIB) == 8192
    # 80 GiB: 512 + 1.5 · 8192 + 2 · 256 + 128 = 13,440 MiB of 81,920 are kept back.
    assert static_fraction(SglangSettings(), 80 * GIB) == 0.836
    assert static_fraction(SglangSettings(mem_fraction_static=0.7), 80 * GIB) == 0.7
    # An encoder of 24 layers of 1024 takes 5 % off; Qwen3-VL's (1152 wide: 1.27 times as large) 7.5 %.
    plain = static_fraction(SglangSettings(), 80 * GIB, 423_000_000)
    assert plain == pytest.approx(0.836 * 0.95, rel=0.001)
    qwen = static_fraction(SglangSettings(), 80 * GIB, network("qwen3-vl-30b-a3b-instruct").parameters.towers)
    assert qwen == pytest.approx(0.836 * 0.925, rel=0.01)
    with pytest.raises(ValueError, match="between 0 and 1"):
        SglangSettings(mem_fraction_static=1.2)


NETWORKS = st.sampled_from(
    ["llama-3.1-8b-instruct", "gpt-oss-20b", "qwen3.5-9b", "gemma-3-27b-it", "deepseek-v3.2"]
)


@given(name=NETWORKS, kv=st.integers(0, 2**37), more=st.integers(0, 2**33))
def test_a_pool_fits_and_grows_with_its_memory(name: str, kv: int, more: int) -> None:
    settings = SglangSettings()
    held = cell(network(name), settings)
    small = token_pool(settings, network(name), held, kv)
    large = token_pool(settings, network(name), held, kv + more)
    assert small.n_tokens <= large.n_tokens
    page = 64 * (held.full_bytes + held.window_bytes)  # one page more than is counted on
    assert small.kv_bytes + small.state_bytes <= kv + page

"""A step's attention on a processor takes as long as was measured, head by head."""

import math

import numpy as np
import pytest

from planner.speed.device import SpeedDevice, cpu_device
from planner.speed.factors import Case, Factors
from planner.speed.measured_attention import attention_effects
from planner.speed.operators import decode_operators, layout_on_one
from planner.speed.processor_attention import ATTENTION, NEAR_CACHE
from planner.speed.setting import Setting
from profiles.errors import ProfileError
from profiles.loader import calibration_rows
from tests.planner.speed.cases import GPU, dense

VNNI = ("avx2", "avx512f", "avx512bw", "avx512_vnni")


def row(kernel: str, cache_type: str, head_dim: int, ns: float) -> dict[str, str]:
    return {
        "id": f"{kernel} {cache_type} {head_dim}", "kernel": kernel, "cache_type": cache_type,
        "head_dim": str(head_dim), "ns": str(ns), "instruction_sets": ";".join(VNNI),
    }  # fmt: skip


# 10 ns for a pair and 0.1 for an element, half of both without the fused kernel, and Q8_0 twice as slow.
ROWS = (
    row("fused", "F16", 64, 16.4), row("fused", "F16", 128, 22.8), row("fused", "Q8_0", 64, 32.8),
    row("plain", "F16", 64, 8.2), row("plain", "F16", 128, 11.4),
)  # fmt: skip
FACTORS = Factors(effects=attention_effects(ROWS))


def device(n_threads: int) -> SpeedDevice:
    return cpu_device("some", 50e9, n_threads, beside_gpu=False, instruction_sets=VNNI)


def seconds(
    n_threads: int = 1, depth: int = 1000, n_sequences: int = 1, *, cache: str = "F16", fused: bool = True
) -> float:
    """Attention of a step, without reading: four layers of 8 heads of 64 elements."""
    layout = layout_on_one(device(n_threads), 4)
    setting = Setting(flash_attention=fused)
    case = Case(
        phase="decode", layout=layout, setting=setting, model_key="", architecture="",
        operators=decode_operators(dense(), layout, depth, n_sequences, cache_type=cache, setting=setting),
    )  # fmt: skip
    factors = FACTORS.factor
    return math.fsum(
        time.ideal_s * factors(case, time) for time in case.operators if time.operator in ATTENTION
    )


def test_a_head_meets_a_cached_token_in_what_was_measured() -> None:
    # 4 layers · 8 heads · 1,000 tokens · 16.4 ns
    assert seconds() == pytest.approx(32_000 * 16.4e-9, rel=1e-6)
    assert seconds(n_threads=4) == pytest.approx(seconds() / 4)
    assert seconds(n_sequences=3) == pytest.approx(3 * seconds())


def test_kernels_and_caches_differ_as_measured() -> None:
    assert seconds(fused=False) == pytest.approx(seconds() / 2)
    # What no processor could beat is not stretched: 4 · 64 FLOP at twice 168 GFLOP/s, 0.76 of 32.8 ns.
    assert seconds(cache="Q8_0") == pytest.approx((32.8 - 256 / 336) / 16.4 * seconds(), rel=1e-4)


def test_rows_of_a_head_far_apart_are_read_beside_nothing() -> None:
    # 2 heads of 64 in F16 are 256 bytes from row to row: fetched ahead. 16 bytes an element make 2,048.
    near = decode_operators(dense(), layout_on_one(device(2), 4), 1000)
    far = decode_operators(dense(), layout_on_one(device(2), 4), 1000, kv_bytes_per_element=16.0)
    assert {NEAR_CACHE} == {time.operator for time in near} & {NEAR_CACHE, "cache", "cache_again"}
    assert {"cache"} == {time.operator for time in far} & {NEAR_CACHE, "cache", "cache_again"}
    on_gpu = decode_operators(dense(), layout_on_one(GPU, 4), 1000)
    assert not {time.operator for time in on_gpu} & {NEAR_CACHE, *ATTENTION}


def test_arrays_of_depths_and_batches_are_as_their_numbers() -> None:
    layout = layout_on_one(device(2), 4)
    depths, batches = np.array([[0], [5000]]), np.array([1, 3, 20])
    swept = decode_operators(dense(), layout, depths, batches)
    for i, depth in enumerate((0, 5000)):
        for j, n in enumerate((1, 3, 20)):
            alone = decode_operators(dense(), layout, depth, n)
            found = {time.operator: time.ideal_s for time in alone}
            for time in swept:
                whole = np.broadcast_to(time.ideal_s, (2, 3))[i, j]
                assert whole == pytest.approx(found.get(time.operator, 0.0), abs=1e-15)


@pytest.mark.parametrize(
    ("column", "wrong"),
    [("kernel", "other"), ("cache_type", "Q9"), ("head_dim", "0"), ("ns", "-1"), ("ns", "fast")],
)
def test_a_row_that_says_nothing_is_named(column: str, wrong: str) -> None:
    with pytest.raises(ProfileError, match="fused F16 64"):
        attention_effects(({**ROWS[0], column: wrong}, *ROWS[1:]))


def test_what_the_planner_ships_has_a_line_for_each_kernel_it_measured() -> None:
    found = {effect.name for effect in attention_effects(calibration_rows("llama_cpp_measured_attention"))}
    for operator in ATTENTION:
        assert {f"{operator} cpu llama.cpp", f"{operator} cpu llama.cpp plain"} <= found
    assert attention_effects(()) == ()

"""Steps on a processor alone: products as measured at a few numbers of tokens, beside reading, as FLOP and bytes allow."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.speed.device import SpeedDevice, cpu_device
from planner.speed.factors import Case, Factors
from planner.speed.fitting import Design
from planner.speed.operators import decode_operators, layout_on_one
from planner.speed.overlap import seen_share
from planner.speed.processor_products import processor_product_effects
from planner.speed.processor_steps import MEASURED_TOKENS, PRODUCTS, processor_products, shares
from planner.speed.sample import Sample
from planner.speed.setting import CURRENT, Setting
from planner.speed.work import ClassWeights, ModelWork
from profiles.loader import calibration_rows
from tests.planner.speed.cases import GPU, HOST, dense, mixture, weights

VNNI = ("avx2", "avx512f", "avx512bw", "avx512_vnni")
ROW = {
    "id": "a", "type": "Q4_K", "gflop_per_s": "250", "instruction_sets": ";".join(VNNI),
    "gflop_per_s_1": "100", "gflop_per_s_2": "100", "gflop_per_s_4": "200", "gflop_per_s_8": "220",
}  # fmt: skip
FACTORS = Factors(effects=processor_product_effects((ROW,)))
PACKAGED = Factors(effects=processor_product_effects(calibration_rows("llama_cpp_measured_products")))


def processor(n_threads: int, bytes_per_s: float = 1e15) -> SpeedDevice:
    found = cpu_device("some", bytes_per_s, n_threads, beside_gpu=False, instruction_sets=VNNI)
    return replace(found, memory_bytes_per_s=bytes_per_s)


def case(model: ModelWork, device: SpeedDevice, n_sequences: int = 1, setting: Setting = CURRENT) -> Case:
    layout = layout_on_one(device, len(model.layers))
    return Case(
        phase="decode", operators=decode_operators(model, layout, 0, n_sequences, setting=setting), layout=layout,
        setting=setting, model_key=model.key, architecture=model.architecture,
    )  # fmt: skip


def product_s(n_tokens: int, n_threads: int = 1, factors: Factors = FACTORS) -> float:
    """Seconds of products of 1e9 elements, with nothing to be read."""
    model = replace(dense(), layers=(), head=(weights(5e8),))
    found = case(model, processor(n_threads), n_tokens)
    took = zip(found.operators, factors.seconds(found), strict=True)
    return math.fsum(seconds for time, seconds in took if time.operator in PRODUCTS)


@pytest.mark.parametrize(("n_tokens", "gflop_per_s"), [(1, 100), (2, 100), (4, 200), (8, 220), (128, 250)])
def test_a_measured_number_of_tokens_takes_what_was_measured(n_tokens: int, gflop_per_s: float) -> None:
    # 1e9 elements are 2e9 FLOP a token: at 100 GFLOP/s 0.02 s for one.
    assert product_s(n_tokens) == pytest.approx(2 * n_tokens / gflop_per_s, rel=1e-6)


def test_between_two_measured_numbers_time_runs_on_a_line_and_beyond_the_last_in_proportion() -> None:
    assert shares(12) == (0, 0, 0, 0, 0, 0, 0, 0.5, 0.5, 0, 0)
    assert shares(256) == (0,) * 10 + (2,)
    assert product_s(512) == pytest.approx(4 * product_s(128))


@given(n=st.floats(1, 2000))
def test_shares_of_a_number_are_those_of_its_neighbours_and_arrays_broadcast(n: float) -> None:
    found = shares(n)
    assert math.fsum(share * k for share, k in zip(found, MEASURED_TOKENS, strict=True)) == pytest.approx(n)
    assert all(share >= 0 for share in found)
    assert sum(share > 0 for share in found) <= 2
    assert [float(one[0]) for one in shares(np.array([n]))] == pytest.approx(list(found), abs=1e-12)


@given(n=st.integers(1, 600), n_threads=st.integers(1, 64))
def test_threads_share_the_work_and_no_thread_beats_its_instructions(n: int, n_threads: int) -> None:
    one = product_s(n, 1, PACKAGED)
    assert product_s(n, n_threads, PACKAGED) == pytest.approx(one / n_threads)
    # 128 INT8 FLOP a cycle at 3.5 GHz, of which clocks and units twice as fast are allowed for.
    assert one >= 2e9 * n / (2 * 128 * 3.5e9)


@given(n=st.integers(1, 600))
def test_a_token_more_never_shortens_a_step_where_kernels_stay(n: int) -> None:
    """Tiles begin at 8 tokens, and four at once are taken by another kernel: there time may fall, as was measured."""
    if n + 1 not in (4, 8):
        assert product_s(n + 1) >= product_s(n)


def test_reading_and_products_together_take_the_longer_nearly() -> None:
    # 3 and 4 s: (27 + 64)^(1/3) = 4.498 s, of which reading is seen for 27 / 91 and products for 64 / 91.
    together = 3 * seen_share(3.0, 4.0) + 4 * seen_share(4.0, 3.0)
    assert together == pytest.approx(91 ** (1 / 3))
    assert 3 * seen_share(3.0, 4.0) == pytest.approx(together * 27 / 91)
    assert seen_share(5.0, 0.0) == pytest.approx(1.0)
    assert seen_share(0.0, 5.0) == 0.0


@given(reading=st.floats(1e-9, 1e3), products=st.floats(1e-9, 1e3))
def test_together_no_less_than_either_and_no_more_than_both(reading: float, products: float) -> None:
    together = reading * seen_share(reading, products) + products * seen_share(products, reading)
    assert max(reading, products) * (1 - 1e-9) <= together <= (reading + products) * (1 + 1e-9)


def test_experts_without_tiles_are_multiplied_token_by_token() -> None:
    experts = ClassWeights(
        type_class="Q4_K", is_expert=True, active_fraction=1 / 8, n_bytes=5e8, n_elements=1e9, n_experts=8
    )
    found = dict(processor_products(experts, processor(1), 16))
    # 16 tokens meet 2 of 16 parts each: 2 · 1e9 / 8 · 16 FLOP at 48 FLOP a cycle and 3.5 GHz.
    assert found == {"product_1": pytest.approx(2 * 1e9 / 8 * 16 / 168e9)}
    in_tiles = dict(processor_products(replace(experts, type_class="Q6_K"), processor(1), 16))
    assert set(in_tiles) <= set(PRODUCTS)
    assert math.fsum(in_tiles.values()) > 0


def test_a_fork_and_a_processor_beside_a_gpu_keep_their_own_operators() -> None:
    fork = case(dense(), processor(4), setting=Setting(engine="ik_llama.cpp"))
    beside = case(dense(), HOST)
    for found in (fork, beside, case(mixture(), GPU)):
        assert not any(time.operator in PRODUCTS for time in found.operators)
        assert any(time.operator == "unpack" for time in found.operators)


def test_a_fit_sees_the_same_seconds_and_how_they_move() -> None:
    """What benchmarks here teach goes through the fit's arrays, which must overlap as estimates do."""
    found = case(dense(), processor(2, 50e9))
    sample = Sample(case=found, measured_s=1.0, cell="one", device="some")
    design = Design([sample])
    values = design.values_from({effect.name: effect.value for effect in FACTORS.effects})
    assert math.exp(design.log_seconds(values)[0]) == pytest.approx(math.fsum(FACTORS.seconds(found)))
    _, slope = design.jacobian(values)
    for index in range(len(values)):
        moved = values.copy()
        moved[index] += 1e-6
        change = (design.log_seconds(moved) - design.log_seconds(values))[0] / 1e-6
        assert slope[0, index] == pytest.approx(change, abs=1e-5)


def test_unpacking_bounds_what_memory_would_allow() -> None:
    """Q4_1 has no kernel for eight rows: one thread reads 18 GB/s of it from memory that brings 36."""
    model = replace(dense(), layers=(), head=(replace(weights(0.625e9), type_class="Q4_1", n_elements=1e9),))
    fast, slow = (math.fsum(PACKAGED.seconds(case(model, processor(1, rate)))) for rate in (36e9, 1e15))
    assert slow <= fast < 1.35 * slow

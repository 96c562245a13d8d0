"""Products of llama.cpp itself on a processor take as long as was measured, by type and instruction set."""

import pytest

from planner.speed.device import SpeedDevice, cpu_device
from planner.speed.factors import Case, Effect, Factors
from planner.speed.operator_time import OperatorTime
from planner.speed.operators import HOST, layout_on_one
from planner.speed.processor_products import processor_product_effects
from planner.speed.setting import Setting
from profiles.errors import ProfileError
from profiles.loader import calibration_rows

VNNI = ("avx2", "avx512f", "avx512bw", "avx512_vnni")
ROWS = (
    {"id": "a", "type": "Q4_K", "gflop_per_s": "200", "instruction_sets": ";".join(VNNI)},
    {"id": "b", "type": "Q6_K", "gflop_per_s": "50", "instruction_sets": ";".join(VNNI)},
)
EFFECTS = processor_product_effects(ROWS)


def rate(
    type_class: str,
    device: SpeedDevice,
    engine: str = "llama.cpp",
    effects: tuple[Effect, ...] = EFFECTS,
) -> float:
    """FLOP per second of one second's worth of ideal products."""
    time = OperatorTime(device=HOST, operator="multiply", type_class=type_class, ideal_s=1.0)
    case = Case(
        phase="prefill", operators=(time,), layout=layout_on_one(device, 1), model_key="", architecture="",
        setting=Setting(engine="ik_llama.cpp" if engine.startswith("ik") else "llama.cpp"),
    )  # fmt: skip
    return device.matrix_flop_per_s / float(sum(Factors(effects=effects).seconds(case)))


def device(n_threads: int, instructions: tuple[str, ...] = VNNI) -> SpeedDevice:
    return cpu_device("some", 50e9, n_threads, beside_gpu=False, instruction_sets=instructions)


def test_what_was_measured_comes_out_again_for_every_thread() -> None:
    assert rate("Q4_K", device(1)) == pytest.approx(200e9)
    assert rate("Q6_K", device(4)) == pytest.approx(4 * 50e9)


def test_a_type_that_nobody_measured_takes_what_its_kernel_does() -> None:
    # Q6_K is unpacked into tiles and so is Q5_K; Q4_0 lies interleaved as Q4_K does.
    assert rate("Q5_K", device(1)) == pytest.approx(50e9)
    assert rate("Q4_0", device(1)) == pytest.approx(200e9)


def test_a_kernel_that_nobody_measured_lies_between() -> None:
    assert 50e9 < rate("Q5_0", device(1)) < 200e9


def test_instructions_that_nobody_measured_are_slower_by_their_peak() -> None:
    # 43 INT8 FLOP a cycle with AVX2 against 128 with AVX-512 VNNI (planner/speed/device.py).
    assert rate("Q4_K", device(1, ("avx2",))) == pytest.approx(200e9 * 43 / 128)


def test_a_type_is_as_fast_as_measured_with_each_set_of_instructions() -> None:
    with_both = processor_product_effects(
        (*ROWS, {"id": "c", "type": "Q4_K", "gflop_per_s": "120", "instruction_sets": "avx2"})
    )
    assert rate("Q4_K", device(1), effects=with_both) == pytest.approx(200e9)
    assert rate("Q4_K", device(1, ("avx2",)), effects=with_both) == pytest.approx(120e9)


def test_attention_is_measured_beside_products() -> None:
    # 48 FLOP a cycle of FP32 at 3.5 GHz are 168 GFLOP/s, of which 60 are reached.
    row = {"id": "f", "type": "attention", "gflop_per_s": "60", "instruction_sets": ";".join(VNNI)}
    time = OperatorTime(device=HOST, operator="attention", type_class="", ideal_s=1.0)
    case = Case(
        phase="prefill", operators=(time,), layout=layout_on_one(device(1), 1), model_key="", architecture="",
        setting=Setting(),
    )  # fmt: skip
    factors = Factors(effects=processor_product_effects((row,)))
    assert float(sum(factors.seconds(case))) == pytest.approx(168 / 60)


def test_old_types_are_told_apart_in_what_the_planner_ships() -> None:
    """Q4_0 has a kernel for eight rows at once, Q4_1 none: five times slower on one thread of AVX-512 VNNI."""
    effects = processor_product_effects(calibration_rows("llama_cpp_measured_products"))
    four = {name: rate(name, device(1), effects=effects) for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1")}
    assert four["Q4_0"] > 4 * four["Q4_1"]
    assert four["Q5_0"] > 1.5 * four["Q5_1"]


def test_the_fork_has_kernels_of_its_own() -> None:
    assert rate("Q6_K", device(1), "ik_llama.cpp") != pytest.approx(50e9, rel=0.1)


@pytest.mark.parametrize("wrong", ["", "0", "-3", "fast"])
def test_a_row_that_is_no_rate_is_named(wrong: str) -> None:
    with pytest.raises(ProfileError, match="'a'"):
        processor_product_effects(({**ROWS[0], "gflop_per_s": wrong},))


def test_no_rows_no_effects() -> None:
    assert processor_product_effects(()) == ()

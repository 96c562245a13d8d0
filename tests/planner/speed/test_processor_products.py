"""Products of llama.cpp itself on a processor take as long as was measured, by type and instruction set."""

import pytest

from planner.speed.device import SpeedDevice, cpu_device
from planner.speed.factors import Case, Factors
from planner.speed.operator_time import OperatorTime
from planner.speed.operators import HOST, layout_on_one
from planner.speed.processor_products import processor_product_effects
from planner.speed.setting import Setting
from profiles.errors import ProfileError

VNNI = ("avx2", "avx512f", "avx512bw", "avx512_vnni")
ROWS = (
    {"id": "a", "type": "Q4_K", "gflop_per_s": "200", "instruction_sets": ";".join(VNNI)},
    {"id": "b", "type": "Q6_K", "gflop_per_s": "50", "instruction_sets": ";".join(VNNI)},
)
FACTORS = Factors(effects=processor_product_effects(ROWS))


def rate(type_class: str, device: SpeedDevice, engine: str = "llama.cpp") -> float:
    """FLOP per second of one second's worth of ideal products."""
    time = OperatorTime(device=HOST, operator="multiply", type_class=type_class, ideal_s=1.0)
    case = Case(
        phase="prefill", operators=(time,), layout=layout_on_one(device, 1), model_key="", architecture="",
        setting=Setting(engine="ik_llama.cpp" if engine.startswith("ik") else "llama.cpp"),
    )  # fmt: skip
    return device.matrix_flop_per_s / float(sum(FACTORS.seconds(case)))


def device(n_threads: int, instructions: tuple[str, ...] = VNNI) -> SpeedDevice:
    return cpu_device("some", 50e9, n_threads, beside_gpu=False, instruction_sets=instructions)


def test_what_was_measured_comes_out_again_for_every_thread() -> None:
    assert rate("Q4_K", device(1)) == pytest.approx(200e9)
    assert rate("Q6_K", device(4)) == pytest.approx(4 * 50e9)


def test_a_type_that_nobody_measured_lies_between() -> None:
    assert 50e9 < rate("Q5_K", device(1)) < 200e9


def test_lesser_instructions_are_slower_by_their_peak() -> None:
    # 43 INT8 FLOP a cycle with AVX2 against 128 with AVX-512 VNNI (planner/speed/device.py).
    assert rate("Q4_K", device(1, ("avx2",))) == pytest.approx(200e9 * 43 / 128)


def test_the_fork_has_kernels_of_its_own() -> None:
    assert rate("Q6_K", device(1), "ik_llama.cpp") != pytest.approx(50e9, rel=0.1)


@pytest.mark.parametrize("wrong", ["", "0", "-3", "fast"])
def test_a_row_that_is_no_rate_is_named(wrong: str) -> None:
    with pytest.raises(ProfileError, match="'a'"):
        processor_product_effects(({**ROWS[0], "gflop_per_s": wrong},))


def test_no_rows_no_effects() -> None:
    assert processor_product_effects(()) == ()

"""Steps of several tokens: what hides behind reading, and a fit that finds again what made the times."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.speed.batched import VECTOR_TOKENS, seen_seconds
from planner.speed.batched_fit import MeasuredStep, fit_batched, with_effects
from planner.speed.effects import least_factor
from planner.speed.factors import Case, Effect, Factors
from planner.speed.operators import decode_operators, layout_on_one
from planner.speed.setting import CURRENT
from tests.planner.speed.cases import GPU, dense, mixture

NOTHING_FITTED = Factors(effects=())


def case(n_sequences: int, n_new_tokens: int = 1, *, depth: int = 0, experts: bool = False) -> Case:
    model = mixture() if experts else dense()
    layout = layout_on_one(GPU, 4)
    return Case(
        phase="decode", operators=decode_operators(model, layout, depth, n_sequences, n_new_tokens), layout=layout,
        setting=CURRENT, model_key=model.key, architecture=model.architecture,
    )  # fmt: skip


def test_columns_hide_behind_reading_until_they_take_longer() -> None:
    # Reading of 3 s and columns of 4 s take 5 s together: the columns are seen for 2 s of their 4.
    keys = [(0, "read"), (0, "columns"), (1, "columns"), (1, "read"), (0, "launch")]
    assert seen_seconds(keys, [3.0, 4.0, 4.0, 3.0, 1.0]) == pytest.approx((3.0, 2.0, 2.0, 3.0, 1.0))


def test_attention_of_a_prompt_has_nothing_to_hide_behind() -> None:
    assert seen_seconds([(0, "batch_read"), (0, "attention")], [3.0, 4.0]) == (3.0, 4.0)


def test_arrays_hide_as_numbers_do_and_nothing_divides_by_zero() -> None:
    (read, columns) = seen_seconds(
        [(0, "read"), (0, "columns")], [np.array([3.0, 0.0]), np.array([4.0, 0.0])]
    )
    assert read.tolist() == [3.0, 0.0]
    assert columns == pytest.approx([2.0, 0.0])


@given(n=st.integers(2, VECTOR_TOKENS), depth=st.integers(0, 50_000))
def test_a_token_more_never_makes_a_vector_step_faster_nor_dearer_than_its_own(n: int, depth: int) -> None:
    def seconds(n_tokens: int) -> float:
        return math.fsum(NOTHING_FITTED.seconds(case(n_tokens, depth=depth)))

    assert seconds(n - 1) < seconds(n)
    assert seconds(n) / n < seconds(n - 1) / (n - 1)


@given(n=st.integers(1, 64))
def test_no_step_beats_the_fastest_number_type(n: int) -> None:
    # 4.2 GB are 8.4e9 elements; the fastest type does 200 TFLOP/s (a least factor of 0.5 at 100).
    assert math.fsum(NOTHING_FITTED.seconds(case(n))) > n * 2 * 8.4e9 / 200e12
    assert least_factor("columns", GPU) == pytest.approx(0.5)


def test_a_fit_finds_the_factor_that_made_the_times() -> None:
    true = with_effects(
        NOTHING_FITTED, [Effect(name="columns", level="operator", value=0.9, n_measurements=0, n_devices=0)]
    )
    steps = [
        MeasuredStep(
            case=case(n, experts=experts), n_tokens=n, measured_s=math.fsum(true.seconds(case(n, experts=experts))),
            series=f"s{experts}", cell=f"c{experts}", device=device, has_experts=experts,
        )
        for device, experts in (("a", False), ("b", True))
        for n in (1, 2, 4, 8, 16)
    ]  # fmt: skip
    found = fit_batched(steps, NOTHING_FITTED)
    effects = {effect.name: effect.value for effect in found.effects}
    # One series: all of it is the base, nothing is left for its type.
    assert effects["columns"] == effects["columns_experts"] == pytest.approx(0.9, abs=1e-6)
    assert effects["type-columns Q4_K"] == pytest.approx(0.0, abs=1e-6)
    # Left out, the device is predicted by where fitting begins: slower columns than true ones read as faster here.
    left_out = [ratio for step, ratio in found.residuals if step.device == "a" and step.n_tokens == 8]
    assert left_out[0] < 0
    assert {spread.speed_class for spread in found.spreads} == {"dense_batch", "moe_batch"}
    assert all(step.n_tokens > 1 for step, _ in found.residuals)

"""From ideal to expected seconds: bounds that no fit may break, and what an unmeasured device falls back on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.speed.effects import Level, least_factor
from planner.speed.factors import Case, Effect, Factors
from planner.speed.operator_facts import OPERATORS
from planner.speed.operators import decode_operators, layout_on_one, prefill_operators
from planner.speed.setting import Setting
from tests.planner.speed.cases import GPU, dense, mixture


def case(device: object = GPU, **changes: object) -> Case:
    assert device is GPU or device is not None
    layout = layout_on_one(device, 4)  # type: ignore[arg-type]
    found = Case(
        phase="decode", operators=decode_operators(dense(), layout, 0), layout=layout, setting=Setting(),
        model_key="test 1.00", architecture="test",
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


def effect(name: str, level: Level, value: float) -> Effect:
    return Effect(name=name, level=level, value=value, n_measurements=10, n_devices=2)


def test_effects_add_up_from_general_to_special() -> None:
    general = Factors(effects=(effect("launch", "operator", 0.3),))
    special = Factors(effects=(*general.effects, effect("launch cuda Ada/gddr", "family", 0.2)))
    launch = next(time for time in case().operators if time.operator == "launch")
    ratio = special.factor(case(), launch) / general.factor(case(), launch)
    assert ratio == pytest.approx(2.718281828**0.2)
    # A card of another family keeps what is general, and only that.
    other = replace(GPU, architecture="Turing", key="other")
    assert special.factor(case(other), launch) == general.factor(case(other), launch)


@given(value=st.floats(-50, 50), stretch=st.floats(-3, 3))
def test_nothing_beats_the_peak(value: float, stretch: float) -> None:
    effects = [effect(name, "operator", value) for name in OPERATORS]
    factors = Factors(effects=(*effects, effect("model-decode test 1.00", "model", stretch)))
    for found in (case(), case(operators=prefill_operators(dense(), layout_on_one(GPU, 4), 512))):
        for time, seconds in zip(found.operators, factors.seconds(found), strict=True):
            assert seconds >= time.ideal_s * least_factor(time.operator, GPU) * (1 - 1e-12)


@given(share=st.floats(1.0, 10.0))
def test_more_bandwidth_is_never_slower(share: float) -> None:
    factors = Factors(effects=(effect("read cuda", "backend", 0.4),))
    faster = replace(GPU, memory_bytes_per_s=GPU.memory_bytes_per_s * share)
    assert sum(factors.seconds(case(faster))) <= sum(factors.seconds(case())) * (1 + 1e-12)


def test_what_was_measured_is_known_by_phase_backend_and_device() -> None:
    factors = Factors(
        effects=(
            effect("all-memory-decode cuda card", "device", 0.0),
            effect("model-decode test 1.00", "model", 0.0),
        )
    )
    assert factors.knows_device(case())
    assert factors.knows_model(case())
    assert not factors.knows_device(case(replace(GPU, backend="vulkan")))
    assert not factors.knows_device(case(phase="prefill"))
    assert not factors.knows_model(case(model_key="test 2.00"))


def test_a_mixtures_products_on_a_gpu_are_as_slow_as_a_dense_models_kernel() -> None:
    # One kernel multiplies both: a family whose dense prompts were measured says what its mixtures' prompts take.
    layout = layout_on_one(GPU, 4)
    asked = case(phase="prefill", operators=prefill_operators(mixture(), layout, 512))
    known = Factors(effects=(effect("multiply cuda Ada/gddr", "family", 0.5),))
    experts = next(time for time in asked.operators if time.operator == "multiply_experts")
    ratio = known.factor(asked, experts) - GPU.least_matrix_fraction
    assert ratio / (Factors(effects=()).factor(asked, experts) - GPU.least_matrix_fraction) == pytest.approx(
        2.718281828**0.5
    )


def test_what_processors_reach_in_reading_says_nothing_of_gpus() -> None:
    factors = Factors(effects=(effect("read_experts processor", "operator", 1.0),))
    for device, is_moved in (
        (GPU, False),
        (replace(GPU, kind="cpu", backend="cpu", key="some cpu", widened_flop_per_s=1e12), True),
    ):
        asked = case(device, operators=decode_operators(mixture(), layout_on_one(device, 4), 0))
        experts = next(time for time in asked.operators if time.operator == "read_experts")
        assert (factors.factor(asked, experts) > Factors(effects=()).factor(asked, experts)) is is_moved

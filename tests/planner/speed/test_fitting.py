"""A fit finds the factors that made its measurements, and keeps unmeasured devices near their family."""

import math
from dataclasses import replace

import numpy as np
import pytest

from planner.speed.cross_validation import folds_of
from planner.speed.device import SpeedDevice
from planner.speed.effects import least_factor
from planner.speed.factors import Case
from planner.speed.fitting import cell_weights, fit_effects, log_seconds
from planner.speed.held_out import fits_without, unseen
from planner.speed.operators import decode_operators, layout_on_one
from planner.speed.sample import Sample
from planner.speed.setting import Setting
from tests.planner.speed.cases import GPU, dense


def sample(device: SpeedDevice, layer_bytes: float, slowness: float = 1.4, launch: float = 3.0) -> Sample:
    """A measurement of a made-up device: reading at `slowness`, launches of `launch` µs, the rest ideal."""
    model = dense(layer_bytes=layer_bytes)
    layout = layout_on_one(device, 4)
    operators = decode_operators(model, layout, 0)
    seconds = sum(
        time.ideal_s
        * {"read": slowness, "launch": launch}.get(time.operator, least_factor(time.operator, device))
        for time in operators
    )
    return Sample(
        case=Case(
            phase="decode", operators=operators, layout=layout, setting=Setting(),
            model_key=f"test {layer_bytes / 1e9:.2f}", architecture="test",
        ),
        measured_s=seconds, cell=f"{device.key} {layer_bytes}", device=device.key,
    )  # fmt: skip


CARDS = [
    replace(GPU, key=f"card-{i}", memory_bytes_per_s=rate)
    for i, rate in enumerate((3e11, 5e11, 8e11, 1.2e12))
]
SIZES = (1e7, 1e8, 3e8, 1e9, 2e9)
SAMPLES = [sample(card, size) for card in CARDS for size in SIZES]


def test_a_fit_explains_its_measurements() -> None:
    fit = fit_effects(SAMPLES)
    errors = log_seconds(SAMPLES, fit) - np.log([one.measured_s for one in SAMPLES])
    assert float(np.abs(errors).max()) < 0.03


def test_an_unmeasured_device_of_the_family_gets_what_the_family_has() -> None:
    fit = fit_effects(SAMPLES)
    new = sample(replace(GPU, key="new", memory_bytes_per_s=6e11), 5e8)
    assert math.exp(float(log_seconds([new], fit)[0])) == pytest.approx(new.measured_s, rel=0.05)


def test_one_broken_row_does_not_bend_the_rest() -> None:
    broken = replace(SAMPLES[7], measured_s=SAMPLES[7].measured_s * 10)
    fit = fit_effects([*SAMPLES[:7], broken, *SAMPLES[8:]])
    rest = [*SAMPLES[:7], *SAMPLES[8:]]
    errors = log_seconds(rest, fit) - np.log([one.measured_s for one in rest])
    assert float(np.median(np.abs(errors))) < 0.05


def test_a_cell_of_many_rows_weighs_little_more_than_one_of_few() -> None:
    weights = cell_weights([SAMPLES[0], *[SAMPLES[1]] * 30])
    # 30 rows weigh 1 / (1 + 29 · 0.6) each, 1.63 together.
    assert weights[0] == 1
    assert float(weights[1:].sum()) == pytest.approx(30 / 18.4)


def test_a_held_out_prediction_has_not_seen_its_device() -> None:
    fit = fit_effects(SAMPLES)
    guesses = unseen(SAMPLES, fits_without(SAMPLES, fit, "device"), "device")
    assert len(guesses) == len(SAMPLES)
    assert {guess.knowledge for guess in guesses} <= {"model", "neither"}
    folds = {one.device: guess.fold for one, guess in zip(SAMPLES, guesses, strict=True)}
    assert len(set(folds.values())) == len(CARDS)  # few devices, so each alone


def test_large_groups_are_left_out_alone() -> None:
    keys = ["large"] * 5 + ["medium"] * 3 + ["a", "b", "c"]
    folds = folds_of(keys, 2, 2)
    assert set(folds[:5]) == {0}
    assert set(folds[5:8]) == {1}
    assert set(folds[8:]) <= {2, 3}
    assert folds_of(keys[::-1], 2, 2) == folds[::-1]

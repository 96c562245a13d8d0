"""A few measurements of one's own move what is one's own, and leave what thousands agree on."""

import math
from dataclasses import replace

import pytest

from planner.speed.factors import Effect, Factors
from planner.speed.fitting import fit_effects, log_seconds
from planner.speed.sample import Sample
from planner.speed.updating import updated
from tests.planner.speed.test_fitting import CARDS, sample

SIZES = (0.2e9, 0.5e9, 1.0e9, 2.0e9)
KNOWN = fit_effects([sample(card, size) for card in CARDS for size in SIZES])
SLOW = replace(CARDS[0], key="slow card")


def error(effects: tuple[Effect, ...], asked: Sample) -> float:
    """Log of measured over expected time."""
    return math.log(asked.measured_s / sum(Factors(effects=effects).seconds(asked.case)))


def test_one_model_measured_on_a_new_device_helps_the_others() -> None:
    # A card that reads 40 % slower than all others of its family.
    measured = [sample(SLOW, 0.5e9, slowness=2.0)]
    other = sample(SLOW, 2.0e9, slowness=2.0)
    before, after = error(KNOWN.effects, other), error(updated(KNOWN.effects, measured), other)
    assert before > 0.25
    assert abs(after) < before / 2


def test_what_many_measured_moves_little_for_a_device_of_ones_own() -> None:
    taught = updated(KNOWN.effects, [sample(SLOW, 0.5e9, slowness=2.0)])
    for card in CARDS:
        asked = sample(card, 1.0e9)
        assert abs(error(taught, asked) - error(KNOWN.effects, asked)) < 0.05  # of 0.36


def test_a_known_device_may_differ_from_others_of_its_name() -> None:
    # The owner's card runs at three quarters of the speed of the same card elsewhere.
    slower = [sample(CARDS[0], size, slowness=1.4 / 0.75) for size in SIZES[:2]]
    asked = sample(CARDS[0], SIZES[3], slowness=1.4 / 0.75)
    before, after = error(KNOWN.effects, asked), error(updated(KNOWN.effects, slower), asked)
    assert 0 < after < 0.7 * before


def test_measurements_as_expected_change_nothing() -> None:
    asked = sample(CARDS[1], 0.7e9)
    expected_s = math.exp(float(log_seconds([asked], KNOWN)[0]))
    taught = updated(KNOWN.effects, [replace(asked, measured_s=expected_s)])
    before = {effect.name: effect.value for effect in KNOWN.effects}
    for effect in taught:
        assert effect.value == pytest.approx(before.get(effect.name, 0.0), abs=1e-6)


def test_every_effect_stays_and_new_ones_join() -> None:
    taught = updated(KNOWN.effects, [sample(SLOW, 0.5e9)])
    names = [effect.name for effect in taught]
    assert len(names) == len(set(names))
    assert set(names) > {effect.name for effect in KNOWN.effects}
    assert any("slow card" in name for name in names)


def test_a_fit_is_surer_of_what_more_measurements_say() -> None:
    few = fit_effects([sample(card, 0.5e9) for card in CARDS[:2]])
    sd = {effect.name: effect.sd for effect in few.effects}
    for effect in KNOWN.effects:
        if effect.name in sd:
            assert effect.sd is not None
            assert effect.sd <= (sd[effect.name] or 0.0) + 1e-12

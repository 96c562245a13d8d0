"""Intervals reach further for what is not known, and hold on held-out predictions that had no say in them."""

import random
from dataclasses import replace

import numpy as np
import pytest

from planner.speed.intervals import Doubt, Spread, choose_spread
from planner.speed.widening import Miss, Misses

SLOPES = {"machine": 2.0, "model": 1.0}


def misses(n: int, speed_class: str = "dense_decode", seed: int = 1, stray: float = 0.05) -> list[Miss]:
    """Predictions in 8 folds by device; each strays by `stray` and by what its doubts call for, each in its own size."""
    noise = random.Random(seed)
    found = []
    for i in range(n):
        machine, model = noise.choice((0.0, 0.1, 0.2)), noise.choice((0.0, 0.13))
        sd = stray + SLOPES["machine"] * machine + SLOPES["model"] * model
        found.append(
            Miss(
                speed_class=speed_class, knowledge="both", group=f"{speed_class} {i}", held_out="device",
                folds={"device": i % 8}, unit=f"device {i}", log_ratio=noise.gauss(0, sd),
                doubt=Doubt(machine=machine, model=model, known=0.0),
            )
        )  # fmt: skip
    return found


def spread_of(found: tuple[Spread, ...], name: str = "dense_decode") -> Spread:
    spread = choose_spread(found, name, "both")
    assert spread is not None
    return spread


def inside(spread: Spread, several: list[Miss]) -> float:
    held = 0
    for miss in several:
        low, high = spread.ratios(miss.doubt)
        held += low <= np.exp(miss.log_ratio) <= high
    return held / len(several)


def test_four_of_five_hold_for_every_doubt_on_new_predictions() -> None:
    spread = spread_of(Misses(misses(1500)).spreads())
    fresh = misses(6000, seed=2)
    assert inside(spread, fresh) == pytest.approx(0.8, abs=0.03)
    for machine in (0.0, 0.1, 0.2):
        some = [miss for miss in fresh if miss.doubt.machine == machine]
        assert inside(spread, some) == pytest.approx(0.8, abs=0.05)
    assert spread.faster is not None
    # A normal distribution's decile lies 1.28 standard deviations out.
    assert spread.faster.machine == pytest.approx(1.28 * SLOPES["machine"], rel=0.15)


def test_held_out_predictions_never_widen_their_own_bounds() -> None:
    several = misses(400)
    before = Misses(several).unseen_bounds()
    # One fold's predictions all go astray: others' bounds widen, its own do not.
    astray = [
        replace(miss, log_ratio=miss.log_ratio * 20) if miss.folds["device"] == 3 else miss
        for miss in several
    ]
    after = Misses(astray).unseen_bounds()
    for miss, one, other in zip(several, before, after, strict=True):
        if miss.folds["device"] == 3:
            assert other[1] / other[0] <= 1.001 * one[1] / one[0]
        else:
            assert other[1] / other[0] > one[1] / one[0]


def test_a_group_counts_once_however_many_rows_it_has() -> None:
    several = misses(200)
    often = [replace(several[0], log_ratio=5.0)] * 2000
    usual, with_many = spread_of(Misses(several).spreads()), spread_of(Misses(several + often).spreads())
    assert with_many.high_ratio < 1.2 * usual.high_ratio


def test_a_class_with_few_groups_borrows_from_the_others() -> None:
    # Three groups cannot tell what a machine nobody measured costs; 600 of another class do.
    few = [replace(miss, doubt=Doubt(machine=0.0, model=0.0, known=0.0)) for miss in misses(3, "moe_decode")]
    found = spread_of(Misses([*misses(600), *few]).spreads(), "moe_decode")
    assert found.slower is not None
    assert found.slower.machine > 1


def test_one_sided_misses_make_one_sided_bounds() -> None:
    faster = [replace(miss, log_ratio=abs(miss.log_ratio)) for miss in misses(500)]
    low, high = spread_of(Misses(faster).spreads()).ratios(Doubt(machine=0.1, model=0.0, known=0.0))
    assert low > 0.97
    assert high > 1.2


def test_fitted_widenings_are_stretched_to_what_other_folds_ask_for() -> None:
    fitted = Misses(misses(600)).spreads()
    twice = [replace(miss, log_ratio=2 * miss.log_ratio) for miss in misses(600, seed=3)]
    bounds = Misses(twice, fitted).unseen_bounds()
    held = [low <= np.exp(miss.log_ratio) <= high for miss, (low, high) in zip(twice, bounds, strict=True)]
    assert sum(held) / len(held) == pytest.approx(0.8, abs=0.05)
    # A class that nothing was fitted for gets what its own predictions ask for.
    batches = [replace(miss, speed_class="dense_batch") for miss in twice]
    bounds = Misses(batches, fitted).unseen_bounds()
    held = [low <= np.exp(miss.log_ratio) <= high for miss, (low, high) in zip(twice, bounds, strict=True)]
    assert sum(held) / len(held) == pytest.approx(0.8, abs=0.05)


def test_predictions_that_know_more_are_stretched_apart() -> None:
    # One doubt, but predictions that lack the device stray three times as far: what they ask for is theirs alone.
    both = misses(800)
    lacking = [
        replace(miss, knowledge="model", group=f"new {miss.group}", log_ratio=3 * miss.log_ratio)
        for miss in misses(800, seed=4)
    ]
    every = [*both, *lacking]
    bounds = Misses(every).unseen_bounds()
    held = [low <= np.exp(miss.log_ratio) <= high for miss, (low, high) in zip(every, bounds, strict=True)]
    assert sum(held[:800]) / 800 == pytest.approx(0.8, abs=0.04)
    assert sum(held[800:]) / 800 == pytest.approx(0.8, abs=0.04)


def test_a_state_with_too_few_predictions_is_stretched_as_all_are() -> None:
    # Of three groups none can be the one in five that lies outside.
    few = [replace(miss, knowledge="device", group=f"few {miss.group}") for miss in misses(3, seed=5)]
    found = Misses([*misses(400), *few]).spreads()
    own = choose_spread(found, "dense_decode", "device")
    assert own is not None
    assert own.slower is not None
    usual = spread_of(found)
    assert usual.slower is not None
    assert own.slower.machine == pytest.approx(usual.slower.machine, rel=0.05)

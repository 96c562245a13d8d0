"""Bounds follow what is not known of a case, one by one or for arrays of cases."""

import math

import numpy as np
import pytest

from planner.speed.intervals import Doubt, Spread, Widening, knowledge

SPREAD = Spread(
    speed_class="dense_decode", knowledge="both", low_ratio=0.9, high_ratio=1.1, n_groups=20, n_rows=90,
    slower=Widening(least=0.05, machine=1.0, model=2.0, known=0.5),
    faster=Widening(least=0.02, machine=0.0, model=1.0, known=1.0),
)  # fmt: skip


def test_bounds_lie_out_by_the_sum_of_what_is_open() -> None:
    low, high = SPREAD.ratios(Doubt(machine=0.2, model=0.1, known=0.06))
    # Slower by 0.05 + 1 · 0.2 + 2 · 0.1 + 0.5 · 0.06 = 0.48, faster by 0.02 + 0 + 0.1 + 0.06 = 0.18.
    assert math.log(low) == pytest.approx(-0.48)
    assert math.log(high) == pytest.approx(0.18)


def test_arrays_of_doubts_give_what_each_gives_alone() -> None:
    machine = np.array([0.0, 0.1, 0.3])
    low, high = SPREAD.ratios(Doubt(machine=machine, model=0.1, known=0.02))
    each = [SPREAD.ratios(Doubt(machine=value, model=0.1, known=0.02)) for value in machine.tolist()]
    assert low == pytest.approx([one for one, _ in each])
    assert high == pytest.approx([one for _, one in each])
    assert list(low) == sorted(low, reverse=True)


@pytest.mark.parametrize(
    ("device", "model", "name"),
    [(True, True, "both"), (True, False, "device"), (False, True, "model"), (False, False, "neither")],
)
def test_knowledge_says_what_was_measured(device: bool, model: bool, name: str) -> None:
    assert knowledge(device=device, model=model) == name

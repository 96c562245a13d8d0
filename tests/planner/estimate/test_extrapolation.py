"""From shallow files to the whole network: exact on a straight line, wide when noisy."""

import math
import random

import pytest

from planner.estimate.extrapolation import METHOD_SPREAD, ShallowTimes, TooNoisyError, extrapolated_seconds


def times(work: float, *samples_s: float) -> ShallowTimes:
    return ShallowTimes(work=work, samples_s=samples_s)


def test_a_straight_line_is_found_exactly() -> None:
    # 0.5 s outside the layers and 0.1 s per unit: 10 units take 1.5 s.
    found = extrapolated_seconds(times(2, *[0.7] * 8), times(5, *[1.0] * 8), 10, "decode")
    assert found.expected == pytest.approx(1.5)
    assert found.low < 1.5 < found.high
    assert "synthetic" in found.source


def test_without_noise_only_the_method_is_uncertain() -> None:
    found = extrapolated_seconds(times(2, *[0.7] * 8), times(5, *[1.0] * 8), 10, "prefill")
    assert found.high / found.expected == pytest.approx(math.exp(METHOD_SPREAD["prefill"]))


def test_a_handful_of_rounds_is_not_trusted() -> None:
    # Two rounds that agree may both lie in one slow phase: a fifth either way, beside the method's own error.
    found = extrapolated_seconds(times(2, 0.7, 0.7), times(5, 1.0, 1.0), 10, "decode")
    assert found.high / found.expected == pytest.approx(math.exp(math.hypot(METHOD_SPREAD["decode"], 0.2)))


def test_noise_widens_the_interval_and_more_the_farther_the_whole_is() -> None:
    chance = random.Random(5)
    few = [0.7 * chance.uniform(1, 1.3) for _ in range(12)]
    deep = [1.0 * chance.uniform(1, 1.3) for _ in range(12)]

    def width(work: float) -> float:
        found = extrapolated_seconds(times(2, *few), times(5, *deep), work, "decode")
        return found.high / found.low

    assert 1.13 < width(10) < width(40)


def test_a_slow_phase_that_met_both_files_cancels() -> None:
    # Half of the rounds ran at half the speed: the lower quartile is that of the fast half.
    few, deep = [0.7, 1.4] * 6, [1.0, 2.0] * 6
    found = extrapolated_seconds(times(2, *few), times(5, *deep), 10, "decode")
    assert found.expected == pytest.approx(1.5)


def test_more_layers_that_took_no_longer_say_nothing() -> None:
    with pytest.raises(TooNoisyError):
        extrapolated_seconds(times(2, 1.0, 1.1), times(5, 1.0, 0.9), 10, "decode")

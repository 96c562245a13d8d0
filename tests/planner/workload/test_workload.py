"""The record of a workload: what it refuses, and what follows from its profiles."""

import pytest

from planner.workload.lengths import parse_lengths
from planner.workload.workload import Objective, Traffic


def test_the_mean_of_a_log_normal_length_lies_above_its_median() -> None:
    # median 100, sigma 1: the mean is 100 · e^½ = 164.87
    assert parse_lengths("lognormal:100:1").mean == pytest.approx(164.872, abs=1e-3)
    assert parse_lengths("256-1024").mean == 640


def test_the_busiest_hour_of_the_busiest_day_sets_the_peak() -> None:
    # One hour of 24 with weight 2 and the rest 1: mean 25/24, peak 2 / (25/24) = 1.92; five days of seven: 7/5
    traffic = Traffic(tasks_per_s=1.0, day_profile=(2.0, *(1.0,) * 23), week_profile=(1.0,) * 5 + (0.0,) * 2)
    assert traffic.peak_to_average == pytest.approx(1.92 * 1.4)


def test_traffic_is_a_rate_or_users() -> None:
    with pytest.raises(ValueError, match="either"):
        Traffic()
    with pytest.raises(ValueError, match="either"):
        Traffic(tasks_per_s=1, concurrency=2)


def test_an_objective_reads_as_it_is_written() -> None:
    assert str(Objective(measure="ttft", quantile=0.95, limit_s=1)) == "ttft p95<1s"
    assert str(Objective(measure="tpot", quantile=0.5, limit_s=0.04)) == "tpot p50<40ms"

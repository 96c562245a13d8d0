"""Scores of predicted speeds, by numbers that can be checked by hand."""

import pytest

from planner.estimate.speed_validation import SpeedPrediction, speed_scores


def predicted(
    group: str, expected: float | None, measured: float, low: float = 0.5, high: float = 2.0
) -> SpeedPrediction:
    return SpeedPrediction(
        row=0, speed_class="tpot", quantity="tpot", group=group, measured=measured,
        low=None if expected is None else expected * low, expected=expected,
        high=None if expected is None else expected * high, reason=None if expected else "unknown",
    )  # fmt: skip


def test_a_group_counts_once() -> None:
    # Group a is off by 10 % three times, b once by 50 %, outside its interval of 1 ± 10 %: median and mean over the two
    # groups are 30 %, half of the groups' rows are covered, and the 90th percentile is the larger one.
    rows = [predicted("a", 1.1, 1.0)] * 3 + [predicted("b", 1.5, 1.0, low=0.9, high=1.1)]
    (score,) = speed_scores(rows)
    assert (score.n_groups, score.n_predictions) == (2, 4)
    assert score.median_error_fraction == pytest.approx(0.3)
    assert score.mean_error_fraction == pytest.approx(0.3)
    assert score.p90_error_fraction == pytest.approx(0.5)
    assert score.coverage_fraction == 0.5
    assert score.median_width_ratio == pytest.approx((4 + 1.1 / 0.9) / 2)
    assert [found.group for found in speed_scores(rows, by_group=True)] == ["a", "b"]


def test_what_is_not_predicted_is_not_scored() -> None:
    assert speed_scores([predicted("a", None, 1.0)]) == ()

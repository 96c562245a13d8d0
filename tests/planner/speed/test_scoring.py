"""Scores by class: a group counts once, as the published rule for scoring says."""

import pytest

from planner.speed.scoring import Prediction, class_scores


def prediction(group: str, expected: float, measured: float, *, wide: float = 1.1) -> Prediction:
    return Prediction(
        row=0, speed_class="dense_decode", group=group, low=expected / wide, expected=expected,
        high=expected * wide, measured=measured,
    )  # fmt: skip


def test_a_group_counts_once() -> None:
    # Group a: errors of 0 %, 0 % and 50 %, median 0; group b: one error of 20 %.
    rows = [
        prediction("a", 100, 100),
        prediction("a", 100, 100),
        prediction("a", 150, 100),
        prediction("b", 80, 100),
    ]
    (score,) = class_scores(rows)
    assert score.n_groups == 2
    assert score.n_rows == 4
    assert score.median_error_fraction == pytest.approx(0.1)
    assert score.p90_error_fraction == pytest.approx(0.2)
    # Two of three rows of a inside, none of b.
    assert score.coverage_fraction == pytest.approx((2 / 3 + 0) / 2)
    assert score.median_width_ratio == pytest.approx(1.21)

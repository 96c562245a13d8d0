"""How errors are grouped and summed up, by numbers worked by hand."""

import pytest

from planner.estimate.validation import Prediction, quantile, scores, worst


def prediction(
    group: str, expected: float | None, measured: float | None, component: str = "kv"
) -> Prediction:
    return Prediction(
        row=0, engine="llama.cpp", component=component, group=group, unit="bytes", expected=expected,
        measured=measured, reason=None if expected is not None else "unknown",
    )  # fmt: skip


def test_a_group_counts_once_however_many_rows_it_has() -> None:
    # Group a: errors 10 %, 20 %, 90 %, so 20 %. Group b: 0 %. Median of 0 % and 20 %: 10 %.
    found = scores([
        prediction("a", 110, 100), prediction("a", 120, 100), prediction("a", 10, 100), prediction("b", 7, 7),
    ])  # fmt: skip
    (score,) = found
    assert (score.n_groups, score.n_predictions, score.n_without) == (2, 4, 0)
    assert score.median_error_fraction == pytest.approx(0.10)
    assert score.p90_error_fraction == pytest.approx(0.20)  # of 2 values the one at int(0.9 * 2) = 1


def test_by_group_the_spread_is_over_its_rows() -> None:
    found = scores([prediction("a", 110, 100), prediction("a", 130, 100)], by_group=True)
    assert [(score.group, score.n_groups) for score in found] == [("a", 1)]
    assert found[0].median_error_fraction == pytest.approx(0.20)
    assert found[0].p90_error_fraction == pytest.approx(0.30)


def test_what_is_not_predicted_is_counted_and_what_was_not_measured_is_not() -> None:
    (score,) = scores([prediction("a", None, 100), prediction("b", 100, None), prediction("c", 1, 0)])
    assert (score.n_groups, score.n_predictions, score.n_without) == (0, 0, 1)
    assert score.median_error_fraction is None


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([3, 1, 2], 0.9, 3),
        (list(range(10)), 0.9, 9),
        (list(range(20)), 0.9, 18),
        ([5], 0.9, 5),
        ([1, 2], 0.0, 1),
    ],
)
def test_the_quantile_is_the_sorted_value_at_the_whole_part(
    values: list[int], q: float, expected: int
) -> None:
    assert quantile(values, q) == expected


def test_the_worst_come_first_and_once_a_group() -> None:
    found = worst(
        [prediction("a", 2, 1), prediction("a", 4, 1), prediction("b", 3, 1), prediction("c", None, 1)], 5
    )
    assert [(p.group, p.expected) for p in found] == [("a", 4), ("b", 3)]

"""Groups' scores written as rows and read back give the same classes, devices and engines."""

import pytest

from planner.estimate.speed_score_table import SCORE_COLUMNS, score_rows, scores_from
from planner.estimate.speed_validation import SpeedPrediction, class_scores, scores_by, speed_scores
from profiles.errors import ProfileError


def predicted(device: str, model: str, engine: str, error: float) -> SpeedPrediction:
    return SpeedPrediction(
        row=0, speed_class="dense_decode", quantity="tok_s", group=f"{device} | {model}", measured=100.0,
        low=90.0, expected=100.0 * (1 + error), high=110.0 * (1 + error), device=device, model=model, engine=engine,
    )  # fmt: skip


GROUPS = speed_scores(
    [
        predicted("card", "small", "llama.cpp", 0.25),
        predicted("card", "large", "ik_llama.cpp", 0.5),
        predicted("card", "large", "ik_llama.cpp", 0.5),
        predicted("card", "large", "llama.cpp", 0.5),
        predicted("chip", "small", "llama.cpp", 1.0),
    ],
    by_group=True,
)


def test_parts_are_put_together_from_their_groups() -> None:
    by_device = scores_by(GROUPS, "device")
    # The card has two groups, off by 25 % and 50 %; the chip one, off by 100 %.
    assert [(name, scores[0].n_groups, scores[0].median_error_fraction) for name, scores in by_device.items()] == [
        ("card", 2, pytest.approx(0.375)), ("chip", 1, 1.0),
    ]  # fmt: skip
    assert {name: scores[0].n_groups for name, scores in scores_by(GROUPS, "model").items()} == {
        "small": 2,
        "large": 1,
    }
    # A group counts for the engine that most of its rows ran in.
    assert {name: scores[0].n_groups for name, scores in scores_by(GROUPS, "engine").items()} == {
        "ik_llama.cpp": 1, "llama.cpp": 2,
    }  # fmt: skip


def test_what_is_written_is_read_back() -> None:
    rows = score_rows([("cell", GROUPS), ("device", GROUPS[:1])], "2026-01-02", "abc")
    assert all(tuple(row) == SCORE_COLUMNS for row in rows)
    found = scores_from(rows)
    assert list(found) == ["cell", "device"]
    (before,), (after,) = class_scores(GROUPS), class_scores(found["cell"])
    assert (after.n_groups, after.n_predictions) == (before.n_groups, before.n_predictions)
    assert after.median_error_fraction == pytest.approx(before.median_error_fraction, abs=1e-4)
    assert after.coverage_fraction == pytest.approx(before.coverage_fraction, abs=1e-4)
    assert after.median_width_ratio == pytest.approx(before.median_width_ratio, abs=1e-4)


def test_a_broken_row_is_named() -> None:
    rows = score_rows([("cell", GROUPS[:1])], "2026-01-02", "abc")
    with pytest.raises(ProfileError, match="cell-dense_decode-card"):
        scores_from([rows[0] | {"speed_class": "dense"}])

"""A fit written as rows is read back as it was; two fits are never mixed."""

from dataclasses import replace

import pytest

from planner.speed.factors import Effect, Factors
from planner.speed.intervals import Spread, Widening
from planner.speed.table import (
    EFFECT_COLUMNS,
    SPREAD_COLUMNS,
    effect_rows,
    factors_from,
    spread_rows,
    spreads_from,
)
from profiles.errors import ProfileError

FACTORS = Factors(
    effects=(
        Effect(name="read", level="operator", value=0.25, n_measurements=40, n_devices=3, sd=0.02),
        Effect(name="all-memory-decode cuda card", level="device", value=0.0, n_measurements=4, n_devices=1),
        Effect(name="launch cuda", level="backend", value=0.0001, n_measurements=4, n_devices=1),
    ),
    date="2026-01-02",
    source_digest="abc",
)


def test_a_fit_is_read_back() -> None:
    rows = effect_rows(FACTORS)
    assert all(tuple(row) == EFFECT_COLUMNS for row in rows)
    found = factors_from(rows)
    # The third effect changes next to nothing, and how sure that is counts for those who add measurements.
    assert found.values == {"read": 0.25, "all-memory-decode cuda card": 0.0, "launch cuda": 0.0001}
    assert {effect.name: effect.sd for effect in found.effects}["read"] == 0.02
    assert {effect.name: effect.sd for effect in found.effects}["launch cuda"] is None
    assert (found.date, found.source_digest) == ("2026-01-02", "abc")


def test_a_later_fit_stands_alone() -> None:
    later = Factors(effects=FACTORS.effects[:1], date="2026-03-01", source_digest="def")
    found = factors_from([*effect_rows(FACTORS), *effect_rows(later)])
    assert set(found.values) == {"read"}


def test_intervals_are_read_back() -> None:
    spread = Spread(
        speed_class="dense_decode", knowledge="model", low_ratio=0.8, high_ratio=1.3, n_groups=20, n_rows=90
    )
    widened = replace(
        spread,
        knowledge="both",
        slower=Widening(least=0.05, machine=1.25, model=0.0, known=0.5),
        faster=Widening(least=0.02, machine=0.5, model=2.0, known=0.0),
    )
    written = spread_rows([spread, widened], "2026-01-02", "abc")
    assert all(tuple(row) == SPREAD_COLUMNS for row in written)
    assert spreads_from(written) == (spread, widened)


def test_a_widening_that_narrows_is_refused() -> None:
    slower = Widening(least=0.05, machine=1.0, model=1.0, known=1.0)
    spread = Spread(
        speed_class="dense_decode", knowledge="model", low_ratio=0.8, high_ratio=1.3, n_groups=20, n_rows=90,
        slower=slower, faster=slower,
    )  # fmt: skip
    (row,) = spread_rows([spread], "2026-01-02", "abc")
    with pytest.raises(ProfileError, match="slower"):
        spreads_from([dict(row, slower_model="-1")])


def test_a_broken_row_is_named() -> None:
    rows = [dict(effect_rows(FACTORS)[0], value="much")]
    with pytest.raises(ProfileError, match="'read'"):
        factors_from(rows)

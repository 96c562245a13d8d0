"""A fit written as rows is read back as it was; two fits are never mixed."""

import pytest

from planner.speed.factors import Effect, Factors
from planner.speed.intervals import Spread
from planner.speed.table import EFFECT_COLUMNS, effect_rows, factors_from, spread_rows, spreads_from
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
    assert spreads_from(spread_rows([spread], "2026-01-02", "abc")) == (spread,)


def test_a_broken_row_is_named() -> None:
    rows = [dict(effect_rows(FACTORS)[0], value="much")]
    with pytest.raises(ProfileError, match="'read'"):
        factors_from(rows)

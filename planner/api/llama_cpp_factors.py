"""The packaged speed calibration of llama.cpp, or the user's own in its place."""

from functools import cache

from planner.speed.factors import Factors
from planner.speed.intervals import Spread
from planner.speed.table import factors_from, spreads_from
from profiles.loader import calibration_rows

EFFECTS_FILE = "llama_cpp_speed"
SPREADS_FILE = "llama_cpp_speed_intervals"
SCORES_FILE = "llama_cpp_speed_scores"


@cache
def speed_factors() -> Factors:
    """The effects."""
    return factors_from(calibration_rows(EFFECTS_FILE))


@cache
def speed_spreads() -> tuple[Spread, ...]:
    """The intervals."""
    return spreads_from(calibration_rows(SPREADS_FILE))

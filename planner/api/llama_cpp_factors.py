"""The packaged speed calibrations of llama.cpp, or the user's own in their place."""

from functools import cache

from planner.speed.batched_fit import with_effects
from planner.speed.factors import Factors
from planner.speed.intervals import Spread
from planner.speed.table import factors_from, spreads_from
from profiles.loader import calibration_rows

EFFECTS_FILE = "llama_cpp_speed"
SPREADS_FILE = "llama_cpp_speed_intervals"
SCORES_FILE = "llama_cpp_speed_scores"
STEPS_FILE = "llama_cpp_measured_steps"  # of several tokens, as published
BATCHED_FILE = "llama_cpp_batched"
BATCHED_SPREADS_FILE = "llama_cpp_batched_intervals"


@cache
def single_factors() -> Factors:
    """The effects of tokens one by one and of prompts."""
    return factors_from(calibration_rows(EFFECTS_FILE))


@cache
def speed_factors() -> Factors:
    """All effects, those of steps of several tokens among them."""
    return with_effects(single_factors(), factors_from(calibration_rows(BATCHED_FILE)).effects)


@cache
def speed_spreads() -> tuple[Spread, ...]:
    """The intervals."""
    return (
        *spreads_from(calibration_rows(SPREADS_FILE)),
        *spreads_from(calibration_rows(BATCHED_SPREADS_FILE)),
    )

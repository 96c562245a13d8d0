"""The fitted facts about serving engines, read once."""

from functools import cache

from planner.estimate.serving_speed.served_latency import ServingFacts
from planner.estimate.serving_speed.spread import spreads_from_rows
from planner.estimate.serving_speed.step_rates import rates_from_rows
from profiles.loader import calibration_rows


@cache
def serving_facts() -> ServingFacts:
    """Rates and spreads of the packaged calibrations; raises ProfileError for a row that is broken."""
    steps = calibration_rows("serving_steps")
    return ServingFacts(
        rates=rates_from_rows(steps),
        devices=frozenset(str(row["accelerator"]) for row in calibration_rows("serving_devices")),
        rows_digest=(steps[0].get("rows_digest") or "") if steps else "",
        spreads=(
            *spreads_from_rows(calibration_rows("serving_spread")),
            *spreads_from_rows(calibration_rows("serving_reported_spread"), "serving_reported_spread.csv"),
        ),
    )

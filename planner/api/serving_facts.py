"""The fitted facts about serving engines, read once."""

from collections.abc import Mapping
from functools import cache

from planner.estimate.serving_speed.served_latency import ServingFacts
from planner.estimate.serving_speed.spread import spreads_from_rows
from planner.estimate.serving_speed.step_rates import StepRates, rates_from_rows
from profiles.loader import calibration_rows


@cache
def serving_facts() -> ServingFacts:
    """Rates and spreads of the packaged calibrations; raises ProfileError for a row that is broken."""
    steps, folds = calibration_rows("serving_steps"), calibration_rows("serving_steps_folds")
    return ServingFacts(
        rates=rates_from_rows(steps),
        devices=frozenset(str(row["accelerator"]) for row in calibration_rows("serving_devices")),
        rows_digest=(steps[0].get("rows_digest") or "") if steps else "",
        rate_rows_digest=(folds[0].get("rate_rows_digest") or "") if folds else "",
        spreads=(
            *spreads_from_rows(calibration_rows("serving_spread")),
            *spreads_from_rows(calibration_rows("serving_reported_spread"), "serving_reported_spread.csv"),
        ),
    )


@cache
def serving_folds() -> tuple[StepRates, ...]:
    """Fits that each have not seen one part of the measured throughput; see `serving_rates.fold_of`."""
    rows = calibration_rows("serving_steps_folds")
    names = [name for name in (rows[0] if rows else ()) if name.startswith("fold_")]
    return tuple(rates_from_rows(_of_fold(row, name) for row in rows) for name in names)


def _of_fold(row: Mapping[str, str | None], name: str) -> dict[str, str | None]:
    return {**row, "summand": row[name]}

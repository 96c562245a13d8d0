"""What llama.cpp's speed is estimated with: the packaged calibration, or one of the user's own in its place."""

from functools import cache
from pathlib import Path

from hardware.store import data_folder
from planner.bench.kept_calibrations import PACKAGED, load_calibration, name_in_use
from planner.speed.batched_fit import with_effects
from planner.speed.factors import Effect, Factors
from planner.speed.intervals import Spread
from planner.speed.kept_calibration import KeptCalibration, fingerprint
from planner.speed.measured_attention import attention_effects
from planner.speed.processor_products import processor_product_effects
from planner.speed.table import factors_from, spreads_from
from profiles.loader import calibration_rows

EFFECTS_FILE = "llama_cpp_speed"
SPREADS_FILE = "llama_cpp_speed_intervals"
SCORES_FILE = "llama_cpp_speed_scores"
NOISE_FILE = "llama_cpp_speed_noise"
STEPS_FILE = "llama_cpp_measured_steps"  # of several tokens, as published
PRODUCTS_FILE = "llama_cpp_measured_products"
ATTENTION_FILE = "llama_cpp_measured_attention"
BATCHED_FILE = "llama_cpp_batched"
BATCHED_SPREADS_FILE = "llama_cpp_batched_intervals"
SPLITS_FILE = "llama_cpp_measured_splits"  # row and tensor splits, as published
SPLIT_SPREADS_FILE = "llama_cpp_split_intervals"
POWER_FILE = "llama_cpp_power"


@cache
def single_factors() -> Factors:
    """The effects of tokens one by one and of prompts."""
    return factors_from(calibration_rows(EFFECTS_FILE))


def speed_factors() -> Factors:
    """The effects."""
    own = own_calibration()
    return packaged_factors() if own is None else own.factors


def speed_spreads() -> tuple[Spread, ...]:
    """The intervals."""
    own = own_calibration()
    return packaged_spreads() if own is None else own.spreads


def calibrations_folder() -> Path:
    """Where calibrations of one's own are kept."""
    return data_folder() / "calibrations"


def own_calibration() -> KeptCalibration | None:
    """The user's calibration in use; None for the packaged one, or where that has changed since."""
    found = _chosen(calibrations_folder())
    return None if found is None or is_outdated(found) else found


def kept_in_use() -> KeptCalibration | None:
    """The user's calibration in use, whether or not the packaged fit has changed since."""
    return _chosen(calibrations_folder())


def calibration_notes() -> tuple[str, ...]:
    """Lines for estimates that do, or no longer do, rest on measurements of one's own."""
    found = _chosen(calibrations_folder())
    if found is None:
        return ()
    if is_outdated(found):
        why = "is not used: the packaged fit has changed since; `planner calibrate --again` makes it anew"
        return (f"{found.description}, {why}",)
    return (f"speeds follow {found.description}; `planner calibrate --use packaged` goes back",)


def is_outdated(found: KeptCalibration) -> bool:
    """Whether it was made over another packaged fit; one that was made alone depends on the operators all the same."""
    return found.base != packaged_fingerprint()


def forget_calibration() -> None:
    """To be called after another calibration was put in use: the next estimate looks again."""
    _chosen.cache_clear()


@cache
def packaged_factors() -> Factors:
    """All effects that come with the planner, those of steps of several tokens among them."""
    more = (
        *batched_effects(),
        *processor_product_effects(calibration_rows(PRODUCTS_FILE)),
        *attention_effects(calibration_rows(ATTENTION_FILE)),
    )
    return with_effects(single_factors(), more)


@cache
def packaged_spreads() -> tuple[Spread, ...]:
    """The intervals that come with the planner."""
    return (*spreads_from(calibration_rows(SPREADS_FILE)), *batched_spreads())


@cache
def batched_effects() -> tuple[Effect, ...]:
    """What further tokens of a step cost, fitted apart."""
    return factors_from(calibration_rows(BATCHED_FILE)).effects


@cache
def batched_spreads() -> tuple[Spread, ...]:
    """The intervals of such steps, and of row and tensor splits."""
    rows = (BATCHED_SPREADS_FILE, SPLIT_SPREADS_FILE)
    return tuple(spread for name in rows for spread in spreads_from(calibration_rows(name)))


@cache
def packaged_fingerprint() -> str:
    """Which packaged effects these are."""
    return fingerprint(packaged_factors().effects)


@cache
def _chosen(folder: Path) -> KeptCalibration | None:
    name = name_in_use(folder)
    return None if name == PACKAGED else load_calibration(name, folder)

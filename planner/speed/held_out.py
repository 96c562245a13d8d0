"""Every sample predicted by a fit that has not seen its group, with what that fit knew: the ground of all scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from planner.speed.cross_validation import folds_of
from planner.speed.doubt import doubt
from planner.speed.factors import Factors
from planner.speed.fitting import Fit, fit_effects, log_seconds
from planner.speed.intervals import Doubt, Knowledge
from planner.speed.knowing import states_of
from planner.speed.sample import Sample

HeldOut = Literal["cell", "device", "model"]
# What a validation may ask for: none keeps the packaged fit, auto decides by the file.
HoldOut = Literal["auto", "none", "cell", "device", "model", "device-but-one-model"]
HELD_OUT: tuple[HeldOut, ...] = get_args(HeldOut)
_KEYS: Mapping[HeldOut, Callable[[Sample], str]] = {
    "cell": lambda sample: sample.cell,
    "device": lambda sample: sample.device,
    "model": lambda sample: sample.case.model_key,
}
# Large groups that are left out alone, and the folds that the others share.
FOLDS: Mapping[HeldOut, tuple[int, int]] = {"cell": (0, 12), "device": (16, 12), "model": (8, 4)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """One sample's expected log time by a fit without its fold, the fold, and what that fit knew of it."""

    log_s: float
    fold: int
    unit: str  # what was left out with it: its cell, device or model
    knowledge: Knowledge
    doubt: Doubt


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """One fold: which samples are in it, and a fit of all others."""

    fold: int
    indices: tuple[int, ...]
    fit: Fit


def fits_without(
    samples: Sequence[Sample], whole: Fit, by: HeldOut, tell: Callable[[float], None] | None = None
) -> tuple[LeftOut, ...]:
    """Fits of samples of one phase, each without one fold; `tell` hears the part done."""
    key = _KEYS[by]
    folds = np.array(folds_of([key(sample) for sample in samples], *FOLDS[by]))
    every = sorted(set(folds.tolist()))
    found = []
    for number, fold in enumerate(every):
        if tell is not None:
            tell(number / len(every))
        kept = [samples[i] for i in np.flatnonzero(folds != fold).tolist()]
        out = tuple(np.flatnonzero(folds == fold).tolist())
        found.append(LeftOut(fold=fold, indices=out, fit=fit_effects(kept, like=whole)))
    return tuple(found)


def unseen(samples: Sequence[Sample], left_out: Sequence[LeftOut], by: HeldOut) -> tuple[Unseen, ...]:
    """Predictions of samples, each by the fit that was made without it, by whatever was left out."""
    found: list[Unseen | None] = [None] * len(samples)
    for part in left_out:
        factors = Factors(effects=part.fit.effects)
        times = log_seconds([samples[i] for i in part.indices], part.fit)
        for i, log_s in zip(part.indices, times.tolist(), strict=True):
            case = samples[i].case
            found[i] = Unseen(
                log_s=log_s,
                fold=part.fold,
                unit=_KEYS[by](samples[i]),
                knowledge=states_of(factors, case)[0],
                doubt=doubt(factors, case, factors.seconds(case)),
            )
    return tuple(item for item in found if item is not None)

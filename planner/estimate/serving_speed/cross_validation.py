"""Every group of rows predicted by a fit that has not seen it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.rates_fit import Measured, MeasuredRates, fit_ages, fit_rates
from planner.estimate.serving_speed.step_rates import StepRates
from planner.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS_FROM_WHOLE: Final = 8  # the fit of all rows is near; a group fewer moves it little


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Predictions of every row by fits without its group, as log(measured / expected)."""

    tpot_log_ratios: "NDArray[Any]"
    ttft_log_ratios: "NDArray[Any]"


def leave_groups_out(
    measured: Measured,
    whole: StepRates,
    fold_of: Callable[[str], str] = str,
    progress: Progress | None = None,
    rates_of: "Callable[[NDArray[Any]], NDArray[Any]] | None" = None,
) -> LeftOut:
    """Refits without each fold of times in turn; `fold_of` joins groups into folds (the group itself when left out).

    `rates_of` says which rates are left out with chosen times: those of the same GPUs, where whole GPUs are.
    """
    import numpy as np

    folds = np.array([fold_of(group) for group in measured.groups])
    names = sorted(set(folds))
    tpot, ttft = np.empty(len(folds)), np.empty(len(folds))
    for number, name in enumerate(names):
        if progress is not None:
            progress(number / len(names), name)
        away = folds == name
        others = measured[~away]
        if rates_of is not None and others.rates is not None:
            others = replace(others, rates=others.rates[~rates_of(away)])
        rates = fit_rates(others, whole, _STEPS_FROM_WHOLE)
        found = latency(measured.questions[away], rates)
        tpot[away] = np.log(measured.tpot_s[away] / found.tpot_s)
        ttft[away] = np.log(measured.ttft_s[away] / found.ttft_s)
    return LeftOut(tpot_log_ratios=tpot, ttft_log_ratios=ttft)


def rates_left_out(
    measured: Measured,
    old: MeasuredRates | None,
    whole: StepRates,
    fold_of: Callable[[str], int],
    n_folds: int,
) -> tuple[StepRates, ...]:
    """Fits of all times and of the rates of every fold but one, those of engines of another age likewise."""
    if measured.rates is None:
        return ()
    found = []
    for fold in range(n_folds):
        now = replace(measured, rates=_without(measured.rates, fold_of, fold))
        rates = fit_rates(now, whole, _STEPS_FROM_WHOLE)
        if old is not None:
            then = replace(measured, rates=_without(old, fold_of, fold))
            rates = fit_ages(then, rates, whole, _STEPS_FROM_WHOLE)
        found.append(rates)
    return tuple(found)


def _without(rates: MeasuredRates, fold_of: Callable[[str], int], fold: int) -> MeasuredRates:
    import numpy as np

    return rates[np.array([fold_of(group) != fold for group in rates.groups], dtype=bool)]

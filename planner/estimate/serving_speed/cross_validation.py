"""Every group of rows predicted by a fit that has not seen it."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from planner.estimate.serving_speed.deployment import Batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.rates_fit import Measured, fit_rates
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
) -> LeftOut:
    """Refits without each fold in turn; `fold_of` joins groups into folds (the group itself when left out)."""
    import numpy as np

    folds = np.array([fold_of(group) for group in measured.groups])
    names = sorted(set(folds))
    tpot, ttft = np.empty(len(folds)), np.empty(len(folds))
    for number, name in enumerate(names):
        if progress is not None:
            progress(number / len(names), name)
        away = folds == name
        rates = fit_rates(_rows(measured, ~away), whole, _STEPS_FROM_WHOLE)
        found = latency(_entries(measured.questions, away), rates)
        tpot[away] = np.log(measured.tpot_s[away] / found.tpot_s)
        ttft[away] = np.log(measured.ttft_s[away] / found.ttft_s)
    return LeftOut(tpot_log_ratios=tpot, ttft_log_ratios=ttft)


def _rows(measured: Measured, chosen: "NDArray[Any]") -> Measured:
    return Measured(
        questions=_entries(measured.questions, chosen),
        tpot_s=measured.tpot_s[chosen],
        ttft_s=measured.ttft_s[chosen],
        groups=[group for group, is_in in zip(measured.groups, chosen, strict=True) if is_in],
    )


def _entries(questions: Batch, chosen: "NDArray[Any]") -> Batch:
    values: dict[str, Any] = {}
    for field in fields(questions):
        value = getattr(questions, field.name)
        is_table = isinstance(value, dict)
        values[field.name] = {key: v[chosen] for key, v in value.items()} if is_table else value[chosen]
    return Batch(**values)

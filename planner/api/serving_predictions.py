"""Rows of measured serving latency predicted, by the packaged fit or by fits that have not seen them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from planner.api.serving_apart import apart_intervals
from planner.api.serving_calibration import (
    as_measured,
    distinct_rows,
    fold,
    rows_digest,
    spreads_of_new_devices,
    spreads_of_rows,
)
from planner.api.serving_facts import serving_facts
from planner.api.serving_rows import measured_rows, row_reader
from planner.estimate.serving_speed.apart_rows import is_apart
from planner.estimate.serving_speed.cross_validation import leave_groups_out
from planner.estimate.serving_speed.latency_rows import LatencyRow
from planner.estimate.serving_speed.rates_fit import fit_rates
from planner.estimate.serving_speed.served_latency import interval, kind, served_latencies
from planner.estimate.speed_validation import SpeedClass, SpeedPrediction
from planner.estimate.term import Interval
from planner.progress import Progress
from planner.speed.held_out import HoldOut

Rows = Sequence[Mapping[str, str]]
_GROUP_LETTERS: Final = 24  # of a model's name, as measurements are grouped
_FOLDS: Final[Mapping[str, Callable[[str], str]]] = {"cell": str, "device": fold(0), "model": fold(1)}


def serving_predictions(
    rows: Rows, progress: Progress | None = None, hold_out: HoldOut = "auto"
) -> list[SpeedPrediction]:
    """Time per output token and to the first token of every row, or the reason why there is none.

    "none" predicts with the packaged fit. The others refit without each row's group (system, model, precision and
    engine), system or model in turn; "auto" does so by group for exactly the measurements that the packaged fit was
    made from, and predicts everything else with it. Rows with prompts on GPUs of their own are in no fit.
    """
    if hold_out not in (
        "auto",
        "none",
        *_FOLDS,
    ):  # what a benchmark teaches of a device: none of them was benchmarked
        return []
    apart, apart_reasons = apart_intervals(rows, serving_facts())
    found, other_reasons = measured_rows(rows, row_reader())
    reasons = [*apart_reasons, *(item for item in other_reasons if not is_apart(rows[item[0]]))]
    distinct = distinct_rows(found.values())
    if hold_out == "auto":
        hold_out = "cell" if rows_digest(distinct) == serving_facts().rows_digest else "none"
    if hold_out == "none":
        numbers = list(found)
        answers = served_latencies([found[number].deployment for number in numbers], serving_facts())
        times = {
            number: (answer.tpot_s, answer.ttft_s) for number, answer in zip(numbers, answers, strict=True)
        }
    else:
        unseen = _held_out(distinct, hold_out, progress)
        times = {number: unseen[row.identity] for number, row in found.items() if row.identity in unseen}
    predictions = [
        one
        for number, (tpot, ttft) in times.items()
        for one in _both(number, rows[number], found[number], tpot, ttft)
    ]
    for number, (one, tpot, ttft) in apart.items():
        predictions.append(_time(number, rows[number], "tpot", one.tpot_s, tpot, "tpot_apart"))
        predictions.append(_time(number, rows[number], "ttft", one.ttft_s, ttft, "ttft_apart"))
    predictions += [
        SpeedPrediction(row=number, speed_class=None, quantity="tpot", group=_group(rows[number]), measured=None,
                        reason=reason)
        for number, reason in reasons
    ]  # fmt: skip
    if progress is not None:
        progress(1, "")
    return sorted(predictions, key=lambda prediction: prediction.row)


def _held_out(
    rows: Sequence[LatencyRow], hold_out: str, progress: Progress | None
) -> dict[tuple[object, ...], tuple[Interval, Interval]]:
    """Times of every measurement by a fit without its fold, with bounds from what other folds strayed by.

    Where whole GPUs are left out, their bounds are of GPUs that no fit has seen, each of the others left out in turn.
    """
    import numpy as np

    fold_of = _FOLDS[hold_out]
    measured = as_measured(rows)
    whole = fit_rates(measured)
    left_out = leave_groups_out(measured, whole, fold_of, progress)
    folds = [fold_of(row.group) for row in rows]
    found = {}
    for name in sorted(set(folds)):
        others = [i for i, other in enumerate(folds) if other != name]
        spreads = spreads_of_rows(rows, left_out, others)
        devices = None
        if hold_out == "device":
            spreads = (*spreads, *spreads_of_new_devices(rows, left_out, others))
            devices = frozenset(rows[i].deployment.accelerator.id for i in others)
        for i in (i for i, other in enumerate(folds) if other == name):
            like = kind(rows[i].deployment, devices)
            tpot_s = float(measured.tpot_s[i] / np.exp(left_out.tpot_log_ratios[i]))
            ttft_s = float(measured.ttft_s[i] / np.exp(left_out.ttft_log_ratios[i]))
            found[rows[i].identity] = (
                interval(tpot_s, "tpot", like, spreads),
                interval(ttft_s, "ttft", like, spreads),
            )
    return found


def _both(
    number: int, row: Mapping[str, str], measured: LatencyRow, tpot: Interval, ttft: Interval
) -> list[SpeedPrediction]:
    predictions = [_time(number, row, "tpot", measured.tpot_s, tpot)]
    if measured.ttft_s is None:
        predictions.append(
            SpeedPrediction(row=number, speed_class=None, quantity="ttft", group=_group(row), measured=None,
                            reason=measured.ttft_reason)
        )  # fmt: skip
    else:
        predictions.append(_time(number, row, "ttft", measured.ttft_s, ttft))
    return predictions


def _time(
    number: int,
    row: Mapping[str, str],
    quantity: Literal["tpot", "ttft"],
    measured_s: float,
    expected: Interval,
    speed_class: SpeedClass | None = None,
) -> SpeedPrediction:
    return SpeedPrediction(
        row=number,
        speed_class=speed_class or quantity,
        quantity=quantity,
        group=_group(row),
        measured=measured_s,
        low=expected.low,
        expected=expected.expected,
        high=expected.high,
        device=row.get("system", ""),
        model=row.get("model_path", ""),
        engine=row.get("backend", ""),
    )


def _group(row: Mapping[str, str]) -> str:
    model = row.get("model_path", "")[:_GROUP_LETTERS]
    return " | ".join((row.get("system", ""), model, row.get("precision", ""), row.get("backend", "")))

"""Rows of measured serving throughput: what a fit takes of them, and predictions by fits that have not seen them."""

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from planner.api.served_llama_cpp import is_llama_cpp, served_llama_cpp
from planner.api.serving_facts import serving_facts, serving_folds
from planner.api.serving_rows import row_reader
from planner.errors import MissingFactError
from planner.estimate.serving_speed.deployment import batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.rate_loads import answered_per_s
from planner.estimate.serving_speed.rate_rows import RateRow, loads_of, read_rate
from planner.estimate.serving_speed.rates_fit import MeasuredRates
from planner.estimate.serving_speed.served_latency import kind
from planner.estimate.serving_speed.spread import Kind, Spread, spread_for, spreads_of
from planner.estimate.serving_speed.step_rates import StepRates
from planner.estimate.speed_validation import SpeedPrediction
from planner.progress import Progress
from planner.speed.held_out import HoldOut

Rows = Sequence[Mapping[str, str]]
N_FOLDS: Final = 8
_SOURCE: Final = "published throughput of vLLM, SGLang and TensorRT-LLM, by fits without it"


def rate_predictions(
    rows: Rows, progress: Progress | None = None, hold_out: HoldOut = "auto"
) -> list[SpeedPrediction]:
    """Tokens per second of every row, or the reason why there is none.

    Each group of the rows that the packaged fit was made with is predicted by a fit without it, and its interval is what
    other groups stray by; "none" takes the packaged fit, as for all rows that it was not made with.
    """
    facts = serving_facts()
    ours = {number: row for number, row in enumerate(rows) if is_llama_cpp(row)}
    found, reasons = read_rates(rows)
    predictions = served_llama_cpp(ours, row_reader().sources) + [
        SpeedPrediction(
            row=number, speed_class=None, quantity="tok_s", group="", measured=None, reason=reason
        )
        for number, reason in reasons
    ]
    ones = list(found.values())
    spreads: Sequence[Sequence[Spread]] = [facts.spreads] * N_FOLDS
    if hold_out == "none" or rates_digest(ones) != facts.rate_rows_digest:
        expected = expected_rates(ones, facts.rates)
    else:
        expected = unseen_rates(ones, serving_folds())
        spreads = [_spreads_of_others(ones, expected, fold) for fold in range(N_FOLDS)]
    for (number, one), rate in zip(found.items(), expected, strict=True):
        spread = spread_for(spreads[fold_of(one.group)], "tok_s", _kind(one))
        row = rows[number]
        predictions.append(
            SpeedPrediction(
                row=number, speed_class="served", quantity="tok_s", group=one.group, measured=one.tokens_per_s,
                low=rate * min(1.0, spread.low_ratio), expected=rate, high=rate * max(1.0, spread.high_ratio),
                device=row["hardware"], model=row["model"], engine=row["engine"],
            )
        )  # fmt: skip
    if progress is not None:
        progress(1, "")
    return sorted(predictions, key=lambda prediction: prediction.row)


def fold_of(group: str) -> int:
    """Which of the packaged fits has not seen a group of rates."""
    return zlib.crc32(group.encode()) % N_FOLDS


def rates_digest(ones: Sequence[RateRow]) -> str:
    """A short name for the rows of a fit: two sets share it only if they are the same."""
    said = sorted(f"{one.group}|{one.tokens_per_s!r}" for one in fitted_rates(ones))
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def fitted_rates(ones: Sequence[RateRow]) -> tuple[RateRow, ...]:
    """The rows that a fit takes: engines of today, in runs that somebody set up and wrote down."""
    return tuple(one for one in ones if not one.is_old and not one.is_self_reported)


def measured_rates(ones: Sequence[RateRow]) -> MeasuredRates:
    """Rows as a fit takes them."""
    import numpy as np

    return MeasuredRates(
        questions=batch([one.deployment for one in ones]), loads=loads_of(ones),
        tokens_per_s=np.array([one.tokens_per_s for one in ones]), groups=[one.group for one in ones],
    )  # fmt: skip


def unseen_rates(ones: Sequence[RateRow], folds: Sequence[StepRates]) -> list[float]:
    """Tokens per second of every row by the fit that has not seen its group."""
    expected = [0.0] * len(ones)
    for fold, rates in enumerate(folds):
        chosen = [i for i, one in enumerate(ones) if fold_of(one.group) == fold]
        for i, rate in zip(chosen, expected_rates([ones[i] for i in chosen], rates), strict=True):
            expected[i] = rate
    return expected


def rate_spreads(ones: Sequence[RateRow], expected: Sequence[float]) -> tuple[Spread, ...]:
    """How far measured rates stray from expected ones; those of engines of another age are a kind of their own."""
    ratios = [math.log(one.tokens_per_s / rate) for one, rate in zip(ones, expected, strict=True)]
    return spreads_of("tok_s", ratios, [_kind(one) for one in ones], [one.group for one in ones], _SOURCE)


def closed_loops(rows: Rows) -> tuple[RateRow, ...]:
    """The rows whose load is a number of requests in flight, from the first answer to the last."""
    return tuple(one for one in read_rates(rows)[0].values() if one.load == "loop")


def read_rates(rows: Rows) -> tuple[dict[int, RateRow], list[tuple[int, str]]]:
    """The rows of serving engines that say enough by number, and why the others do not."""
    reader = row_reader()
    found, reasons = {}, []
    for number, row in enumerate(rows):
        if is_llama_cpp(row):
            continue
        try:
            found[number] = read_rate(reader, row)
        except MissingFactError as error:
            reasons.append((number, str(error)))
    return found, reasons


def expected_rates(ones: Sequence[RateRow], rates: StepRates) -> list[float]:
    """Tokens per second that a fit makes of rows."""
    if not ones:
        return []
    questions = batch([one.deployment for one in ones])
    found = answered_per_s(loads_of(ones), questions, rates, latency(questions, rates))
    return [float(rate) for rate in found]


def _kind(one: RateRow) -> Kind:
    found = kind(one.deployment)
    return replace(found, settings="old") if one.is_old else found


def _spreads_of_others(ones: Sequence[RateRow], expected: Sequence[float], fold: int) -> tuple[Spread, ...]:
    others = [i for i, one in enumerate(ones) if fold_of(one.group) != fold]
    return rate_spreads([ones[i] for i in others], [expected[i] for i in others])
